"""The engine of the example job: two-party PSI with SecretFlow's PSI library, as a Kuscia task.

It reads Kuscia's task config, fetches its party's table from the data source that DataMesh names,
intersects it with the peer's table over Kuscia's network, writes the result to the data source and
registers it.
"""


class EngineError(Exception):
    """The task failed. The message is for the reader of its log."""
