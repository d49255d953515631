"""One running Kuscia node: what its modules share."""

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
    """A lite's call to its master failed."""


class MasterAPI(Protocol):
    """A lite's connection to its master's internal KusciaAPI (in Kuscia kusciaapi.master.svc, port 8092 of the master).

    The other end is `kuscia_sim.api.internal_app(node)`, which trusts the header `Kuscia-Source` and must only be
    reachable for authenticated domains.
    """

    async def post(self, path: str, body: bytes) -> bytes:
        """Return the body of the answer to `POST <path>` with a JSON body.

        Raises:
            MasterUnreachable: the call failed.
        """
        ...


class Agent(Protocol):
    """The part of a lite's agent that the log endpoint and the node's heartbeat use, registered as `node.agent`."""

    async def ping(self) -> None:
        """Check that engines can be managed.

        Raises:
            kuscia_sim.agent.provider.HostUnreachable: they cannot.
        """
        ...

    def task_log(self, task_id: str, replica: int, container: str, follow: bool) -> Any:
        """Return an async iterator over the lines (str, without newline) of an engine's output.

        Raises:
            LookupError: there is no such engine; its argument is the text to answer with.
        """
        ...


@dataclasses.dataclass
class Node:
    """A master or a lite.

    Attributes:
        mode: "master" or "lite".
        master_id: the master's domain ID (on a master its own).
        hostname: name of this instance, and of its K3s node.
        key: the domain's RSA key, which is also that of its CA.
        started: start of the process (UTC).
        cert_pem: the domain certificate (PEM) as on disk.
        faults: the faults to inject.
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
