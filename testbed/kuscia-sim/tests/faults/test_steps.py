"""The steps against nodes of the stand-in with faults: each reaches the same end state.

A master and two lites run as processes on loopback (README.md, "Faults"). Only the cluster that stores the steps'
Secrets and ConfigMaps is in memory.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import waiting
from kuscia_hooks.core.config.check import Check
from kuscia_hooks.core.config.data import Data
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.kuscia import domain_data, domain_key
from kuscia_hooks.steps import Outcome, check, data, prepare, register, routes
from kuscia_sim import credentials as sim_credentials
from kuscia_sim_testing.hostcluster import HostClusterServer
from kuscia_sim_testing.nodes import MASTER_ID, Node, free_offset, until, unused_token
from tests.hooks.builders import context, secret_data
from tests.hooks.fakes.cluster import FakeCore

pytestmark = pytest.mark.long

Fault = dict[str, Any]
SECONDS = 150.0
COUNT = 4

FAULTS: dict[str, list[Fault]] = {
    "http-500": [{"at": "api", "do": "fail", "status": 500, "chance": 0.4, "seed": 1}],
    "api-codes": [
        {"at": "api", "do": "fail", "code": 11300, "text": "etcdserver: request timed out", "chance": 0.4, "seed": 2}
    ],
    "resets": [{"at": "api", "do": "reset", "chance": 0.4, "seed": 3}],
    "every-first-answer-to-a-write-is-lost": [
        {"at": "api", "path": "*/create", "do": "lose", "times": 2 * COUNT},
        {"at": "api", "path": "*/update", "do": "lose", "times": COUNT},
    ],
    "any-answer-may-be-lost": [{"at": "api", "do": "lose", "chance": 0.4, "seed": 4}],
    "stalls-under-load": [{"at": "api", "do": "stall", "above": 2, "seconds": 4}],
    "the-state-stalls": [{"at": "apiserver", "do": "delay", "chance": 0.1, "seed": 5, "seconds": 3}],
    "the-state-is-reset": [{"at": "apiserver", "do": "reset", "chance": 0.1, "seed": 6}],
    "late-tokens": [{"at": "token", "do": "delay", "seconds": 6}],
}
ON_THE_MASTER = sorted(FAULTS.keys() - {"the-state-stalls", "the-state-is-reset"})
ON_A_LITE = sorted(FAULTS.keys() - {"late-tokens"})


class Party:
    """A node and the namespace of its release."""

    def __init__(self, node: Node, core: FakeCore) -> None:
        self.node = node
        self.core = core
        self.namespace = f"ns-{node.domain_id}"
        pem = sim_credentials.key_pem(node.key)
        core.put("secrets", self.namespace, "key", data=secret_data(**{"domain.key": pem}))

    def settings(self, **fields: Any) -> dict[str, Any]:
        """Return the fields that every step's configuration has."""
        return {
            "domainId": self.node.domain_id,
            "namespace": self.namespace,
            "keySecret": {"name": "key", "key": "domain.key"},
            "api": {"endpoint": f"http://127.0.0.1:{self.node.port(8082)}", "protocol": "NOTLS"},
            **fields,
        }

    def secret(self, name: str) -> str | None:
        found = self.core.data("secrets", self.namespace, name)
        return None if found is None else base64.b64decode(found["token"]).decode()

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.node.api(path, body)
        assert answer["status"]["code"] == 0, answer
        return answer.get("data")


class Cluster:
    def __init__(self, directory: Path, kubeconfig: str) -> None:
        self.core = FakeCore()
        self.kube = Kube(self.core)
        self.directory = directory
        self._kubeconfig = directory / "kubeconfig"
        self._kubeconfig.write_text(kubeconfig)
        config = {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}
        self.master = Party(Node(directory / "master", config, free_offset()), self.core)
        self.master.node.set_faults([])
        self.master.node.start().wait_started()
        self.parties = [self.master]

    def lite(self, domain_id: str, token: str) -> Party:
        """Return a lite that is not started."""
        config = {
            "mode": "lite",
            "domainID": domain_id,
            "protocol": "NOTLS",
            "liteDeployToken": token,
            "masterEndpoint": self.master.node.gateway,
            "runtime": "runk",
            "runk": {"namespace": f"lite-{domain_id}", "kubeconfigFile": str(self._kubeconfig)},
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "500", "storage": "100Gi"},
        }
        party = Party(Node(self.directory / domain_id, config, free_offset()), self.core)
        party.node.set_faults([])
        self.parties.append(party)
        return party

    def clear_faults(self) -> None:
        for party in self.parties:
            party.node.set_faults([])

    def stop(self) -> None:
        for party in reversed(self.parties):
            party.node.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    host = HostClusterServer(set())
    made = Cluster(tmp_path_factory.mktemp("faults"), host.kubeconfig)
    yield made
    made.stop()
    host.close()


@pytest.fixture(scope="module")
def lites(cluster: Cluster) -> dict[str, Party]:
    found = {}
    for domain_id in ("alice", "bob"):
        cluster.master.ask("domain/create", {"domain_id": domain_id})
        found[domain_id] = cluster.lite(domain_id, unused_token(cluster.master.node, domain_id))
        found[domain_id].node.start()
    for party in found.values():
        party.node.wait_started()
    return found


@pytest.fixture(autouse=True)
def mended(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.clear_faults()


Attempt = Callable[[Deadline, Summary], Outcome]


def converge(step: str, attempt: Attempt) -> Summary:
    """Run a step as its Job does, until it succeeds; return the changes of all attempts."""
    deadline, summary = Deadline(SECONDS), Summary()
    assert waiting.run(step, "job", deadline, lambda: attempt(deadline, summary)) == 0, f"{step} did not converge"
    return summary


def is_quiet(step: str, attempt: Attempt) -> None:
    """Check that another run has nothing to do."""
    summary = Summary()
    attempt(Deadline(SECONDS), summary)
    assert (summary.created, summary.updated, summary.deleted, summary.failed) == (0, 0, 0, 0), f"{step}: {summary}"


def domain_ids(name: str) -> list[str]:
    return [f"{name}-{number}"[-40:].strip("-") for number in range(COUNT)]


def register_step(cluster: Cluster, ids: list[str]) -> Attempt:
    domains = {domain_id: {"tokenSecret": f"token-{domain_id}"} for domain_id in ids}
    config = Register.model_validate(cluster.master.settings(ledger="ledger", domains=domains))
    return lambda deadline, summary: register.attempt(config, context(cluster.kube, deadline, summary=summary))


def registered(cluster: Cluster, ids: list[str]) -> None:
    """Check that each domain has one unused token, stored in its Secret."""
    for domain_id in ids:
        tokens = cluster.master.ask("domain/query", {"domain_id": domain_id})["deploy_token_statuses"]
        assert [entry["state"] for entry in tokens] == ["unused"]
        assert cluster.master.secret(f"token-{domain_id}") == tokens[0]["token"]
    kept = {name for kind, _, name in cluster.core.objects if kind == "secrets" and name.startswith("token-")}
    assert {name for name in kept if name.removeprefix("token-") in ids} == {f"token-{domain_id}" for domain_id in ids}


@pytest.mark.parametrize("name", ON_THE_MASTER)
def test_register_and_routes_converge(cluster: Cluster, name: str) -> None:
    ids = domain_ids(name)
    register_domains = register_step(cluster, ids)
    cluster.master.node.set_faults(FAULTS[name])
    converge("register", register_domains)

    image = {"image": {"name": "engine", "tag": "1"}, "deploy_templates": [
        {"name": "e", "replicas": 1, "containers": [{"name": "e", "ports": [{"name": "p", "protocol": "HTTP"}]}]}
    ]}  # fmt: skip
    ledger = f"ledger-{name}"[:63]
    domains = {domain_id: {"endpoint": f"http://{domain_id}.example.com:1080"} for domain_id in ids}
    config = Routes.model_validate(
        cluster.master.settings(ledger=ledger, domains=domains, routes="all", appImages={f"image-{name}"[:50]: image})
    )

    def apply_routes(deadline: Deadline, summary: Summary) -> Outcome:
        return routes.attempt(config, context(cluster.kube, deadline, summary=summary))

    converge("routes", apply_routes)

    cluster.clear_faults()
    registered(cluster, ids)
    pairs = [(source, destination) for source in ids for destination in ids if source != destination]
    keys = [{"source": source, "destination": destination} for source, destination in pairs]
    found = cluster.master.ask("route/status/batchQuery", {"route_keys": keys})["routes"]
    assert sorted(route["name"] for route in found) == sorted(
        f"{source}-{destination}" for source, destination in pairs
    )
    for key in keys:
        endpoint = cluster.master.ask("route/query", key)["endpoint"]
        assert endpoint["host"] == f"{key['destination']}.example.com"
    entries = json.loads((cluster.core.data("configmaps", cluster.master.namespace, ledger) or {})["routes"])
    assert sum(map(len, entries.values())) == len(pairs)
    is_quiet("register", register_domains)
    is_quiet("routes", apply_routes)


@pytest.mark.parametrize("name", ON_A_LITE)
def test_data_converges(cluster: Cluster, lites: dict[str, Party], name: str) -> None:
    alice = lites["alice"]
    tables = [f"{name}-{number}" for number in range(COUNT)]
    config = Data.model_validate(
        alice.settings(
            ledger=f"ledger-{name}"[:63],
            source={"id": f"source-{name}"[:63], "type": "localfs", "path": f"/data/{name}"},
            tables=[
                {"id": table, "name": table, "relativeUri": f"{table}.csv", "columns": [{"name": "id", "type": "str"}]}
                for table in tables
            ],
            grants=[{"table": table, "domain": "bob"} for table in tables],
        )
    )
    (cluster.master if name.startswith("the-state") else alice).node.set_faults(FAULTS[name])

    def declare(deadline: Deadline, summary: Summary) -> Outcome:
        return data.attempt(config, context(cluster.kube, deadline, summary=summary))

    converge("data", declare)
    cluster.clear_faults()

    source = alice.ask("domaindatasource/query", {"domain_id": "alice", "datasource_id": f"source-{name}"[:63]})
    assert source["info"]["localfs"] == {"path": f"/data/{name}"}
    declared = alice.ask("domaindata/list", {"data": {"domain_id": "alice"}})["domaindata_list"]
    assert sorted(d["domaindata_id"] for d in declared if d["domaindata_id"].startswith(name)) == tables
    assert {d["datasource_id"] for d in declared if d["domaindata_id"] in tables} == {f"source-{name}"[:63]}
    grants = alice.ask("domaindatagrant/list", {"data": {"domain_id": "alice"}})["domaindatagrant_list"]
    mine = [grant["data"] for grant in grants if grant["data"]["domaindata_id"] in tables]
    assert sorted((g["domaindata_id"], g["domaindatagrant_id"], g["grant_domain"]) for g in mine) == [
        (table, domain_data.grant_id(table, "bob"), "bob") for table in tables
    ]
    until(lambda: set(tables) <= _copies(lites["bob"]), 30)
    is_quiet("data", declare)


def _copies(bob: Party) -> set[str]:
    """Return the tables of alice that bob has."""
    found = bob.ask("domaindata/list", {"data": {"domain_id": "bob"}})["domaindata_list"]
    return {entry["domaindata_id"] for entry in found if entry["author"] == "alice"}


GATEWAY_FAULTS: dict[str, list[Fault]] = {
    "another-server-answers-502": [{"at": "gateway", "do": "fail", "status": 502}],
    "a-login-page-answers": [{"at": "gateway", "do": "login"}],
    "handshakes-are-reset": [{"at": "handshake", "do": "reset", "times": 3}],
    "a-registrations-answer-is-lost": [{"at": "handshake", "path": "/register", "do": "lose", "times": 1}],
    "registrations-fail-for-a-while": [
        {"at": "handshake", "path": "/register", "do": "fail", "status": 503, "text": "no healthy upstream", "times": 2}
    ],
    "the-gateway-comes-and-goes": [{"at": "gateway", "do": "fail", "status": 503, "down": 2, "every": 4}],
    "the-master-is-slow": [{"at": "handshake", "do": "delay", "seconds": 2}],
}


@pytest.mark.parametrize("name", GATEWAY_FAULTS)
def test_prepare_waits_until_lite_can_start(cluster: Cluster, tmp_path: Path, name: str) -> None:
    domain_id = f"g-{sorted(GATEWAY_FAULTS).index(name)}"
    converge("register", register_step(cluster, [domain_id]))
    party = cluster.lite(domain_id, "")
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump({key: value for key, value in party.node.config.items()
                                    if key not in ("domainKeyData", "liteDeployToken")}))  # fmt: skip
    token = {"namespace": cluster.master.namespace, "name": f"token-{domain_id}", "key": "token"}
    config = Prepare.model_validate(
        {
            "mode": "lite",
            "domainId": domain_id,
            "namespace": party.namespace,
            "keySecret": {"name": "key", "key": "domain.key"},
            "master": {"endpoint": cluster.master.node.gateway},
            "deployToken": token,
        }
    )
    cluster.master.node.set_faults(GATEWAY_FAULTS[name])
    time.sleep(1)
    mending = threading.Timer(6, cluster.clear_faults)
    mending.start()
    output = tmp_path / "kuscia.yaml"
    prepare.attempt(prepare.Settings(config, str(base), str(output)), context(cluster.kube, Deadline(SECONDS)))
    mending.join()
    made = yaml.safe_load(output.read_text())
    assert made["liteDeployToken"] == cluster.master.secret(f"token-{domain_id}")
    party.node.config = made
    party.node.start().wait_started()
    states = [
        entry["state"]
        for entry in cluster.master.ask("domain/query", {"domain_id": domain_id})["deploy_token_statuses"]
    ]
    assert sorted(states) in (["unused"], ["unused", "used"])
    assert states.count("used") <= 1
    party.node.stop()


def test_check_waits_for_flapping_route(cluster: Cluster, lites: dict[str, Party]) -> None:
    """Another server answers for bob's gateway at first; the route becomes READY, and check passes, when it is gone."""
    alice, bob = lites["alice"], lites["bob"]
    bob.node.set_faults([{"at": "gateway", "do": "fail", "status": 502}])
    domains = {
        party.node.domain_id: {"endpoint": f"http://127.0.0.1:{party.node.port(1080)}"} for party in (alice, bob)
    }
    config = Routes.model_validate(cluster.master.settings(ledger="flap", domains=domains, routes="all"))
    converge("routes", lambda deadline, summary: routes.attempt(config, context(cluster.kube, deadline)))
    checks = Check.model_validate(
        cluster.master.settings(
            mode="master",
            gateway=cluster.master.node.gateway,
            domains=domains,
            routes="all",
        )
    )
    report = check.run_checks(checks, cluster.kube, Deadline(6))
    assert report.failed == 1, "routes cannot be READY while bob's gateway answers 502"
    bob.node.set_faults([{"at": "gateway", "do": "fail", "status": 502, "down": 3, "every": 9}])
    until(lambda: check.run_checks(checks, cluster.kube, Deadline(15)).failed == 0, SECONDS)


def test_derives_same_token_as_node(cluster: Cluster) -> None:
    """The steps and the stand-in derive the same KusciaAPI token; otherwise every fault would be a 401."""
    key = domain_key.load_key(sim_credentials.key_pem(cluster.master.node.key).encode())
    assert domain_key.api_token(key, MASTER_ID) == sim_credentials.api_token(cluster.master.node.key, MASTER_ID)
