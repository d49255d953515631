"""Every image from a private registry: one registry for all, one image from elsewhere, by tag and by digest, with pull
secrets; engine pods' too.
"""

import json
from collections.abc import Iterator
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
from tests.e2e.engines import sleeper
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PORT = 15017
PULL_SECRET = "registry"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
HOOKS, KUSCIA = VALUES["global"]["kuscia"]["hooksImage"], VALUES["master"]["image"]


@dataclass(frozen=True)
class Mirror:
    """The registry with the chart's images under their own names and tags, below `mirror`.

    Args:
        kuscia: digest of Kuscia's image.
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
        running.push(archives["kuscia-hooks"], f"mirror/{HOOKS['repository']}", HOOKS["tag"])
        kuscia = adopt.source(demo.kuscia_image or archives["kuscia-sim"])
        digest = running.push(kuscia, f"mirror/{KUSCIA['repository']}", KUSCIA["tag"])
        running.push(kuscia, "elsewhere/kuscia", "mine")
        engine = running.push(archives["psi-engine"], "mirror/team/engine", "1.0")
        yield Mirror(running, digest, f"team/engine:1.0@{engine}")


def layer(mirror: Mirror, **lite: Any) -> dict[str, Any]:
    """What goes over values/private-registry.yaml: the registry's address, and never a node's copy."""
    always = {"pullPolicy": "Always"}
    return {
        "global": {"kuscia": {"imageRegistry": f"{mirror.registry.host}/mirror", "hooksImage": always}},
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
    """As `kubectl create secret docker-registry` makes it."""
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
    presets = ("private-registry", "alice-engines-apart")
    with variant(demo, values, "registry", presets=presets) as made:
        for party in ("master", "alice", "engines"):
            pull_secret(made, party, mirror.registry.docker_config())
        made.install("master")
        made.install("alice")
        yield made


def images_of(made: Variant, party: str) -> dict[str, set[str]]:
    """Image -> containers that run it, of all pods of a party's namespace."""
    found: dict[str, set[str]] = {}
    for pod in made.kubectl.get("pods", "-n", made.namespace(party))["items"]:
        assert pod["spec"]["imagePullSecrets"] == [{"name": PULL_SECRET}], pod["metadata"]["name"]
        for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
            found.setdefault(container["image"], set()).add(container["name"])
    return found


def test_every_image_is_pulled_from_there(release: Variant, mirror: Mirror) -> None:
    """By digest where one is given, whatever the tag; one image from another place."""
    host = mirror.registry.host
    hooks = f"{host}/mirror/secretflow/kuscia-hooks:{HOOKS['tag']}"
    master = images_of(release, "master")
    assert master == {
        f"{host}/mirror/secretflow/kuscia@{mirror.kuscia}": {"master"},
        hooks: {"keys", "prepare", "register", "routes"},
    }
    assert images_of(release, "alice") == {f"{host}/elsewhere/kuscia:mine": {"lite"}, hooks: {"keys", "prepare"}}


def test_app_images_get_the_registry_too(release: Variant, mirror: Mirror) -> None:
    with kusciaapi(release.kubectl, release.release("master")) as api:
        found = api.call("appimage/query", {"name": "sleeper"})["image"]
        default = api.call("appimage/query", {"name": "secretflow-image"})["image"]
    assert found["name"] == f"{mirror.registry.host}/mirror/team/engine"
    assert default["name"] == f"{mirror.registry.host}/mirror/secretflow/secretflow-lite-anolis8"


def engine(made: Variant, job: str) -> dict[str, Any]:
    pod: dict[str, Any] = made.kubectl.get("pod", f"{job}-task-0", "-n", made.namespace("engines"))
    return pod


def waits_for(made: Variant, job: str) -> str:
    """Why an engine's container does not run: reason and message."""
    (status,) = engine(made, job)["status"]["containerStatuses"]
    return " ".join(status["state"].get("waiting", {}).values())


def test_engine_pods_need_the_command_of_notes(release: Variant, mirror: Mirror) -> None:
    """Without it `helm test` says so and an engine cannot be pulled; with it all goes well."""
    engines = release.namespace("engines")
    with pytest.raises(CommandError) as error:
        release.test("alice")
    assert f"ServiceAccount {engines}/default does not carry imagePullSecrets registry" in str(error.value)
    release.run_engine("sleeper", "refused")
    eventually(lambda: "ErrImagePull" in waits_for(release, "refused"), 120, "the registry refuses the engine")
    assert "401" in waits_for(release, "refused") or "authoriz" in waits_for(release, "refused")
    release.end_job("refused")

    notes = release.install("alice")
    (command,) = [line.strip() for line in notes.splitlines() if "patch serviceaccount default" in line]
    assert command in str(error.value)
    _, *arguments = command.replace("'", "").split()
    release.kubectl.run(*arguments)
    assert "PASS pull secrets of engine pods" in release.test("alice")
    release.run_engine("sleeper", "pulled")
    eventually(lambda: engine(release, "pulled")["status"]["phase"] == "Running", 120, "the engine runs")
    (container,) = engine(release, "pulled")["spec"]["containers"]
    assert container["image"] == f"{mirror.registry.host}/mirror/{mirror.engine}"
    release.end_job("pulled")


def test_a_wrong_pull_secret(demo: Demo, mirror: Mirror, tmp_path: Path) -> None:
    """Helm waits in vain for the first step; the pod's events say why, and the right Secret mends it."""
    values = write(tmp_path / "registry.json", layer(mirror))
    with variant(demo, values, "wrong-login", parties=("master",), presets=("private-registry",)) as made:
        pull_secret(made, "master", mirror.registry.docker_config("not-the-password"))
        with pytest.raises(CommandError):
            made.install("master", timeout="30s")
        events = made.kubectl.run("get", "events", "-n", made.namespace("master"), "-o", "jsonpath={.items[*].message}")
        assert f'Failed to pull image "{mirror.registry.host}/mirror/secretflow/kuscia-hooks' in events
        assert "401" in events or "authoriz" in events
        assert "not-the-password" not in events
        pull_secret(made, "master", mirror.registry.docker_config())
        made.install("master")


def test_a_missing_pull_secret(demo: Demo, mirror: Mirror, tmp_path: Path) -> None:
    """Helm waits in vain for the first step; the pod's events name the Secret, and making it is enough."""
    values = write(tmp_path / "registry.json", layer(mirror))
    with variant(demo, values, "no-login", parties=("master",), presets=("private-registry",)) as made:
        namespace = made.namespace("master")
        made.kubectl.ensure_namespace(namespace)
        with pytest.raises(CommandError):
            made.install("master", timeout="30s")
        events = made.kubectl.run("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].message}")
        assert f"Unable to retrieve some image pull secrets ({PULL_SECRET})" in events
        assert f'Failed to pull image "{mirror.registry.host}/mirror/secretflow/kuscia-hooks' in events
        pull_secret(made, "master", mirror.registry.docker_config())
        made.install("master")


def test_the_nodes_own_images_need_no_login(release: Variant, image_refs: dict[str, str]) -> None:
    """The same content was pulled with a login; other tests use the imported name without one."""
    namespace = release.namespace("master")
    image = image_refs["psi-engine"]
    release.kubectl.run(
        "run", "no-login", "-n", namespace, f"--image={image}", "--image-pull-policy=IfNotPresent",
        "--restart=Never", "--command", "--", "true",
    )  # fmt: skip
    release.kubectl.run(
        "wait", "pod/no-login", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"
    )
