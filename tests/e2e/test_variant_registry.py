"""All images from a private registry with pull secrets, by tag and by digest; one image from another path.

Includes the images of engine pods.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import CHART
from testbed.images import adopt, builder
from testbed.servers.registry import Registry, registry
from tests.e2e import messages
from tests.e2e.engines import sleeper
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PORT = 15017
PULL_SECRET = "registry"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
HOOKS, KUSCIA = VALUES["global"]["kuscia"]["hooksImage"]["repository"], VALUES["master"]["image"]
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]


@dataclass(frozen=True)
class Mirror:
    """A registry with the images of the chart under their names and tags, below `mirror`.

    Args:
        kuscia: digest of the Kuscia image.
        engine: reference of the engine's image, by tag and digest.
    """

    registry: Registry
    kuscia: str
    engine: str


@pytest.fixture(scope="module")
def mirror(demo: Demo) -> Iterator[Mirror]:
    assert demo.local is not None, "the registry runs in a local cluster's network"
    built = builder.build(["registry", "kuscia-hooks", "kuscia-sim", "psi-engine"])
    builder.load(demo.local, [built["registry"]])
    archives = {name: f"oci-archive:{image.archive}" for name, image in built.items()}
    with registry(demo.local, demo.kubectl, "v-registry", built["registry"].ref, PORT, private=True) as running:
        running.push(archives["kuscia-hooks"], f"mirror/{HOOKS}", VERSION)
        kuscia = adopt.source(demo.kuscia_image or archives["kuscia-sim"])
        digest = running.push(kuscia, f"mirror/{KUSCIA['repository']}", KUSCIA["tag"])
        running.push(kuscia, "elsewhere/kuscia", "mine")
        engine = running.push(archives["psi-engine"], "mirror/team/engine", "1.0")
        yield Mirror(running, digest, f"team/engine:1.0@{engine}")


def layer(mirror: Mirror, **lite: Any) -> dict[str, Any]:
    """Return what values/site.yaml sets for a registry; and pull even if the node has the image."""
    always = {"pullPolicy": "Always"}
    site = {
        "imageRegistry": f"{mirror.registry.host}/mirror",
        "imagePullSecrets": [PULL_SECRET],
        "hooksImage": always,
    }
    return {
        "global": {"kuscia": site},
        "master": {
            "image": {**always, "tag": "not-there", "digest": mirror.kuscia},
            "appImages": {"sleeper": sleeper(mirror.engine, image_pull_policy="Always")},
        },
        "lite": {"image": {**always, **lite}},
    }


def write(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(json.dumps(values))
    return path


def pull_secret(made: Variant, party: str, content: str) -> None:
    """Create a Secret like `kubectl create secret docker-registry`."""
    namespace = made.namespace(party)
    made.kubectl.ensure_namespace(namespace)
    made.kubectl.run("delete", "secret", PULL_SECRET, "-n", namespace, "--ignore-not-found")
    made.kubectl.run(
        "create", "secret", "generic", PULL_SECRET, "-n", namespace, "--type=kubernetes.io/dockerconfigjson",
        "--from-file=.dockerconfigjson=/dev/stdin", stdin=content,
    )  # fmt: skip


@pytest.fixture(scope="module")
def release(demo: Demo, mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Variant]:
    elsewhere = {"repository": f"{mirror.registry.host}/elsewhere/kuscia", "tag": "mine"}
    values = write(tmp_path_factory.mktemp("values") / "registry.json", layer(mirror, **elsewhere))
    with variant(demo, values, "registry", presets=("alice-engines-apart",)) as made:
        for party in ("master", "alice", "engines"):
            pull_secret(made, party, mirror.registry.docker_config())
        made.install("master")
        made.install("alice")
        yield made


def images_of(made: Variant, party: str) -> dict[str, set[str]]:
    """Return image -> containers that run it, for all pods in the namespace of a party."""
    found: dict[str, set[str]] = {}
    for pod in made.kubectl.get("pods", "-n", made.namespace(party))["items"]:
        assert pod["spec"]["imagePullSecrets"] == [{"name": PULL_SECRET}], pod["metadata"]["name"]
        for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
            found.setdefault(container["image"], set()).add(container["name"])
    return found


def test_pulls_every_image_from_the_registry(release: Variant, mirror: Mirror) -> None:
    """By digest where one is set, regardless of the tag; one image from another path."""
    host = mirror.registry.host
    hooks = f"{host}/mirror/{HOOKS}:{VERSION}"
    master = images_of(release, "master")
    assert master == {
        f"{host}/mirror/secretflow/kuscia@{mirror.kuscia}": {"master"},
        hooks: {"prepare", "register", "routes"},
    }
    assert images_of(release, "alice") == {f"{host}/elsewhere/kuscia:mine": {"lite"}, hooks: {"prepare"}}


def test_app_images_use_the_registry(release: Variant, mirror: Mirror) -> None:
    with kusciaapi(release.kubectl, release.release("master")) as api:
        found = api.call("appimage/query", {"name": "sleeper"})["image"]
        default = api.call("appimage/query", {"name": "secretflow-image"})["image"]
    assert found["name"] == f"{mirror.registry.host}/mirror/team/engine"
    assert default["name"] == f"{mirror.registry.host}/mirror/secretflow/secretflow-lite-anolis8"


def engine(made: Variant, job: str) -> dict[str, Any]:
    pod: dict[str, Any] = made.kubectl.get("pod", f"{job}-task-0", "-n", made.namespace("engines"))
    return pod


def waiting_reason(made: Variant, job: str) -> str:
    """Return why the container of an engine does not run: reason and message."""
    (status,) = engine(made, job)["status"]["containerStatuses"]
    return " ".join(status["state"].get("waiting", {}).values())


def test_engine_pods_can_pull_after_the_command_of_notes(release: Variant, mirror: Mirror) -> None:
    """Before it, `helm test` fails and an engine image cannot be pulled."""
    engines = release.namespace("engines")
    with pytest.raises(CommandError) as error:
        release.test("alice")
    assert messages.failed(str(error.value), messages.ENGINE_PULL_SECRETS, f"{engines}/default", PULL_SECRET)
    release.run_engine("sleeper", "refused")
    eventually(lambda: "ErrImagePull" in waiting_reason(release, "refused"), 120, "the registry rejects the pull")
    assert "401" in waiting_reason(release, "refused") or "authoriz" in waiting_reason(release, "refused")
    release.end_job("refused")

    notes = release.install("alice")
    (command,) = [line.strip() for line in notes.splitlines() if "patch serviceaccount default" in line]
    assert command in str(error.value)
    _, *arguments = command.replace("'", "").split()
    release.kubectl.run(*arguments)
    assert messages.passed(release.test("alice"), messages.ENGINE_PULL_SECRETS)
    release.run_engine("sleeper", "pulled")
    eventually(lambda: engine(release, "pulled")["status"]["phase"] == "Running", 120, "the engine runs")
    (container,) = engine(release, "pulled")["spec"]["containers"]
    assert container["image"] == f"{mirror.registry.host}/mirror/{mirror.engine}"
    release.end_job("pulled")


def test_installs_after_a_wrong_pull_secret_is_fixed(demo: Demo, mirror: Mirror, tmp_path: Path) -> None:
    """Helm times out on the first step, and the events of its pod show the reason."""
    values = write(tmp_path / "registry.json", layer(mirror))
    with variant(demo, values, "wrong-login", parties=("master",)) as made:
        pull_secret(made, "master", mirror.registry.docker_config("not-the-password"))
        with pytest.raises(CommandError):
            made.install("master", timeout="30s")
        events = made.kubectl.run("get", "events", "-n", made.namespace("master"), "-o", "jsonpath={.items[*].message}")
        assert f'Failed to pull image "{mirror.registry.host}/mirror/secretflow/kuscia-hooks' in events
        assert "401" in events or "authoriz" in events
        assert "not-the-password" not in events
        pull_secret(made, "master", mirror.registry.docker_config())
        made.install("master")


def test_installs_after_a_missing_pull_secret_is_created(demo: Demo, mirror: Mirror, tmp_path: Path) -> None:
    """Helm times out on the first step, and the events of its pod name the Secret."""
    values = write(tmp_path / "registry.json", layer(mirror))
    with variant(demo, values, "no-login", parties=("master",)) as made:
        namespace = made.namespace("master")
        made.kubectl.ensure_namespace(namespace)
        with pytest.raises(CommandError):
            made.install("master", timeout="30s")
        events = made.kubectl.run("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].message}")
        assert f"Unable to retrieve some image pull secrets ({PULL_SECRET})" in events
        assert f'Failed to pull image "{mirror.registry.host}/mirror/secretflow/kuscia-hooks' in events
        pull_secret(made, "master", mirror.registry.docker_config())
        made.install("master")


@pytest.mark.parametrize("presets", [(), ("no-hooks",)], ids=["hooks", "jobs"])
def test_continues_when_the_pull_secret_arrives(
    demo: Demo, mirror: Mirror, tmp_path: Path, presets: tuple[str, ...]
) -> None:
    """With hooks, in the time that helm waits. The kubelet pulls again."""
    values = write(tmp_path / "registry.json", layer(mirror))
    with variant(demo, values, "late-login", parties=("master",), presets=presets) as made:
        namespace = ("-n", made.namespace("master"))
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(made.install, "master", wait=not presets, timeout="12m")
            events = ("get", "events", *namespace, "-o", "jsonpath={.items[*].message}")
            eventually(lambda: "Failed to pull image" in made.kubectl.run(*events), 300, "a pull fails")
            pull_secret(made, "master", mirror.registry.docker_config())
            run.result()
        made.kubectl.run("rollout", "status", "deploy/kuscia-master", *namespace, "--timeout=5m", timeout=320)
        complete = ("wait", "jobs", "--all", "--for=condition=Complete", "--timeout=5m")
        made.kubectl.run(*complete, *namespace, timeout=320)
        made.test()


def test_imported_images_need_no_login(release: Variant, image_refs: dict[str, str]) -> None:
    """The node pulled the same content with a login; other tests use the imported name without one."""
    namespace = release.namespace("master")
    image = image_refs["psi-engine"]
    release.kubectl.run(
        "run", "no-login", "-n", namespace, f"--image={image}", "--image-pull-policy=IfNotPresent",
        "--restart=Never", "--command", "--", "true",
    )  # fmt: skip
    release.kubectl.run(
        "wait", "pod/no-login", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"
    )
