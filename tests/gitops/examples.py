"""The manifests of examples/flux and examples/argocd, built as a user builds them."""

import functools
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.chart import kubeconform
from tests.chart.render import CHART, KUBE_VERSION, PLACEHOLDER, ROOT, Object, parse, tool

FLUX = ROOT / "examples/flux"
ARGOCD = ROOT / "examples/argocd"
# The layouts of examples/flux, each for one cluster: directory -> namespace of each party -> its presets in values/.
LAYOUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "one-cluster": {"kuscia-master": ("master",), "lite-alice": ("alice",), "lite-bob": ("bob",)},
    "two-clusters/master-cluster": {
        "kuscia-master": ("master", "partner", "nodeport"),
        "lite-alice": ("alice", "nodeport"),
    },
    "two-clusters/partner-cluster": {"lite-bob": ("bob", "partner", "nodeport")},
}
# The sources of a chart in examples/flux; the first one is active.
SOURCES = ("OCIRepository", "GitRepository")
# The components of examples/argocd.
COMPONENTS = ("from-registry", "client-side-apply")
# What the chart accepts as the certificate of a partner.
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB+a/b=\n-----END CERTIFICATE-----\n"
NAMESPACES = {"kuscia-master": "master", "lite-alice": "alice", "lite-bob": "bob"}


def build(directory: Path) -> list[Object]:
    """Return the objects of `kubectl kustomize`."""
    command = [tool("kubectl"), "kustomize", str(directory)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def edited(examples: Path, edit: Callable[[Path], object], layout: str = ".") -> list[Object]:
    """Build a directory of a copy of the examples, after the user has edited it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, examples.name)
        shutil.copytree(examples, copy)
        edit(copy)
        return build(copy / layout)


@functools.cache
def flux(layout: str, source: str = "OCIRepository") -> list[Object]:
    """Build a layout of examples/flux with the chart from one of its two sources. Results are cached."""

    def edit(copy: Path) -> None:
        if source == "GitRepository":
            for namespace in LAYOUTS[layout]:
                enable(copy / layout / NAMESPACES[namespace] / "kustomization.yaml", "components:")

    return edited(FLUX, edit, layout)


@functools.cache
def argocd(*components: str) -> list[Object]:
    """Build examples/argocd with some of its components. Results are cached."""

    def edit(copy: Path) -> None:
        path = copy / "kustomization.yaml"
        enable(path, "components:")
        content = yaml.safe_load(path.read_text())
        assert content["components"] == list(COMPONENTS)
        path.write_text(yaml.safe_dump(content | {"components": list(components)}))

    return edited(ARGOCD, edit)


def enable(path: Path, first: str) -> None:
    """Remove the comment signs of a list in a kustomization, as a user does.

    Args:
        first: the first line that is meant, without its comment sign.
    """
    lines = path.read_text().split("\n")
    start = next(number for number, line in enumerate(lines) if re.fullmatch(rf" *# {re.escape(first)}", line))
    for number in range(start, len(lines)):
        if not re.match(r" *# ", lines[number]):
            break
        lines[number] = lines[number].replace("# ", "", 1)
    path.write_text("\n".join(lines))


def pruning() -> list[str]:
    """Return the options with which docs/gitops.md lets `kubectl apply` delete objects."""
    text = re.sub(r" \\\n\s+", " ", (ROOT / "docs/gitops.md").read_text())
    (command,) = re.findall(r"^ {4}kubectl apply .* (--prune .*)$", text, re.MULTILINE)
    return shlex.split(command)


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind by namespace, or by name if they have none. Each has only one."""
    found = [item for item in objects if item["kind"] == kind]
    named = {item["metadata"].get("namespace", item["metadata"]["name"]): item for item in found}
    assert len(named) == len(found), kind
    return named


def values_of(objects: list[Object], release: Object) -> list[dict[str, Any]]:
    """Return the values of a HelmRelease in their order, with hosts instead of the placeholder."""
    found = []
    for source in release["spec"]["valuesFrom"]:
        if source["kind"] != "ConfigMap" or "targetPath" in source:
            continue
        (data,) = (
            item["data"]
            for item in objects
            if item["kind"] == "ConfigMap"
            and item["metadata"]["name"] == source["name"]
            and item["metadata"]["namespace"] == release["metadata"]["namespace"]
        )
        found.append(yaml.safe_load(data["values.yaml"].replace(PLACEHOLDER, "example.com")))
    return found


def template(release: str, namespace: str, *arguments: str) -> list[Object]:
    """Render the chart with a release name and further arguments of helm."""
    command = [tool("helm"), "template", release, str(CHART), "--namespace", namespace, "--kube-version", KUBE_VERSION]
    done = subprocess.run([*command, *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def check_schemas(objects: list[Object], locations: list[str]) -> None:
    """Assert that kubeconform accepts the objects. Namespaces have no rule that it could check."""
    kubeconform.check(yaml.safe_dump_all(objects), *locations, skip="Namespace")
