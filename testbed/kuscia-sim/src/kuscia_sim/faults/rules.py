"""The entries of a faults file: where they hit and what they do (README.md, "Faults")."""

import dataclasses
from typing import Any

SERVERS = ("api", "internal", "apiserver", "datamesh", "handshake")
"""Servers that faults can hit: ports 8082, 8092, 6443, 8070, 1054 (handshakes and registrations behind 1080)."""
GATEWAY, START, TOKEN = "gateway", "start", "token"
ACTIONS = {
    **dict.fromkeys(SERVERS, ("fail", "reset", "lose", "delay", "stall")),
    GATEWAY: ("fail", "login"),
    START: ("delay",),
    TOKEN: ("delay",),
}


class FaultsInvalid(Exception):
    """The file is invalid; str() names the entry and the problem."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One entry of the file.

    Attributes:
        at: where it hits.
        do: what it does.
        node: a domain ID, `master`, `lite` or `*`.
        path: a pattern for the request path.
        skip, times: let the first `skip` matching requests pass, then hit at most `times` (0: all).
        chance, seed: hit with this probability; the same seed gives the same sequence.
        down, every: hit only in the first `down` of every `every` seconds since the file changed.
        seconds, above: length of a delay or stall; a stall hits while more than `above` requests are in progress.
        status, code, text: HTTP status, or code of KusciaAPI in a 200, and message.
    """

    at: str
    do: str
    node: str = "*"
    path: str = "*"
    skip: int = 0
    times: int = 0
    chance: float = 1.0
    seed: int = 0
    down: float = 0.0
    every: float = 0.0
    seconds: float = 0.0
    above: int = 0
    status: int = 500
    code: int = 0
    text: str = "Internal Server Error"

    @classmethod
    def parse(cls, entry: Any, where: str) -> "Fault":
        """Parse one entry.

        Raises:
            FaultsInvalid: the entry is invalid.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if not isinstance(entry, dict):
            raise FaultsInvalid(f"{where}: must be a mapping, for example {{at: api, do: reset, times: 3}}")
        unknown = sorted(entry.keys() - fields.keys(), key=str)
        if unknown:
            raise FaultsInvalid(
                f"{where}: unknown field {', '.join(map(str, unknown))}; valid fields: {', '.join(fields)}"
            )
        if entry.get("at") not in ACTIONS:
            raise FaultsInvalid(f"{where}: at must be one of {', '.join(ACTIONS)}")
        if entry.get("do") not in ACTIONS[entry["at"]]:
            raise FaultsInvalid(f"{where}: do must be one of {', '.join(ACTIONS[entry['at']])}")
        for name, value in entry.items():
            kind: Any = fields[name].type
            fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
            if not fits:
                raise FaultsInvalid(f"{where}: {name} must be of type {kind.__name__}, not {value!r}")
        fault = cls(**entry)
        if fault.do in ("delay", "stall") and fault.seconds <= 0:
            raise FaultsInvalid(f"{where}: seconds is required for {fault.do}")
        if fault.every and not 0 < fault.down < fault.every:
            raise FaultsInvalid(f"{where}: down must be between 0 and every")
        return fault
