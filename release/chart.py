"""The chart of a release: charts/kuscia with the presets, the license, and the names of the published artifacts."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from release import archives, changes
from release.versions import CHART, ROOT, version

LOCAL_CHART = "./charts/kuscia"
LOCAL_IMAGE = "repository: secretflow/kuscia-hooks"
# Values that render a master and a lite, whose images are all images of the chart.
ALL_IMAGES = "values/master-and-alice.yaml"
# A Helm that was built without version stamps assumes Kubernetes 1.20.
KUBE_VERSION = "1.30.0"


@dataclass(frozen=True)
class Home:
    """Where a release is published.

    Args:
        owner: owner of the registry namespace: ghcr.io/OWNER.
        repository: address of the repository, such as https://github.com/OWNER/kuscia-chart.
    """

    owner: str
    repository: str

    @property
    def registry(self) -> str:
        """The registry path. Repositories in a registry are lower case."""
        return f"ghcr.io/{self.owner.lower()}"

    @property
    def image(self) -> str:
        """The image of the steps, without a tag."""
        return f"{self.registry}/kuscia-hooks"

    @property
    def charts(self) -> str:
        """What `helm push` gets: the chart is `kuscia` below it."""
        return f"oci://{self.registry}/charts"

    @property
    def chart(self) -> str:
        """The chart, as `helm install` takes it."""
        return f"{self.charts}/kuscia"

    def pages(self, version: str) -> str:
        """The files of a version in the repository."""
        return f"{self.repository}/blob/v{version}"


def package(target: Path, home: Home, epoch: int, root: Path = ROOT) -> Path:
    """Package the chart in a directory; return the archive. Its bytes depend on the arguments and the tree alone.

    Raises:
        subprocess.CalledProcessError: helm failed; its output was printed.
        ValueError: a text that the release replaces is not in the chart exactly once, or CHANGELOG.md is malformed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        staged = stage(Path(scratch), home, root)
        command = ["helm", "package", str(staged), "--destination", scratch]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        made = Path(scratch, f"kuscia-{version(root)}.tgz")
        archives.normalize(made, epoch)
        target.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(made, target))


def stage(directory: Path, home: Home, root: Path = ROOT) -> Path:
    """Copy the chart as it is released into a directory; return its path."""
    staged = directory / "kuscia"
    shutil.copytree(root / CHART, staged)
    shutil.copy(root / "LICENSE", staged)
    (staged / "values").mkdir()
    for preset in sorted((root / "values").glob("*.yaml")):
        shutil.copy(preset, staged / "values")
    values = staged / "values.yaml"
    if values.read_text().count(LOCAL_IMAGE) != 1:
        raise ValueError(f"{values.name}: {LOCAL_IMAGE!r} is not there exactly once")
    values.write_text(values.read_text().replace(LOCAL_IMAGE, f"repository: {home.image}"))
    published = f"{home.chart} --version {version(root)}"
    for path in sorted([staged / "README.md", *staged.glob("values/*.yaml"), *staged.glob("charts/**/_notes.tpl")]):
        path.write_text(path.read_text().replace(LOCAL_CHART, published))
    annotate(staged, home, root)
    return staged


def annotate(staged: Path, home: Home, root: Path = ROOT) -> None:
    """Add to Chart.yaml what depends on the release: sources, and the annotations of Artifact Hub."""
    path = staged / "Chart.yaml"
    content = yaml.safe_load(path.read_text())
    pages = home.pages(version(root))
    made = changes.parse(changes.linked(changes.notes(version(root), root), pages), root)
    content["sources"] = [home.repository, *content["sources"]]
    content["annotations"] |= {
        "artifacthub.io/changes": _block([vars(change) for change in made]),
        "artifacthub.io/containsSecurityUpdates": str(any(change.kind == "security" for change in made)).lower(),
        "artifacthub.io/images": _block([{"name": name(image), "image": image} for image in images(staged)]),
        "artifacthub.io/links": _block(
            [
                {"name": "documentation", "url": f"{pages}/docs/README.md"},
                {"name": "upgrading", "url": f"{pages}/UPGRADING.md"},
                {"name": "support", "url": f"{home.repository}/issues"},
            ]
        ),
        "artifacthub.io/prerelease": str("-" in version(root)).lower(),
    }
    path.write_text(_block(content))


def images(staged: Path) -> list[str]:
    """Return all images of a chart, from its list for mirrors.

    Raises:
        subprocess.CalledProcessError: helm failed; its output was printed.
    """
    command = ["helm", "template", "kuscia", str(staged), "--values", str(staged / ALL_IMAGES)]
    command += ["--kube-version", KUBE_VERSION, "--show-only", "templates/images.txt"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [line.removeprefix("# image: ") for line in done.stdout.splitlines() if line.startswith("# image: ")]


def name(image: str) -> str:
    """Return the last part of an image's repository."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _block(content: Any) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return text
