"""The permissions that the steps use are those that the chart grants: no more, no less.

Every step runs as its pod does, with the arguments and the configuration that the chart renders. The API server records
what is used. RunK's own Role is not compared: Kuscia uses it, not a step.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kuscia_hooks import cli
from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.kuscia import gateway, registration
from kuscia_hooks.steps import prepare
from tests.chart.render import Object, Scenario, find, pod_template, with_values
from tests.chart.scenarios import ALICE_TABLES
from tests.hooks.builders import container, pod, secret_data
from tests.hooks.fakes.certificates import Authority
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia
from tests.hooks.fakes.s3 import FakeS3

MASTER = Scenario("master", ("master",), namespace="kuscia-master")
ALICE = Scenario("alice", ALICE_TABLES, namespace="lite-alice")
PULL_SECRETS = with_values(
    "pull secrets", {"global": {"kuscia": {"imagePullSecrets": ["registry"]}}}, *ALICE_TABLES, namespace="lite-alice"
)
CA_BUNDLE = with_values(
    "CA bundle", {"lite": {"master": {"caBundle": {"configMap": "gateway-ca"}}}}, *ALICE_TABLES, namespace="lite-alice"
)
Permission = tuple[str, str, str, str]
"""Verb, resource, namespace and name; "*" for every name."""


def granted(objects: list[Object], account: str) -> set[Permission]:
    """Return the permissions of a ServiceAccount, without those of RunK."""
    roles = {
        (item["metadata"]["namespace"], item["roleRef"]["name"])
        for item in objects
        if item["kind"] == "RoleBinding" and account in [subject["name"] for subject in item["subjects"]]
    }
    return {
        (verb, resource, item["metadata"]["namespace"], name)
        for item in objects
        if item["kind"] == "Role" and (item["metadata"]["namespace"], item["metadata"]["name"]) in roles
        if not item["metadata"]["name"].endswith("-runk")
        for rule in item["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
    }


class Release:
    """Runs the steps of one rendered release, and collects the permissions that they use."""

    def __init__(self, scenario: Scenario, core: FakeCore, endpoint: str, directory: Path) -> None:
        self.objects, self.namespace, self.core = scenario.objects, scenario.namespace, core
        self._endpoint, self._directory = endpoint, directory

    def arguments(self, step: str) -> list[str]:
        """Return the arguments of the container that runs a step."""
        for item in self.objects:
            template = pod_template(item) or {}
            spec = template.get("spec") or {}
            for one in (spec.get("initContainers") or []) + (spec.get("containers") or []):
                if (one.get("args") or [""])[0] == step:
                    return list(one["args"])
        raise LookupError(step)

    def config(self, name: str, **changes: Any) -> str:
        """Write a rendered configuration that refers to the KusciaAPI of the test, and return its path."""
        for item in self.objects:
            if item["kind"] == "ConfigMap" and name in item["data"]:
                found = yaml.safe_load(item["data"][name])
                if "api" in found:
                    found["api"] = {"endpoint": self._endpoint, "protocol": "NOTLS"}
                if "domainsFile" in found:
                    self.config(found["domainsFile"])
                path = self._directory / name
                path.write_text(yaml.safe_dump({**found, **changes}))
                return str(path)
        raise LookupError(name)

    def run(self, step: str, *options: str, **changes: Any) -> str:
        """Run a step as its pod does, and return its output."""
        given = self.arguments(step)
        for index, word in enumerate(given):
            if word.startswith("/etc/kuscia-hooks/"):
                given[index] = self.config(Path(word).name, **changes)
            elif word == "--timeout":
                given[index + 1] = "20"
        if "--timeout" not in given:
            given += ["--timeout", "20"]
        result = CliRunner().invoke(cli.main, [*given, *options])
        assert result.exit_code == 0, result.output
        return result.output

    def inspect(self, command: str, *arguments: str, config: str = "doctor.yaml") -> str:
        """Run a command that reads the release, and return its output."""
        result = CliRunner().invoke(cli.main, [command, *arguments, "--config", self.config(config)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "permission-denied" not in result.output
        return result.output

    def compare(self, account: str, extra: set[Permission] = frozenset()) -> None:  # type: ignore[assignment]
        """Compare the permissions that were used with those of a ServiceAccount.

        Args:
            extra: permissions that another release grants.
        """
        given = granted(self.objects, account) | extra
        assert given
        used = self.core.used
        lacking = {one for one in used if one not in given and (*one[:3], "*") not in given}
        surplus = {one for one in given if one not in used and (one[3] != "*" or one[:3] not in {u[:3] for u in used})}
        assert (lacking, surplus) == (set(), set())


@pytest.fixture
def release(
    core: FakeCore, endpoint: str, key_pem: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Scenario], Release]:
    monkeypatch.setattr(cli.command, "connect", lambda: Kube(core))
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def opened(scenario: Scenario) -> Release:
        found = Release(scenario, core, endpoint, tmp_path)
        for item in found.objects:
            if item["kind"] == "Deployment":
                name = f"{item['metadata']['name']}-domain-key"
                core.put("secrets", scenario.namespace, name, data=secret_data(**{"domain.key": key_pem}))
            if item["kind"] == "Service":
                metadata = item["metadata"]
                core.put("services", scenario.namespace, metadata["name"], spec={"clusterIP": "10.1.1.1"})
                made = core.objects["services", scenario.namespace, metadata["name"]]
                made["metadata"]["creationTimestamp"] = "2026-11-24T00:00:00Z"
        core.put("configmaps", scenario.namespace, "gateway-ca", data={"ca.crt": Authority().pem.decode()})
        return found

    return opened


@pytest.mark.parametrize("scenario", [MASTER, ALICE], ids=lambda found: found.name)
def test_keys_uses_exactly_its_permissions(
    release: Callable[[Scenario], Release], core: FakeCore, scenario: Scenario
) -> None:
    made = release(scenario)
    core.objects.clear()
    for _ in range(2):
        made.run("keys")
    made.compare(f"kuscia-{'master' if scenario is MASTER else 'lite-alice'}-keys")


def test_register_uses_exactly_its_permissions(release: Callable[[Scenario], Release], kuscia: Kuscia) -> None:
    made = release(MASTER)
    for _ in range(2):
        made.run("register")
    for domain in ("alice", "bob"):
        # A deploy token that was replaced, and one of an earlier state of the master.
        kuscia.domains[domain]["deploy_token_statuses"] = [{"token": kuscia.new_token(), "state": "unused"}]
    made.run("register")
    kuscia.domains.clear()
    made.run("register")
    made.compare("kuscia-master-register")


def test_routes_uses_exactly_its_permissions(release: Callable[[Scenario], Release], kuscia: Kuscia) -> None:
    made = release(MASTER)
    for domain in ("alice", "bob"):
        kuscia.join(domain)
    for _ in range(2):
        made.run("routes")
    made.run("routes", domains={"alice": {}, "bob": {}}, routes=[])
    made.compare("kuscia-master-routes")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> FakeS3:
    fake = FakeS3("alice")
    monkeypatch.setattr("kuscia_hooks.tables.s3.connect", fake.connect)
    keys = secret_data(access_key_id="AKID", access_key_secret="hunter2-hunter2")
    core.put("secrets", "lite-alice", "alice-oss", data=keys)
    return fake


def test_data_uses_exactly_its_permissions(
    release: Callable[[Scenario], Release], kuscia: Kuscia, store: FakeS3
) -> None:
    made = release(ALICE)
    kuscia.join("alice")
    for _ in range(2):
        made.run("data")
    made.run("data", grants=[])
    made.compare("kuscia-lite-alice-data")


def test_check_of_a_master_uses_exactly_its_permissions(release: Callable[[Scenario], Release]) -> None:
    made = release(MASTER)
    made.inspect("check", "--timeout", "3", config="check.yaml")
    made.compare("kuscia-master-check")


@pytest.mark.parametrize(
    "scenario",
    [ALICE, PULL_SECRETS],
    ids=lambda found: found.name,
)
def test_check_of_a_lite_uses_exactly_its_permissions(
    release: Callable[[Scenario], Release],
    core: FakeCore,
    kuscia: Kuscia,
    store: FakeS3,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
) -> None:
    monkeypatch.setattr(gateway, "probe", lambda *_: None)
    made = release(scenario)
    core.put("serviceaccounts", "lite-alice", "default")
    core.put(
        "configmaps", "lite-alice", "kuscia-engines", data=find(made.objects, "ConfigMap", "kuscia-engines")["data"]
    )
    core.put_pod("lite-alice", "kuscia-lite-alice-1", {"kuscia.secretflow/domain": "alice"})
    kuscia.join("alice")
    made.inspect("check", "--timeout", "3", config="check.yaml")
    made.compare("kuscia-lite-alice-check")


@pytest.mark.parametrize("scenario", [ALICE, CA_BUNDLE], ids=lambda found: found.name)
def test_prepare_of_a_lite_uses_exactly_its_permissions(
    release: Callable[[Scenario], Release], core: FakeCore, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    monkeypatch.setattr(gateway, "probe", lambda *_: None)
    monkeypatch.setattr(gateway, "handshake_state", lambda *_: 2)
    monkeypatch.setattr(registration, "register", lambda *_, **__: None)
    monkeypatch.setattr(prepare, "_dns_address", lambda _: "10.1.1.1")
    made = release(scenario)
    core.put(
        "configmaps", "lite-alice", "kuscia-engines", data=find(made.objects, "ConfigMap", "kuscia-engines")["data"]
    )
    core.put("secrets", "kuscia-master", "kuscia-deploy-token-alice", data=secret_data(token="token-of-alice-1"))
    base = made._directory / "kuscia.yaml"
    base.write_text(find(made.objects, "ConfigMap", "kuscia-lite-alice-config")["data"]["kuscia.yaml"])
    arguments = ["--base", str(base), "--output", str(made._directory / "out.yaml"), "--timeout", "20"]
    result = CliRunner().invoke(cli.main, ["prepare", "--config", made.config("prepare.yaml"), *arguments])
    assert result.exit_code == 0, result.output
    engines = {one for one in core.used if one[3] == "kuscia-engines" or one[1] == "pods"}
    core.used -= engines
    other = {("get", "secrets", "kuscia-master", "kuscia-deploy-token-alice")}
    assert other <= granted(MASTER.objects, "kuscia-lite-alice")
    made.compare("kuscia-lite-alice", other)


@pytest.mark.parametrize("scenario", [MASTER, ALICE, CA_BUNDLE], ids=lambda found: found.name)
def test_commands_that_read_a_release(
    release: Callable[[Scenario], Release], core: FakeCore, kuscia: Kuscia, scenario: Scenario
) -> None:
    made = release(scenario)
    kuscia.join("alice")
    component = "master" if scenario is MASTER else "lite"
    labels = find(made.objects, "Deployment", f"kuscia-{component}*")["spec"]["template"]["metadata"]["labels"]
    node = pod("node-1", component, containerStatuses=[container(component, restarts=3, running={})])
    node["metadata"] |= {"labels": labels, "namespace": scenario.namespace}
    core.pods[scenario.namespace] = [node]
    made.inspect("doctor", "--bundle", str(made._directory / "bundle.tar.gz"))
    for command in ("status", "logs"):
        made.inspect(command)
    if scenario is MASTER:
        made.inspect("invite", "carol")
    made.compare(f"kuscia-{'master' if scenario is MASTER else 'lite-alice'}-doctor")
