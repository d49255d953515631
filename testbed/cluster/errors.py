"""Errors of the commands, with their exit codes."""


class ClusterError(Exception):
    """An operation failed. The message contains the cause and where to look."""

    exit_code = 1


class CannotRunHere(ClusterError):
    """The machine or the user does not meet the requirements. The message lists all missing ones."""

    exit_code = 2
