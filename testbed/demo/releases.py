"""The three releases of the guide: which chart, namespace and values files each is made of."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.kubectl import CommandError, Kubectl

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/kuscia"
LAYERS = Path(__file__).parent / "values"


@dataclass(frozen=True)
class Release:
    """One party's release: presets of values/ as users copy them, and a layer of testbed/demo/values on top."""

    party: str
    namespace: str
    fullname: str
    domain: str
    name: str = "kuscia"

    @property
    def presets(self) -> list[Path]:
        """The files of values/, in order. A lite has its example table in an object store."""
        names = [self.party] if self.party == "master" else [self.party, "object-store", f"{self.party}-tables"]
        return [ROOT / "values" / f"{name}.yaml" for name in ("site", *names)]

    @property
    def layer(self) -> Path:
        return LAYERS / f"{self.party}.yaml"


MASTER = Release("master", "kuscia-master", "kuscia-master", "kuscia-system")
ALICE = Release("alice", "lite-alice", "kuscia-lite-alice", "alice")
BOB = Release("bob", "lite-bob", "kuscia-lite-bob", "bob")
RELEASES = (MASTER, ALICE, BOB)


@dataclass(frozen=True)
class ImageRefs:
    """Complete references of the images that the releases run."""

    kuscia: str
    hooks: str
    engine: str

    def values(self) -> str:
        """Return the values with these images, as JSON: in YAML, a tag such as 12e4 would be a number."""
        kuscia = image_values(self.kuscia)
        return json.dumps(
            {
                "global": {"kuscia": {"hooksImage": image_values(self.hooks)}},
                "master": {
                    "image": kuscia,
                    "appImages": {"psi-engine": engine_app_image(self.engine)},
                },
                "lite": {"image": kuscia},
            }
        )


def image_values(ref: str) -> dict[str, str]:
    """Return the `image` keys of the chart for a reference `repository:tag` or `repository@sha256:…`."""
    repository, at, digest = ref.partition("@")
    if at:
        return {"repository": repository, "digest": digest}
    repository, _, tag = ref.rpartition(":")
    return {"repository": repository, "tag": tag}


def engine_app_image(ref: str) -> dict[str, Any]:
    """Return the values of the AppImage of the engine (testbed/psi-engine/appimage.yaml) with its image."""
    spec = yaml.safe_load((ROOT / "testbed/psi-engine/appimage.yaml").read_text())
    name, _, tag = ref.rpartition(":")
    return {
        "image": {"name": name, "tag": tag},
        "configTemplates": spec["config_templates"],
        "deployTemplates": spec["deploy_templates"],
    }


def values_args(release: Release, *more: Path) -> list[str]:
    """helm's `--values` arguments: presets, layer, then `more`."""
    args: list[str] = []
    for path in (*release.presets, release.layer, *more):
        args += ["--values", str(path)]
    return args


def install(
    kubectl: Kubectl, release: Release, *values: Path, extra: tuple[str, ...] = (), timeout: str = "15m"
) -> None:
    """Run `helm upgrade --install` for one release and wait until it is ready.

    Raises:
        CommandError: helm failed or timed out; the text contains its output.
    """
    kubectl.helm(
        "upgrade", "--install", release.name, str(CHART),
        "--namespace", release.namespace, "--create-namespace",
        *values_args(release, *values),
        "--wait", "--timeout", timeout, *extra,
    )  # fmt: skip


def uninstall(kubectl: Kubectl, release: Release) -> None:
    """Uninstall a release and delete its namespace with all that it kept."""
    try:
        kubectl.helm("uninstall", release.name, "--namespace", release.namespace, "--wait", "--ignore-not-found")
    except CommandError as error:
        if "namespaces" not in str(error):
            raise
    kubectl.run("delete", "namespace", release.namespace, "--ignore-not-found", "--wait", timeout=300)
