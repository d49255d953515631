"""`helm install` rejects invalid values before it creates anything."""

import pytest

from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.demo.releases import CHART, ROOT
from tests.e2e.messages import chart_errors

pytestmark = pytest.mark.cluster

NAMESPACE = "kuscia-invalid"
INVALID = {
    "domain ID": ("lite.domainId=Bad_ID", "invalid-domain-id"),
    "reserved domain ID": ("lite.domainId=kube-system", "reserved-domain-id"),
    "endpoint in .svc": ("lite.master.endpoint=https://kuscia-master.kuscia-master.svc:1080", "host-ends-in-svc"),
    "runtime": ("lite.runtime=runx", "unsupported-value"),
}


def error_of_install(kubectl: Kubectl, preset: str, *sets: str) -> str:
    arguments = [argument for value in sets for argument in ("--set", value)]
    with pytest.raises(CommandError) as error:
        kubectl.helm(
            "install", "kuscia", str(CHART), "-n", NAMESPACE, "--create-namespace",
            "--values", str(ROOT / f"values/{preset}.yaml"), *arguments, "--timeout", "20s",
        )  # fmt: skip
    assert not kubectl.exists("namespace", NAMESPACE)
    return str(error.value)


@pytest.mark.parametrize(("value", "error_id"), INVALID.values(), ids=INVALID.keys())
def test_rejects_invalid_value(kubectl: Kubectl, value: str, error_id: str) -> None:
    key, _, given = value.partition("=")
    text = error_of_install(kubectl, "alice", value)
    assert chart_errors(text) == {(error_id, key)}
    assert given in text


def test_rejects_unknown_key(kubectl: Kubectl) -> None:
    assert ("unknown-key", "lite.domianId") in chart_errors(error_of_install(kubectl, "alice", "lite.domianId=alice"))


def test_lists_all_errors(kubectl: Kubectl) -> None:
    text = error_of_install(
        kubectl,
        "master",
        "master.domains.Bad_ID.endpoint=https://a.b.svc:1080",
        "master.protocol=PLAIN",
    )
    assert chart_errors(text) == {
        ("invalid-domain-id", "master.domains.Bad_ID"),
        ("host-ends-in-svc", "master.domains.Bad_ID.endpoint"),
        ("unsupported-value", "master.protocol"),
    }
