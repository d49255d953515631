"""What the commands end with; each carries its exit code."""


class ClusterError(Exception):
    """Did not work; the message says what was seen and what to look at."""

    exit_code = 1


class CannotRunHere(ClusterError):
    """This machine or user lacks something; the message lists all of it."""

    exit_code = 2
