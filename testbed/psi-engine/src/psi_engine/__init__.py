"""The engine of the example job: two-party PSI with SecretFlow's own PSI library, run as a Kuscia task.

It reads Kuscia's task config, fetches its party's table from the data source that DataMesh names,
intersects it with the peer's table over Kuscia's network, writes the result to the data source and
registers it.
"""


class EngineError(Exception):
    """The task cannot be done; the message is for the person who reads the task's log."""
