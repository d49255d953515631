"""The result of `make demo`."""

import base64
import csv
import io

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo import summary
from testbed.demo.releases import ALICE, BOB, MASTER, RELEASES, Release
from testbed.servers import s3

pytestmark = pytest.mark.cluster

METRICS = 9091, "TCP"


def test_runs_three_kuscia_pods(kubectl: Kubectl) -> None:
    phases = [row[2] for row in summary.pods(kubectl)]
    assert phases == ["Running"] * 3


def test_services_have_the_ports_of_the_guide_and_metrics(kubectl: Kubectl) -> None:
    expected = {
        MASTER: {(1080, "TCP"), (8082, "TCP"), METRICS},
        ALICE: {(1080, "TCP"), (80, "TCP"), (53, "UDP"), (8082, "TCP"), METRICS},
        BOB: {(1080, "TCP"), (80, "TCP"), (53, "UDP"), (8082, "TCP"), METRICS},
    }
    for release, ports in expected.items():
        service = kubectl.get("service", release.fullname, "-n", release.namespace)
        assert {(port["port"], port["protocol"]) for port in service["spec"]["ports"]} == ports


def test_four_routes_are_ready(kubectl: Kubectl) -> None:
    assert summary.routes(kubectl) == [
        ["alice-kuscia-system", "", "True"],
        ["bob-kuscia-system", "", "True"],
        ["alice-bob", "kuscia-lite-bob.lite-bob.svc.cluster.local", "True"],
        ["bob-alice", "kuscia-lite-alice.lite-alice.svc.cluster.local", "True"],
    ]


def test_declares_tables_and_grants(kubectl: Kubectl) -> None:
    rows = {row[1]: row for row in summary.tables(kubectl)}
    assert rows["alice-table"] == ["alice", "alice-table", "default-data-source", "25", "bob"]
    assert rows["bob-table"] == ["bob", "bob-table", "default-data-source", "21", "alice"]


@pytest.mark.parametrize("release", [ALICE, BOB], ids=lambda release: release.party)
def test_registers_the_result(kubectl: Kubectl, release: Release) -> None:
    result = summary.result(kubectl, release)
    assert result.relative_uri == f"{result.id}.csv"
    assert result.data_source == "default-data-source"
    assert result.keep


def test_result_is_the_intersection(kubectl: Kubectl) -> None:
    """Compare every row of both results with an intersection computed from the two input files."""
    tables = {party: _table(kubectl, party, f"{party}.csv") for party in ("alice", "bob")}
    assert [len(rows) for rows in tables.values()] == [9892, 9892]
    assert [len(next(iter(rows.values()))) for rows in tables.values()] == [25, 21]
    common = sorted(set(tables["alice"]) & set(tables["bob"]))
    assert 8700 < len(common) < 8820
    result_name = summary.result(kubectl, ALICE).relative_uri
    for party, rows in tables.items():
        result = _table(kubectl, party, result_name)
        assert sorted(result) == common
        assert result == {key: rows[key] for key in common}


def test_helm_test_passes_again(kubectl: Kubectl) -> None:
    for release in RELEASES:
        out = kubectl.helm("test", release.name, "-n", release.namespace, "--logs", "--timeout", "15m")
        assert "Succeeded" in out


def test_no_secret_in_configmaps_or_logs(kubectl: Kubectl) -> None:
    """Look for each key, token and S3 secret in ConfigMaps, pods, Jobs and logs."""
    for release in RELEASES:
        seen = kubectl.run("get", "configmaps,pods,jobs,deployments", "-n", release.namespace, "-o", "yaml")
        for pod in kubectl.get("pods", "-n", release.namespace)["items"]:
            name = pod["metadata"]["name"]
            seen += kubectl.run("logs", "-n", release.namespace, name, "--all-containers", "--ignore-errors")
        secrets = _secrets(kubectl, release)
        assert secrets
        leaked = [name for name, value in secrets.items() if value in seen or _clear(value) in seen]
        assert leaked == []


def _secrets(kubectl: Kubectl, release: Release) -> dict[str, str]:
    """Return Secret/key -> value (base64), without Helm's records and the public ID of an S3 account."""
    return {
        f"{secret['metadata']['name']}/{key}": value
        for secret in kubectl.get("secrets", "-n", release.namespace)["items"]
        if not secret["type"].startswith("helm.sh/")
        for key, value in secret.get("data", {}).items()
        if key != "access_key_id"
    }


def _clear(value: str) -> str:
    return base64.b64decode(value).decode(errors="replace").strip()


def _table(kubectl: Kubectl, party: str, name: str) -> dict[str, tuple[str, ...]]:
    """Return the rows of a party's CSV file by their first column."""
    head, *rows = csv.reader(io.StringIO(s3.read(kubectl, party, name).decode()))
    assert head[0] in ("id1", "id2")
    found = {row[0]: tuple(row) for row in rows}
    assert len(found) == len(rows)
    return found
