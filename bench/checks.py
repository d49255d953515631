"""Figures of `check`, and the memory of the steps of a lite: three releases on nodes of the stand-in."""

import base64
import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.api_server import ApiServer, in_thread, kubeconfig
from bench.processes import Process, Run, step_module
from bench.results import CHECK, MEMORY, Figure, cpu, median
from bench.setup import rendered
from kuscia_sim.credentials import b64, load_key
from kuscia_sim_testing.nodes import Node, free_offset

CHECK_SECONDS = 2.0
MEMORY_MB = 120.0
REPEATS = 5
STEP_SECONDS = "120"


class Party:
    """One release: its node, and the configurations that the chart renders for its steps."""

    def __init__(self, directory: Path, name: str, namespace: str, fullname: str) -> None:
        self.directory = directory
        self.name, self.namespace, self.fullname = name, namespace, fullname
        self.offset = free_offset()
        self.gateway = f"https://127.0.0.1:{1080 + self.offset}"
        self.files: dict[str, Path] = {}
        self.key = f"{fullname}-domain-key"

    def render(self, values: dict[str, Any], *presets: str) -> None:
        """Write the configurations, with this machine's addresses."""
        self.directory.mkdir()
        for name, config in rendered(values, self.namespace, *presets).items():
            if "api" in config:
                config["api"]["endpoint"] = f"https://127.0.0.1:{8082 + self.offset}"
            if "gateway" in config:
                config["gateway"] = self.gateway
            if name == "seed":
                config["path"] = str(self.directory / "data")
            if "path" in (config.get("datastore") or {}):
                config["datastore"]["path"] = str(self.directory)
            if name == "check":
                config["volume"] = None
            self.files[name] = self.directory / f"{name}.yaml"
            self.files[name].write_text(yaml.safe_dump(config))


class World:
    """A master and two lites.

    Args:
        url: of the Kubernetes API.
    """

    def __init__(self, directory: Path, api_server: ApiServer, url: str) -> None:
        self._directory, self._api_server = directory, api_server
        self._kubeconfig = directory / "kubeconfig"
        self._kubeconfig.write_text(kubeconfig(url, "default"))
        self._nodes = contextlib.ExitStack()
        self._numbers = itertools.count()
        self.runs: dict[str, list[Run]] = {}
        self.master = Party(directory / "master", "kuscia-system", "kuscia-master", "kuscia-master")
        self.lites = [Party(directory / name, name, f"lite-{name}", f"kuscia-lite-{name}") for name in ("alice", "bob")]

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self._nodes.close()

    def run(self, party: Party, step: str, *options: str) -> Run:
        """Run a step of a release to its end, and record it."""
        config = () if step == "keys" else ("--config", str(party.files[step]))
        module = step_module(step, *config, "--timeout", STEP_SECONDS, *options)
        log = party.directory / f"{next(self._numbers):02d}-{step}.log"
        run = Process(module, log, {"KUBECONFIG": str(self._kubeconfig)}).wait()
        self.runs.setdefault(step, []).append(run)
        return run

    def render(self) -> None:
        """Write the configurations of the three releases."""
        endpoints = {lite.name: {"endpoint": lite.gateway} for lite in self.lites}
        self.master.render({"master": {"domains": endpoints}}, "master")
        for lite in self.lites:
            values = {"lite": {"master": {"endpoint": self.master.gateway}}}
            lite.render(values, lite.name, f"{lite.name}-tables", "runp")

    def install(self) -> None:
        """Install the three releases, step by step."""
        self.render()
        for party in (self.master, *self.lites):
            self._api_server.put("services", party.namespace, party.fullname, spec={"clusterIP": "127.0.0.1"})
            self._create_key(party)
        self._start(self.master)
        self.run(self.master, "register")
        self.run(self.master, "routes")
        for lite in self.lites:
            self.run(lite, "seed")
            self._start(lite)
        for lite in self.lites:
            self.run(lite, "data")

    def _create_key(self, party: Party) -> None:
        names = {"--domain-id": party.name, "--namespace": party.namespace, "--key-secret": party.key}
        names["--cert-configmap"] = f"{party.fullname}-domain-cert"
        self.run(party, "keys", *itertools.chain(*names.items()))

    def _start(self, party: Party) -> None:
        """Start a node with the configuration that `prepare` completes."""
        complete = party.directory / "complete.yaml"
        self.run(party, "prepare", "--base", str(party.files["kuscia"]), "--output", str(complete))
        pem = base64.b64decode(self._api_server.data("secrets", party.namespace, party.key)["domain.key"]).decode()
        node = Node(party.directory / "node", yaml.safe_load(complete.read_text()), party.offset, load_key(b64(pem)))
        node.start()
        self._nodes.callback(node.stop)
        node.wait_started()


def check(directory: Path, repeats: int = REPEATS) -> Iterator[Figure]:
    """Measure `check` of a master and of a lite, and the memory of the steps that do not depend on routes."""
    directory.mkdir(parents=True)
    server = ApiServer()
    with in_thread(server) as url, World(directory, server, url) as world:
        world.install()
        for party, title in ((world.master, "a master with two lites"), (world.lites[0], "a lite")):
            world.run(party, "check")  # waits until nodes and routes are ready
            runs = [world.run(party, "check") for _ in range(repeats)]
            name = "master" if party is world.master else "lite"
            yield median(
                CHECK,
                f"check-{name}",
                f"check of {title}",
                [run.seconds for run in runs],
                CHECK_SECONDS,
                unit="s",
                note=cpu(runs),
            )
        for step in ("keys", "prepare", "seed", "data"):
            peaks = tuple(run.memory_mb for run in world.runs[step])
            yield Figure(f"memory-{step}", MEMORY, f"Peak memory of {step}", max(peaks), MEMORY_MB, "MB", peaks)
