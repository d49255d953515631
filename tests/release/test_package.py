"""The packaged chart of a release."""

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from release import chart
from release.versions import version
from tests.chart.render import CHART, KUBE_VERSION, PRESETS, ROOT, Scenario, find, parse, tool
from tests.release.conftest import EPOCH, HOME

IMAGE = "ghcr.io/example/kuscia-hooks"


@pytest.fixture(scope="session")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(package) as files:
        files.extractall(directory, filter="data")
    return directory / "kuscia"


@pytest.fixture(scope="session")
def annotations(unpacked: Path) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((unpacked / "Chart.yaml").read_text())["annotations"]
    return found


def test_two_packages_have_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert chart.package(tmp_path, HOME, EPOCH).read_bytes() == package.read_bytes()


def test_members_have_one_time_and_no_owner(package: Path) -> None:
    with tarfile.open(package) as files:
        members = files.getmembers()
    assert {(member.mtime, member.uid, member.mode) for member in members} == {(EPOCH, 0, 0o644)}
    assert [member.name for member in members] == sorted(member.name for member in members)


def test_contains_presets_license_and_readme(unpacked: Path) -> None:
    assert {path.name for path in unpacked.glob("values/*.yaml")} == {path.name for path in PRESETS.glob("*.yaml")}
    assert (unpacked / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (unpacked / "README.md").stat().st_size
    assert not (unpacked / "ci").exists()
    assert not (unpacked / "tests").exists()


def test_presets_differ_in_comments_only(unpacked: Path) -> None:
    for path in unpacked.glob("values/*.yaml"):
        assert yaml.safe_load(path.read_text()) == yaml.safe_load((PRESETS / path.name).read_text()), path.name


def test_commands_name_the_published_chart(unpacked: Path) -> None:
    published = f"oci://ghcr.io/example/charts/kuscia --version {version()}"
    for path in [*unpacked.glob("values/*.yaml"), unpacked / "README.md", *unpacked.rglob("_notes.tpl")]:
        assert "./charts/kuscia" not in path.read_text(), path
    assert published in (unpacked / "values/master.yaml").read_text()
    assert published in (unpacked / "README.md").read_text()


def test_only_the_registry_of_the_steps_differs_from_the_tree(unpacked: Path) -> None:
    ours, theirs = (yaml.safe_load((path / "values.yaml").read_text()) for path in (CHART, unpacked))
    assert theirs["global"]["kuscia"]["hooksImage"].pop("repository") == IMAGE
    del ours["global"]["kuscia"]["hooksImage"]["repository"]
    assert theirs == ours


def test_package_renders_as_the_tree_except_for_the_image(package: Path, unpacked: Path) -> None:
    preset = unpacked / "values/master-and-alice.yaml"
    command = [tool("helm"), "template", "kuscia", str(package), "--kube-version", KUBE_VERSION, f"--values={preset}"]
    done = subprocess.run([*command, "--namespace", "ns"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered = parse(done.stdout)
    tree = Scenario("", ("master-and-alice",)).objects
    # Jobs are named after their content, which contains the image.
    names, expected = (
        [(item["kind"], item["metadata"]["name"]) for item in objects if item["kind"] != "Job"]
        for objects in (rendered, tree)
    )
    assert names == expected
    pod = find(rendered, "Deployment", "kuscia-master")["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"].startswith(f"{IMAGE}:")


def test_annotations_describe_the_release(annotations: dict[str, str]) -> None:
    made = yaml.safe_load(annotations["artifacthub.io/changes"])
    assert made
    for change in made:
        assert set(change) == {"kind", "description"}
        assert "](docs/" not in change["description"]
    assert annotations["artifacthub.io/license"] == "Apache-2.0"
    assert annotations["artifacthub.io/prerelease"] in ("true", "false")
    for link in yaml.safe_load(annotations["artifacthub.io/links"]):
        page = link["url"].partition(f"/blob/v{version()}/")[2]
        assert not page or (ROOT / page).exists(), link


def test_annotated_images_are_the_list_for_mirrors(annotations: dict[str, str], unpacked: Path) -> None:
    listed = yaml.safe_load(annotations["artifacthub.io/images"])
    assert [item["image"] for item in listed] == chart.images(unpacked)
    assert f"{IMAGE}:{version()}" in [item["image"] for item in listed]
    names = [item["name"] for item in listed]
    assert "kuscia" in names
    assert "kuscia-hooks" in names


def test_fails_when_the_text_to_replace_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "LOCAL_IMAGE", "repository: other")
    with pytest.raises(ValueError, match="other"):
        chart.stage(tmp_path, HOME)


@pytest.mark.parametrize(("reference", "name"), [("a.b:5000/c/d:1", "d"), ("a/b@sha256:0", "b"), ("b:1", "b")])
def test_derives_the_name_of_an_image_from_its_reference(reference: str, name: str) -> None:
    assert chart.name(reference) == name
