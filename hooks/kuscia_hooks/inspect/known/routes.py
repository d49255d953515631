"""Known reasons of a route that is not READY."""

ROUTE_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "route-missing",
        "no such route",
        "the route was never made: its step failed, or its domain did not exist then",
    ),
    (
        "route-no-handshake",
        "DestinationIsNotAuthrized",
        "the handshake never succeeded: wrong host, port or scheme, the destination is down, or has no certificate yet",
    ),
    ("route-no-token", "TokenNotGenerate", "one side has no token yet: it is down, or has never registered"),
    ("route-unreachable", "DestinationUnreachable", "the source's gateway does not reach the destination's"),
    ("route-heartbeat", "HeartBeatTimeout", "the destination has not seen the source for 30 s"),
    ("route-revision", "TokenRevisionNotMatch", "both sides hold tokens of different age; within minutes they agree"),
    ("route-waits", "no handshake yet", "one of both domains has never registered"),
)
