"""examples/flux with Flux's own controllers: three releases at once, drift and its repair, a late master."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.demo.demo import Demo
from testbed.demo.releases import CHART
from testbed.images import builder
from testbed.servers.flux import flux
from testbed.servers.registry import registry
from tests.chart.render import Object
from tests.e2e.variants import SMALL, Variant, rename, variant
from tests.e2e.waiting import eventually
from tests.gitops.examples import FLUX, NAMESPACES, edited

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(2400)]

PORT = 15018
PARTIES = ("master", "alice", "bob")
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
INTERVAL_SECONDS = 10
READY_SECONDS = 600


@dataclass(frozen=True)
class Charts:
    """A registry with the chart, and the controllers that install from it."""

    demo: Demo
    host: str

    def push(self) -> None:
        """Package the chart and push it, as docs/gitops.md describes."""
        assert self.demo.local is not None
        with tempfile.TemporaryDirectory() as directory:
            self.demo.kubectl.helm("package", str(CHART), "--destination", directory)
            package, target = f"{directory}/kuscia-{VERSION}.tgz", f"oci://{self.host}/charts"
            command = [*self.demo.local.nsenter, "helm", "push", package, target, "--plain-http"]
            subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def charts(demo: Demo) -> Iterator[Charts]:
    assert demo.local is not None, "the controllers run in the network of a local cluster"
    image = builder.build(["registry"])["registry"]
    builder.load(demo.local, [image])
    with (
        registry(demo.local, demo.kubectl, "v-flux-registry", image.ref, PORT, private=False) as running,
        flux(demo.local, demo.kubectl),
    ):
        found = Charts(demo, running.host)
        found.push()
        yield found


@dataclass(frozen=True)
class Fleet:
    """The parties of examples/flux/one-cluster, in the namespaces of a variant.

    Args:
        host: of the registry.
    """

    made: Variant
    host: str

    def apply(self, *parties: str, **spec: Any) -> None:
        """Apply the manifests of some parties, with the registry and the images of the test.

        Args:
            spec: replaces keys of the HelmRelease, such as `timeout`.
        """
        interval = f"{INTERVAL_SECONDS}s"
        images = json.loads(self.made.images.read_text())
        source = {
            "url": f"oci://{self.host}/charts/kuscia",
            "insecure": True,
            "ref": {"tag": VERSION},
            "interval": interval,
        }

        def edit(copy: Path) -> None:
            site = {key: SMALL.get(key, {}) | value for key, value in images.items()}
            (copy / "party/site.yaml").write_text(json.dumps(site))
            change(copy / "party/source.yaml", source)
            change(copy / "party/release.yaml", {"interval": interval, **spec})

        renames = {namespace: self.made.namespace(party) for namespace, party in NAMESPACES.items()}
        objects = [renamed(item, renames) for item in edited(FLUX, edit, "one-cluster")]
        chosen = [self.made.namespace(party) for party in parties]
        mine = [item for item in objects if item["metadata"].get("namespace", item["metadata"]["name"]) in chosen]
        self.made.kubectl.apply(yaml.safe_dump_all(mine))

    def status(self, party: str) -> dict[str, Any]:
        """Return the status of a HelmRelease."""
        found: dict[str, Any] = self.made.kubectl.get("helmrelease", "kuscia", "-n", self.made.namespace(party))
        return found["status"]

    def conditions(self, party: str) -> dict[str, dict[str, Any]]:
        """Return the conditions of a HelmRelease by type."""
        return {item["type"]: item for item in self.status(party)["conditions"]}

    def ready(self, *parties: str) -> bool:
        return all(self.conditions(party)["Ready"]["status"] == "True" for party in parties)

    def tested(self, *parties: str) -> bool:
        """Return whether the newest revisions are deployed and passed their tests."""
        return all(self.conditions(party)["TestSuccess"]["status"] == "True" for party in parties)

    def version(self, party: str) -> int:
        """Return the number of the newest revision."""
        return int(self.status(party)["history"][0]["version"])


def change(path: Path, spec: dict[str, Any]) -> None:
    """Set keys in the spec of a manifest."""
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"spec": content["spec"] | spec}))


def renamed(item: Object, renames: dict[str, str]) -> Object:
    """Return an object with other namespaces, also in its values."""
    found: Object = rename(item, renames)
    if found["kind"] == "ConfigMap":
        values = yaml.safe_load(found["data"]["values.yaml"])
        found["data"]["values.yaml"] = json.dumps(rename(values, renames))
    return found


def objects_of(made: Variant, party: str) -> dict[str, Any]:
    """Return the generation of each object of a release, and the UID of its pod."""
    namespace = made.namespace(party)
    manifest = made.kubectl.helm("get", "manifest", "kuscia", "-n", namespace)
    found = {"pod": made.pod(party)["metadata"]["uid"]}
    for item in yaml.safe_load_all(manifest):
        if item:
            kind, metadata = item["kind"], item["metadata"]
            live = made.kubectl.get(kind, metadata["name"], "-n", metadata.get("namespace", namespace))
            found[f"{kind}/{metadata['name']}"] = (live["metadata"]["uid"], live["metadata"].get("generation"))
    return found


def test_installs_all_parties_and_repairs_drift(demo: Demo, images: Path, charts: Charts) -> None:
    with variant(demo, images, "flux", parties=PARTIES) as made:
        fleet = Fleet(made, charts.host)
        fleet.apply(*PARTIES)
        eventually(lambda: fleet.tested(*PARTIES), READY_SECONDS, "three releases, and their tests")
        before = {party: objects_of(made, party) for party in PARTIES}
        time.sleep(3 * INTERVAL_SECONDS)
        assert {party: objects_of(made, party) for party in PARTIES} == before

        namespace = made.namespace("master")
        token, config = ("secret", "kuscia-deploy-token-alice"), ("configmap", "kuscia-master-config")
        content = made.kubectl.get(*config, "-n", namespace)["data"]
        # The deploy tokens belong to the Service, so they are deleted with it.
        made.kubectl.run("delete", "service,networkpolicy,job,cronjob", "--all", "-n", namespace)
        eventually(lambda: not made.kubectl.exists(*token, "-n", namespace), READY_SECONDS, "no deploy token")
        wrong = json.dumps({"data": {"kuscia.yaml": "mode: none"}})
        made.kubectl.run("patch", *config, "-n", namespace, "--patch", wrong)
        made.kubectl.run("scale", "deployment", "kuscia-lite-alice", "-n", made.namespace("alice"), "--replicas=0")
        eventually(lambda: set(objects_of(made, "master")) == set(before["master"]), READY_SECONDS, "all objects")
        eventually(lambda: made.kubectl.exists(*token, "-n", namespace), READY_SECONDS, "the deploy token")
        eventually(lambda: fleet.ready(*PARTIES), READY_SECONDS, "three releases Ready")
        eventually(lambda: made.pod("alice"), READY_SECONDS, "the pod of alice")
        assert made.kubectl.get(*config, "-n", namespace)["data"] == content
        assert [fleet.version(party) for party in PARTIES] == [1, 1, 1]


def test_a_lite_survives_failed_attempts_until_its_master_exists(demo: Demo, images: Path, charts: Charts) -> None:
    with variant(demo, images, "flux-late", parties=PARTIES) as made:
        fleet = Fleet(made, charts.host)
        # The test of the master would wait for bob, and Flux deletes no release during its test.
        no_test = {"enable": False}
        fleet.apply("alice", timeout="1m", test=no_test)

        def failed() -> bool:
            released = fleet.conditions("alice").get("Released", {})
            return bool(released.get("status") == "False")

        eventually(failed, READY_SECONDS, "an attempt that reached its timeout")
        assert "Stalled" not in fleet.conditions("alice")
        pod = made.pod("alice")["metadata"]["uid"]
        fleet.apply("master", test=no_test)
        eventually(lambda: fleet.ready("alice", "master"), READY_SECONDS, "both releases Ready")
        assert made.pod("alice")["metadata"]["uid"] == pod
