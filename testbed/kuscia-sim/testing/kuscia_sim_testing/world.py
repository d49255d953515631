"""Nodes of the stand-in as processes on loopback, each on its own address.

Ports are Kuscia's plus an offset that differs between nodes, because Envoy's administration interface always listens on
127.0.0.1.
"""

import asyncio
import ctypes
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from kuscia_sim import credentials
from kuscia_sim.node.config import Config
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.store import LocalStore
from kuscia_sim_testing.recording import Line

FIRST_OFFSET, LAST_OFFSET = 22000, 50000
ENVOY_ADMIN_PORT, DNS_PORT = 10000, 53
MASTER_ID = "kuscia-system"
PR_SET_PDEATHSIG = 1
START_TIMEOUT = 90.0
STOP_TIMEOUT = 10.0
LITE_CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "500", "storage": "100Gi"}
SIM = Path(__file__).parents[2]


class NodeFailed(Exception):
    """A node did not start, or exited; str() contains the end of its output."""


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class NodeProcess:
    """One `kuscia start`, with its files below `home`."""

    def __init__(self, home: Path, address: str, offset: int, hostname: str, config: dict[str, Any]) -> None:
        self.home = home
        self.offset = offset
        self.address = address
        self.hostname = hostname
        self.domain_id: str = config["domainID"]
        self.protocol: str = config["protocol"]
        self.key = credentials.new_key()
        self.config = {**config, "domainKeyData": credentials.b64(credentials.key_pem(self.key))}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def token(self) -> str:
        return credentials.api_token(self.key, self.domain_id)

    def port(self, number: int) -> int:
        return number + self.offset

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / "kuscia.yaml"
        path.write_text(yaml.safe_dump(self.config))
        environment = {
            **os.environ,
            "PYTHONPATH": str(SIM / "src"),
            "KUSCIA_SIM_BIND": self.address,
            "KUSCIA_SIM_PORT_OFFSET": str(self.offset),
            "KUSCIA_SIM_HOSTNAME": self.hostname,
            "KUSCIA_SIM_HOME": str(self.home),
            "TZ": "Asia/Shanghai",
        }
        with (self.home / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kuscia_sim", "start", "-c", str(path)],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def wait_started(self) -> None:
        """Wait until the node has started.

        Raises:
            NodeFailed: it exited, or did not start within START_TIMEOUT.
        """
        assert self._process
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise NodeFailed(f"{self.hostname} exited with {self._process.returncode}:\n{self.tail()}")
            if "Kuscia started success" in self.output():
                return
            time.sleep(0.1)
        raise NodeFailed(f"{self.hostname} did not start within {START_TIMEOUT:.0f} s:\n{self.tail()}")

    def output(self) -> str:
        return (self.home / "output.log").read_text(errors="replace")

    def tail(self) -> str:
        return "\n".join(self.output().splitlines()[-40:])

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


class World:
    """Masters and lites of one replay. Nodes start when they are first needed."""

    def __init__(self, directory: Path, lines: list[Line], kubeconfig: str) -> None:
        self._directory = directory
        self._names = hostnames(lines)
        self._kubeconfig = kubeconfig
        self._network = _free_network()
        self.nodes: dict[str, NodeProcess] = {}

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(list(self.nodes.values())):
            node.stop()

    def _add(self, name: str, config: dict[str, Any]) -> NodeProcess:
        address = f"127.0.{self._network}.{len(self.nodes) + 2}"
        hostname = self._names.get(name, f"kuscia-{name}-0")
        offset = _free_offset(1 + max((node.offset for node in self.nodes.values()), default=FIRST_OFFSET))
        self.nodes[name] = NodeProcess(self._directory / name, address, offset, hostname, config)
        return self.nodes[name]

    def start_master(self, name: str, protocol: str, domains: dict[str, dict[str, str]]) -> NodeProcess:
        """Start a master.

        Args:
            domains: annotations by ID of existing Domains (created by kubectl, as Kuscia's script does).
        """
        node = self._add(name, {"mode": "master", "domainID": MASTER_ID, "protocol": protocol})
        asyncio.run(_seed(node, domains))
        node.start()
        node.wait_started()
        return node

    def start_lites(self, tokens: dict[str, str], protocol: str = "NOTLS") -> None:
        """Start lites at the same time.

        Args:
            tokens: an unused deploy token by domain ID.
        """
        master = self.nodes["master"]
        scheme = "http" if master.protocol == "NOTLS" else "https"
        kubeconfig = self._directory / "kubeconfig"
        kubeconfig.write_text(self._kubeconfig)
        started = []
        for domain_id, token in tokens.items():
            runk = {"namespace": f"lite-{domain_id}", "kubeconfigFile": str(kubeconfig)}
            config = {
                "mode": "lite",
                "domainID": domain_id,
                "protocol": protocol,
                "liteDeployToken": token,
                "masterEndpoint": f"{scheme}://{master.address}:{master.port(1080)}",
                "runtime": "runk",
                "runk": {**runk, "enableLogging": False},
                "capacity": LITE_CAPACITY,
            }
            node = self._add(f"lite-{domain_id}", config)
            node.start()
            started.append(node)
        for node in started:
            node.wait_started()


def _free_network() -> int:
    """Return the third byte of loopback addresses that no other world uses."""
    for network in random.sample(range(2, 250), 20):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((f"127.0.{network}.2", DNS_PORT + FIRST_OFFSET + 1))
                return network
            except OSError:
                continue
    raise NodeFailed("no free loopback network")


def _free_offset(first: int) -> int:
    """Return an offset whose administration port is free.

    Raises:
        NodeFailed: all are in use.
    """
    for offset in range(first, LAST_OFFSET):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", ENVOY_ADMIN_PORT + offset))
                return offset
            except OSError:
                continue
    raise NodeFailed("no free port for Envoy's administration")


async def _seed(node: NodeProcess, domains: dict[str, dict[str, str]]) -> None:
    path = node.home / "var/k3s/server/db/state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    token = Config(mode="master", domain_id=node.domain_id).k3s_token
    store = await LocalStore.open(datastore_url("", str(path)), token)
    try:
        for domain_id, annotations in domains.items():
            center = {"authenticationType": "Token", "tokenGenMethod": "RSA-GEN"}
            spec = {"cert": "", "role": "", "master": "", "authCenter": center}
            await store.create("domains", "", domain_id, {"metadata": {"annotations": annotations}, "spec": spec})
    finally:
        await store.close()


def hostnames(lines: Iterable[Line]) -> dict[str, str]:
    """Return the names of the pods in the answers, by node."""
    found: dict[str, str] = {}
    for line in lines:
        for pattern in (r'"instance":"([^"]+)"', r"Host: (\S+),"):
            match = re.search(pattern, line.answer)
            if match:
                found.setdefault(line.node, match[1])
        for match in re.finditer(r'"name":"(kuscia-lite-([a-z0-9]+)-[a-z0-9-]+)"', line.answer):
            found.setdefault(f"lite-{match[2]}", match[1])
    return found
