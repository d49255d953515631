"""AppImages: SecretFlow's by default, others from the values; updated and deleted with them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e import messages
from tests.e2e.engines import sleeper
from tests.e2e.variants import Variant, variant

pytestmark = pytest.mark.cluster

SECRETFLOW = "secretflow-image"


@pytest.fixture(scope="module")
def master(demo: Demo, images: Path) -> Iterator[Variant]:
    values = {"master": {"appImages": {"sleeper": sleeper("registry.example.com/team/engine:1.0")}}}
    with variant(demo, images, "appimage", parties=("master",), values=values) as made:
        made.install("master")
        yield made


def query(made: Variant, name: str) -> dict[str, Any] | None:
    """Return an AppImage from KusciaAPI of the master; None if it does not exist."""
    with kusciaapi(made.kubectl, made.release("master")) as api:
        found: dict[str, Any] | None = api.find("appimage/query", {"name": name})
    return found


def log_of_routes(made: Variant) -> str:
    selector = "app.kubernetes.io/component=routes"
    return made.kubectl.run("logs", "-n", made.namespace("master"), "-l", selector, "--tail=-1")


def test_creates_the_app_image_of_secretflow_by_default(master: Variant) -> None:
    """Its content is that of Kuscia facts, chapter 9."""
    found = query(master, SECRETFLOW)
    assert found is not None
    image = found["image"]
    assert image["name"] == "secretflow-registry.cn-hangzhou.cr.aliyuncs.com/secretflow/secretflow-lite-anolis8"
    assert image["tag"] == "1.11.0b1"
    assert '"task_cluster_def": "{{.TASK_CLUSTER_DEFINE}}"' in found["config_templates"]["task-config.conf"]
    (template,) = found["deploy_templates"]
    (container,) = template["containers"]
    assert (template["name"], template["replicas"], container["working_dir"]) == ("secretflow", 1, "/work")
    scopes = {port["name"]: (port["protocol"], port["scope"]) for port in container["ports"]}
    assert (scopes["spu"], scopes["global"], scopes["inference"]) == (
        ("GRPC", "Cluster"), ("GRPC", "Domain"), ("HTTP", "Cluster"),
    )  # fmt: skip


def test_creates_app_images_of_the_values(master: Variant) -> None:
    found = query(master, "sleeper")
    assert found is not None
    assert (found["image"]["name"], found["image"]["tag"]) == ("registry.example.com/team/engine", "1.0")


def test_unchanged_upgrade_changes_nothing(master: Variant) -> None:
    master.install("master")
    counts = messages.counts(log_of_routes(master))
    assert (counts["created"], counts["updated"], counts["deleted"]) == (0, 0, 0)
    assert counts["unchanged"] > 0


@pytest.mark.parametrize("changed", [{"image": {"tag": "1.12.0b0"}}, {"image": {"tag": "1.12.0b0@sha256:" + "0" * 64}}])
def test_updates_the_tag(master: Variant, changed: dict[str, Any]) -> None:
    """SecretFlow's templates are unchanged."""
    before = query(master, SECRETFLOW)
    master.install("master", values={"master": {"appImages": {SECRETFLOW: changed}}})
    after = query(master, SECRETFLOW)
    assert before is not None
    assert after is not None
    assert after["image"]["tag"] == changed["image"]["tag"]
    assert after["deploy_templates"] == before["deploy_templates"]
    assert messages.counts(log_of_routes(master))["updated"] == 1


def test_updates_the_template(master: Variant) -> None:
    changed = sleeper("registry.example.com/team/engine:1.0", command=["sleep"], args=["1"])
    master.install("master", values={"master": {"appImages": {"sleeper": changed}}})
    found = query(master, "sleeper")
    assert found is not None
    assert found["deploy_templates"][0]["containers"][0]["command"] == ["sleep"]


def test_prunes_app_images_that_left_the_values(master: Variant) -> None:
    """They are kept without `prune`. An AppImage that was created by hand is kept."""
    with kusciaapi(master.kubectl, master.release("master")) as api:
        template = {"name": "t", "replicas": 1, "containers": [{"name": "c"}]}
        api.call("appimage/create", {"name": "by-hand", "image": {"name": "a/b", "tag": "1"},
                                     "deploy_templates": [template]})  # fmt: skip
    left = {"appImages": {SECRETFLOW: None, "sleeper": None}}
    master.install("master", values={"master": left})
    assert query(master, SECRETFLOW) is not None
    assert query(master, "sleeper") is not None
    master.install("master", values={"master": {**left, "prune": {"appImages": True}}})
    assert query(master, SECRETFLOW) is None
    assert query(master, "sleeper") is None
    assert query(master, "by-hand") is not None
    master.install("master")
    assert query(master, SECRETFLOW) is not None
    assert query(master, "sleeper") is not None


def test_rejects_invalid_app_images(master: Variant) -> None:
    wrong = {
        "no-image": {"deployTemplates": [{"name": "x", "containers": [{"name": "c"}]}]},
        "bad-template": {
            "image": {"name": "a/b", "tag": "1"},
            "deployTemplates": [{"name": "x", "spec": {"containers": [{"name": "c"}]}}],
        },
    }
    with pytest.raises(CommandError) as error:
        master.install("master", values={"master": {"appImages": wrong}})
    assert messages.chart_errors(str(error.value)) >= {
        ("missing-value", "master.appImages.no-image.image"),
        ("unknown-key", "master.appImages.bad-template.deployTemplates[0].spec"),
    }


def test_upgrade_fails_when_kuscia_rejects_an_app_image(master: Variant) -> None:
    """The log contains Kuscia's message. Other AppImages are created nevertheless."""
    bad = sleeper("registry.example.com/team/engine:1.0", liveness_probe={"period_seconds": "often"})
    good = sleeper("registry.example.com/team/engine:2.0")
    with pytest.raises(CommandError):
        master.install("master", values={"master": {"appImages": {"bad": bad, "sleeper": good}}}, timeout="90s")
    assert "cannot unmarshal string into Go struct field Probe." in log_of_routes(master)
    found = query(master, "sleeper")
    assert found is not None
    assert found["image"]["tag"] == "2.0"
    master.install("master")
