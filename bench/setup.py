"""A cluster to set up: its values, the configurations that the chart renders for its steps, and its server process."""

import base64
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench import api_server
from bench.processes import ROOT, Process, Run, step_module
from kuscia_sim.credentials import api_token, b64, load_key

NAMESPACE, MASTER_ID = "kuscia-master", "kuscia-system"
KUBE_VERSION = "1.30.0"
STEP_SECONDS = "900"


def domain_ids(number: int) -> list[str]:
    """Return domain IDs as Kuscia recommends them: company-department-node."""
    return [f"org{index:03d}-risk-node1" for index in range(number)]


def endpoint(domain: str) -> str:
    return f"https://kuscia-lite-{domain}.lite-{domain}.svc.cluster.local:1080"


def values(domains: list[str]) -> dict[str, Any]:
    """Return the values of a master with these domains and all routes between them."""
    entries = {domain: {"endpoint": endpoint(domain)} for domain in domains}
    return {"master": {"enabled": True, "domains": entries, "routes": "all", "exampleJob": {"enabled": False}}}


def route_bodies(domains: list[str]) -> list[dict[str, Any]]:
    """Return the body of `route/create` for every route between the domains."""
    return [
        {
            "source": source,
            "destination": destination,
            "authentication_type": "Token",
            "token_config": {"token_gen_method": "RSA-GEN", "rolling_update_period": 86400},
            "endpoint": {
                "host": endpoint(destination).removeprefix("https://").removesuffix(":1080"),
                "ports": [{"name": "http", "port": 1080, "protocol": "HTTP", "isTLS": True, "path_prefix": ""}],
            },
        }
        for source, destination in itertools.permutations(domains, 2)
    ]


def rendered(given: dict[str, Any], namespace: str = NAMESPACE, *presets: str) -> dict[str, dict[str, Any]]:
    """Return the configuration files that the chart renders for the steps, and kuscia.yaml, by name without extension.

    Args:
        given: values on top of the presets.
        presets: names of files in values/.
    """
    command = ["helm", "template", "kuscia", str(ROOT / "charts/kuscia"), "--namespace", namespace]
    command += [f"--values={ROOT / 'values' / preset}.yaml" for preset in presets]
    done = subprocess.run(
        [*command, "--kube-version", KUBE_VERSION, "--values=-"],
        input=yaml.safe_dump(given),
        text=True,
        capture_output=True,
        check=True,
    )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = {}
    for item in yaml.load_all(done.stdout, loader):
        for name, text in ((item or {}).get("data") or {}).items() if (item or {}).get("kind") == "ConfigMap" else ():
            if name.endswith(".yaml"):
                files[name.removesuffix(".yaml")] = yaml.load(text, loader)
    return files


@dataclass(frozen=True)
class Counts:
    """Requests that a server received, by path of KusciaAPI, and such as `get secrets` of the Kubernetes API."""

    kusciaapi: dict[str, int]
    kubernetes: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.kusciaapi.values()) + sum(self.kubernetes.values())


class Setup:
    """One server process, and the files of the steps and of the loop that use it.

    Args:
        directory: empty; for all files.
        number: of domains.
    """

    def __init__(self, directory: Path, number: int, ports: dict[str, int]) -> None:
        self.directory = directory
        self.domains = domain_ids(number)
        self.routes = route_bodies(self.domains)
        self._kusciaapi = f"https://127.0.0.1:{ports['kusciaapi']}"
        self._kubernetes = f"https://127.0.0.1:{ports['kubernetes']}"
        self._control = httpx.Client(base_url=f"http://127.0.0.1:{ports['control']}", timeout=600)
        self._runs = itertools.count()
        ca = base64.b64encode((directory / "ca.crt").read_bytes()).decode()
        (directory / "kubeconfig").write_text(api_server.kubeconfig(self._kubernetes, NAMESPACE, ca))
        for step, config in rendered(values(self.domains)).items():
            if "api" in config:
                config["api"]["endpoint"] = self._kusciaapi
            if "gateway" in config:
                config["gateway"] = f"https://127.0.0.1:{ports['gateway']}"
            (directory / f"{step}.yaml").write_text(yaml.safe_dump(config))

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.directory / "kubeconfig"), "PYTHONUNBUFFERED": "1"}

    def start(self, step: str, *options: str) -> Process:
        """Start a step with its rendered configuration."""
        config = ("--config", str(self.directory / f"{step}.yaml"), "--timeout", STEP_SECONDS)
        log = self.directory / f"{next(self._runs):02d}-{step}.log"
        return Process(step_module(step, *config, *options), log, self.environment)

    def run(self, step: str, *options: str) -> Run:
        """Run a step to its end."""
        return self.start(step, *options).wait()

    def start_loop(self, concurrency: int, routes: int | None = None) -> Process:
        """Start the bare loop, for the first `routes` routes."""
        key = load_key(b64((self.directory / "key.pem").read_text()))
        setup = {
            "kusciaapi": self._kusciaapi,
            "kubernetes": self._kubernetes,
            "namespace": NAMESPACE,
            "ca": str(self.directory / "ca.crt"),
            "token": api_token(key, MASTER_ID),
            "domains": self.domains,
            "routes": self.routes[:routes],
        }
        path = self.directory / "loop.json"
        path.write_text(json.dumps(setup))
        log = self.directory / f"{next(self._runs):02d}-loop.log"
        return Process(["bench.loop", str(path), str(concurrency)], log)

    def counts(self) -> Counts:
        """Return the requests since the last call."""
        found = self._control.post("/counts").raise_for_status().json()
        return Counts(found["kusciaapi"], found["kubernetes"])

    def set_pace(self, on: bool) -> None:
        """Make the server as slow as a real master, or as fast as it can."""
        self._control.post("/pace", json={"on": on}).raise_for_status()

    def make_ready(self) -> None:
        """Give every domain a Ready node, and every route a finished handshake."""
        self._control.post("/ready").raise_for_status()

    def check_complete(self, routes: int | None = None) -> None:
        """Raise AssertionError unless all domains, tokens and routes (the first `routes` of them) exist."""
        found = self._control.get("/state").raise_for_status().json()
        expected = {
            "domains": len(self.domains),
            "routes": len(self.routes[:routes]),
            "secrets": len(self.domains) + 1,  # and the domain key
        }
        assert found == expected, f"{found}, expected {expected}"


@contextmanager
def serving(directory: Path, number: int) -> Iterator[Setup]:
    """Yield a setup of `number` domains with nothing created yet; its server runs until the end of the block."""
    directory.mkdir(parents=True)
    with (directory / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "bench.server", str(directory)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout
            line = server.stdout.readline()
            if not line:
                raise RuntimeError(f"the server did not start:\n{(directory / 'server.log').read_text()[-2000:]}")
            yield Setup(directory, number, json.loads(line))
        finally:
            server.terminate()
            server.wait(20)
