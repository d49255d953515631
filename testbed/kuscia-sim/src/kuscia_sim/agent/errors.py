"""Errors that prevent an agent from starting."""


class AgentStartError(Exception):
    """The lite must exit; str() is the text to log as the module's failure."""
