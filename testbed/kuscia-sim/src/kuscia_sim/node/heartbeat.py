"""Heartbeats of a running node: of its gateway instance, and on a lite of its K3s node.

Kuscia facts 6.4 (gateway heartbeats), 12.5 (node names), 14.3 (nodes).
"""

import asyncio
import contextlib
from pathlib import Path

from kuscia_sim.agent.capacity import room
from kuscia_sim.agent.provider import HostUnreachable
from kuscia_sim.gateway.handshake import public_pem
from kuscia_sim.log import Log
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import MasterUnreachable, Node
from kuscia_sim.state.objects import mutate
from kuscia_sim.state.remote_store import NODE_NAMESPACE_LABEL
from kuscia_sim.state.store import Forbidden, NotFound, Object, StoreError, now_rfc3339

PERIOD = 15.0
PING_PERIOD = 10.0
STILL_READY_PAUSE = 5.0
MACHINE_ID = Path("/proc/sys/kernel/random/boot_id")
RUNTIME_LABEL = "kuscia.secretflow/runtime"

log = Log(__name__)


class DuplicateNode(Exception):
    """Another domain has a node with this name (Kuscia facts 12.5)."""


async def gateway_heartbeat(node: Node, host: Host) -> None:
    """Create and renew the `gateways` record of this instance until cancelled."""
    started = now_rfc3339()
    while True:
        status = {
            "address": host.pod_ip,
            "uptime": started,
            "heartbeatTime": now_rfc3339(),
            "publicKey": public_pem(node.key),
            "version": node.version,
            "networkStatus": [],
        }
        try:
            await write_gateway(node, status)
            pause = PERIOD
        except (StoreError, MasterUnreachable) as err:
            log.error("controller/gateway.go:114", f"sync gateway error: {err}")
            pause = 1.0
        await asyncio.sleep(pause)


async def write_gateway(node: Node, status: Object) -> None:
    """Store the status of this instance's gateway record, created if missing."""

    def change(current: Object) -> None:
        current["status"] = status

    try:
        await mutate(node.store, "gateways", node.domain_id, node.hostname, change)
    except NotFound:
        await node.store.create("gateways", node.domain_id, node.hostname, {"spec": {}, "status": status})
        log.info(
            "controller/gateway.go:146",
            f"create gateway(name:{node.hostname} namespace:{node.domain_id}) success",
        )


class NodeRecord:
    """The K3s node of a lite: registered before the agent runs, Ready while it does, removed when it exits."""

    def __init__(self, node: Node, host: Host) -> None:
        self._node = node
        self._host = host
        self._machine = machine_id(host)

    async def register(self) -> None:
        """Register the node as NotReady.

        Waits for a Ready node of the same name on another machine: its owner may be shutting down.

        Raises:
            DuplicateNode: another domain has the name.
        """
        name, store = self._node.hostname, self._node.store
        while True:
            try:
                present = await store.get("nodes", "", name)
            except NotFound:
                await store.create("nodes", "", name, self._object())
                return
            except Forbidden as err:
                raise self._duplicate() from err
            owner = (present["metadata"].get("labels") or {}).get(NODE_NAMESPACE_LABEL)
            if owner != self._node.domain_id:
                raise self._duplicate()
            machine = (present["status"].get("nodeInfo") or {}).get("machineID")
            if machine == self._machine or not is_ready(present):
                await mutate(store, "nodes", "", name, lambda current: current.update(self._content()))
                return
            log.warning(
                "framework/node_controller.go:336",
                "there is another node with same name but a different machine id is running, please check, "
                f"node_name={name}",
            )
            await asyncio.sleep(STILL_READY_PAUSE)

    async def run(self) -> None:
        """Report the node Ready until cancelled. While its host is unreachable it does not, and is lost after 3
        minutes.
        """
        while True:
            try:
                if self._node.agent:
                    await self._node.agent.ping()
                await self._report("True", "AgentReady", "Agent is ready")
            except HostUnreachable as err:
                log.warning(
                    "framework/node_controller.go:424",
                    f"Error while handling node ping: error while pinging the node provider, detail-> {err}",
                )
            except NotFound:
                await self.register()
                continue
            except (StoreError, MasterUnreachable) as err:
                log.warning("framework/node_controller.go:424", f"Error while handling node ping: {err}")
            await asyncio.sleep(PING_PERIOD)

    async def remove(self) -> None:
        """Remove the node at a graceful exit (RunK and RunP; RunC leaves it NotReady)."""
        with contextlib.suppress(StoreError, MasterUnreachable, TimeoutError):
            async with asyncio.timeout(1):
                if self._node.config.runtime == "runc":
                    await self._report("False", "AgentExit", "Node not ready due to agent exited")
                else:
                    await self._node.store.delete("nodes", "", self._node.hostname)

    async def _report(self, ready: str, reason: str, message: str) -> None:
        def change(current: Object) -> None:
            current["status"]["conditions"] = [
                _condition(ready, reason, message, (current["status"].get("conditions") or [None])[0])
            ]

        await mutate(self._node.store, "nodes", "", self._node.hostname, change)

    def _duplicate(self) -> DuplicateNode:
        return DuplicateNode(
            "duplicate node name with other domain, please change this node's name, "
            f"node_name={self._node.hostname}, self_domain={self._node.domain_id}"
        )

    def _object(self) -> Object:
        return {"metadata": {"labels": self._labels()}, **self._content()}

    def _labels(self) -> dict[str, str]:
        return {
            "kubernetes.io/hostname": self._node.hostname,
            NODE_NAMESPACE_LABEL: self._node.domain_id,
            RUNTIME_LABEL: self._node.config.runtime,
        }

    def _content(self) -> Object:
        offered = room(self._node.config, self._host.home)
        return {
            "spec": {"taints": [{"key": "kuscia.secretflow/agent", "effect": "NoSchedule"}]},
            "status": {
                "capacity": offered.capacity,
                "allocatable": offered.allocatable,
                "addresses": [{"type": "InternalIP", "address": self._host.pod_ip}],
                "nodeInfo": {"machineID": self._machine, "kubeletVersion": self._node.version},
                "conditions": [_condition("False", "AgentNotReady", "Agent is not ready", None)],
            },
        }


def is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def machine_id(host: Host) -> str:
    """Return the identity of the host: the pod (by address) in the image, otherwise this machine."""
    boot = MACHINE_ID.read_text().strip()
    return f"{boot}-{host.pod_ip}" if host.in_image else f"{boot}-{host.offset}"


def _condition(ready: str, reason: str, message: str, before: Object | None) -> Object:
    now = now_rfc3339()
    since = before["lastTransitionTime"] if before and before["status"] == ready else now
    return {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": since,
    }
