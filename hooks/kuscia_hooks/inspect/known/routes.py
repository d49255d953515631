"""Known reasons why a route is not READY (Kuscia facts 6.4)."""

from dataclasses import dataclass

from kuscia_hooks.inspect.kuscia_state import NO_HANDSHAKE, NO_ROUTE


@dataclass(frozen=True)
class RouteReason:
    """A cause, and the text of the route status that it is recognized by."""

    id: str
    text: str
    cause: str


ROUTE_REASONS: tuple[RouteReason, ...] = (
    RouteReason(
        "route-missing", NO_ROUTE, "the route does not exist: its step failed, or a domain did not exist at that time"
    ),
    RouteReason(
        "route-no-handshake",
        # Kuscia's own spelling.
        "DestinationIsNotAuthrized",
        "no handshake succeeded: wrong host, port or scheme, or the destination is down or has no certificate yet",
    ),
    RouteReason("route-no-token", "TokenNotGenerate", "one side has no token: it is down, or has never registered"),
    RouteReason(
        "route-unreachable", "DestinationUnreachable", "the gateway of the source cannot reach that of the destination"
    ),
    RouteReason("route-heartbeat-timeout", "HeartBeatTimeout", "the destination has not seen the source for 30 s"),
    RouteReason(
        "route-revision-mismatch",
        "TokenRevisionNotMatch",
        "both sides hold tokens of different revisions; this clears within minutes",
    ),
    RouteReason("route-not-registered", NO_HANDSHAKE, "one of the two domains has never registered"),
)
