"""The commands of docs/end-a-partnership.md and docs/uninstall.md."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e import guide, parties
from tests.e2e.backups import shell
from tests.e2e.variants import Variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PARTNERSHIP, UNINSTALL = "end-a-partnership.md", "uninstall.md"
(WITHDRAW,) = guide.commands(PARTNERSHIP, "Each remaining party withdraws its grants")
(EXPEL,) = guide.commands(PARTNERSHIP, "The master removes the domain")
(LEAVE,) = guide.commands(PARTNERSHIP, "The leaving party uninstalls")
(REMOVE,) = guide.commands(UNINSTALL, "Remove the release")
(PURGE,) = guide.commands(UNINSTALL, "Delete the identity")
KINDS = "secrets,configmaps,persistentvolumeclaims,jobs,pods,services,deployments,serviceaccounts,roles,rolebindings"


@pytest.fixture(scope="module")
def made(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    with parties.three(demo, images, image_refs, "leave") as made:
        parties.install(made)
        yield made


def values(made: Variant, party: str) -> dict[str, Any]:
    """Return the values of a release."""
    release = made.release(party)
    text = made.kubectl.helm("get", "values", release.name, "-n", release.namespace, "-o", "yaml")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def save(made: Variant, directory: Path, party: str, content: dict[str, Any]) -> Path:
    """Write the values file of the page, and return its path."""
    path = directory / f"{made.release(party).fullname}.values.yaml"
    path.write_text(json.dumps(content))
    return path


def grants(api: KusciaAPI, domain: str) -> set[str]:
    listed = api.call("domaindatagrant/list", {"data": {"domain_id": domain}})["domaindatagrant_list"]
    return {grant["data"]["grant_domain"] for grant in listed if grant["data"]["author"] == domain}


def test_ends_a_partnership(made: Variant, tmp_path: Path) -> None:
    with kusciaapi(made.kubectl, made.release("alice")) as api:
        eventually(lambda: grants(api, "alice") == {"bob"}, 120, "alice grants its table to bob")
    alice = values(made, "alice")
    alice["lite"]["data"]["grants"] = []
    save(made, tmp_path, "alice", alice)
    shell(made, tmp_path, "alice", WITHDRAW)
    with kusciaapi(made.kubectl, made.release("alice")) as api:
        assert grants(api, "alice") == set()
        listed = api.call("domaindata/list", {"data": {"domain_id": "alice"}})["domaindata_list"]
        assert "alice-table" in {table["domaindata_id"] for table in listed}

    master = values(made, "master")
    del master["master"]["domains"]["bob"]
    master["master"].pop("exampleJob")
    save(made, tmp_path, "master", master)
    shell(made, tmp_path, "master", EXPEL)
    with kusciaapi(made.kubectl, made.release("master")) as api:
        assert api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
        for path, body in (
            ("domain/query", {"domain_id": "bob"}),
            ("route/query", {"source": "alice", "destination": "bob"}),
            ("route/query", {"source": "bob", "destination": "alice"}),
        ):
            with pytest.raises(Missing):
                api.call(path, body)
    names = made.kubectl.run("get", "secrets", "-n", made.namespace("master"), "-o", "name")
    assert "kuscia-deploy-token-alice" in names
    assert "kuscia-deploy-token-bob" not in names

    shell(made, tmp_path, "bob", LEAVE)
    made.test("master", "alice")


def objects(made: Variant, party: str) -> set[str]:
    """Return the objects in a namespace that the cluster and the test did not create."""
    found = made.kubectl.run("get", KINDS, "-n", made.namespace(party), "-o", "name").split()
    others = {"configmap/kube-root-ca.crt", "serviceaccount/default", f"secret/{party}-oss"}
    return set(found) - others


def test_uninstalls_reinstalls_and_deletes_the_identity(made: Variant, tmp_path: Path) -> None:
    key, content = made.key("alice"), values(made, "alice")
    made.test("alice")
    shell(made, tmp_path, "alice", REMOVE)
    name = made.release("alice").fullname
    kept = {
        f"secret/{name}-domain-key",
        f"configmap/{name}-domain-cert",
        f"configmap/{name}-ledger",
        f"pod/{name}-check",
    }
    eventually(lambda: objects(made, "alice") == kept, 60, f"only {kept} are kept")

    file = save(made, tmp_path, "alice", content)
    made.kubectl.helm(
        "upgrade", "--install", "kuscia", str(tmp_path / "charts/kuscia"), "-n", made.namespace("alice"),
        f"--values={file}", "--wait", "--timeout", "10m",
    )  # fmt: skip
    assert made.key("alice").private_numbers() == key.private_numbers()
    eventually(lambda: parties.versions(made, ("alice",))["alice"], RECONNECT_SECONDS, "alice reconnects")

    shell(made, tmp_path, "alice", REMOVE, PURGE)
    eventually(lambda: objects(made, "alice") == set(), 60, "nothing is left")


def test_uninstall_of_a_master_keeps_its_volume(made: Variant, tmp_path: Path) -> None:
    shell(made, tmp_path, "master", REMOVE)
    assert "persistentvolumeclaim/kuscia-master-data" in objects(made, "master")
    shell(made, tmp_path, "master", PURGE)
    eventually(lambda: objects(made, "master") == set(), 60, "nothing is left")
