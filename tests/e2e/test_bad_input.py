"""`helm install` refuses bad values at once, in words."""

import pytest

from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.demo.releases import CHART, ROOT

pytestmark = pytest.mark.cluster

BAD = {
    "domain ID": (["lite.domainId=Bad_ID"], ["lite.domainId", "Bad_ID"]),
    "reserved domain ID": (["lite.domainId=kube-system"], ["lite.domainId", "kube-system", "cross-domain"]),
    "endpoint ends in .svc": (
        ["lite.master.endpoint=https://kuscia-master.kuscia-master.svc:1080"],
        ["lite.master.endpoint", ".svc", "svc.cluster.local"],
    ),
    "unknown runtime": (["lite.runtime=runx"], ["lite.runtime", "runx", "runk"]),
    "unknown key": (["lite.domianId=alice"], ["domianId"]),
}


@pytest.mark.parametrize(("values", "words"), BAD.values(), ids=BAD.keys())
def test_refused(kubectl: Kubectl, values: list[str], words: list[str]) -> None:
    sets = [argument for value in values for argument in ("--set", value)]
    with pytest.raises(CommandError) as error:
        kubectl.helm(
            "install", "kuscia", str(CHART), "-n", "lite-bad", "--create-namespace",
            "--values", str(ROOT / "values/alice.yaml"), *sets, "--timeout", "20s",
        )  # fmt: skip
    for word in words:
        assert word in str(error.value)


def test_all_at_once(kubectl: Kubectl) -> None:
    with pytest.raises(CommandError) as error:
        kubectl.helm(
            "install", "kuscia", str(CHART), "-n", "kuscia-bad", "--create-namespace",
            "--values", str(ROOT / "values/master.yaml"),
            "--set", "master.domains.carol=null",
            "--set", "master.domains.Bad_ID.endpoint=https://a.b.svc:1080",
            "--set", "master.protocol=PLAIN",
        )  # fmt: skip
    for word in ("master.domains.carol", "Bad_ID", "a.b.svc", "master.protocol", "PLAIN"):
        assert word in str(error.value)
