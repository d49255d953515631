"""One running Kuscia node: what every module of it needs to know of the others."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim.faults.injector import Faults
from kuscia_sim.state.store import Store

if TYPE_CHECKING:
    from kuscia_sim.node.config import Config


class MasterUnreachable(Exception):
    """A lite's call to its master did not get through."""


class MasterAPI(Protocol):
    """A lite's way to its master's internal KusciaAPI (real: kusciaapi.master.svc, port 8092 of the master).

    The other end is `kuscia_sim.api.internal_app(node)`, which takes the caller's identity from the header
    `Kuscia-Source` and must only be reachable for authenticated domains.
    """

    async def post(self, path: str, body: bytes) -> bytes:
        """The answer's body of `POST <path>` with a JSON body. Raises MasterUnreachable."""
        ...


class Agent(Protocol):
    """What the log endpoint and the node's heartbeat ask of a lite's agent, which registers itself as `node.agent`."""

    async def ping(self) -> None:
        """Raises kuscia_sim.agent.provider.HostUnreachable when engines cannot be looked after just now."""
        ...

    def task_log(self, task_id: str, replica: int, container: str, follow: bool) -> Any:
        """An async iterator over the lines (str, without newline) of that engine's output.

        Raises LookupError with the text to answer when there is no such engine here.
        """
        ...


@dataclasses.dataclass
class Node:
    """A master or a lite.

    mode: "master" or "lite"; master_id: the master's domain ID (its own on a master);
    hostname: name of this instance, also its K3s node name; key: the domain's RSA key, which is its CA's
    key too; started: when the process came up (UTC); cert_pem: the domain certificate (PEM) as on disk;
    faults: what goes wrong on demand.
    """

    config: "Config"
    mode: str
    domain_id: str
    master_id: str
    hostname: str
    version: str
    store: Store
    key: RSAPrivateKey
    started: datetime.datetime
    master_reachable: Callable[[], bool]
    master_api: MasterAPI | None = None
    agent: Agent | None = None
    cert_pem: str = ""
    faults: Faults = dataclasses.field(default_factory=Faults)

    @property
    def is_master(self) -> bool:
        return self.mode == "master"
