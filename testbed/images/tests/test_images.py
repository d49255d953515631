"""Tags, given images, and the cache of archives."""

import os
from pathlib import Path

import pytest

from testbed.images import adopt, cache, tags
from testbed.images.process import ImageError
from testbed.images.sources import Source
from testbed.images.tags import Image


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "package/__pycache__").mkdir(parents=True)
    (tmp_path / "package/module.py").write_text("x = 1\n")
    (tmp_path / "package/__pycache__/module.pyc").write_text("")
    (tmp_path / "test_a.py").write_text("")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "notes.md").write_text("")
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit/test_b.py").write_text("")
    (tmp_path / ".dockerignore").write_text("# tests\ntest_*.py\nunit/\n\n*.md\n")
    return tmp_path


def test_context_excludes_ignored_files(context: Path) -> None:
    assert [str(file) for file in tags.context_files(context)] == [
        ".dockerignore", "Dockerfile", "package/module.py"]  # fmt: skip


def test_ignore_pattern_matches_other_directories_only_with_two_asterisks(context: Path) -> None:
    (context / "package/test_c.py").write_text("")
    assert Path("package/test_c.py") in tags.context_files(context)
    (context / ".dockerignore").write_text("**/test_*.py\n")
    found = tags.context_files(context)
    assert not [file for file in found if file.name.startswith("test_")]
    assert Path("notes.md") in found


def test_rejects_negated_ignore_patterns(context: Path) -> None:
    (context / ".dockerignore").write_text("*\n!Dockerfile\n")
    with pytest.raises(ImageError):
        tags.context_files(context)


def test_tag_changes_with_content_names_and_modes_only(context: Path) -> None:
    before = tags.context_hash(context)
    assert tags.context_hash(context) == before
    (context / "notes.md").write_text("more")
    (context / "package/__pycache__/module.pyc").write_text("other")
    assert tags.context_hash(context) == before

    changed = {before, tags.context_hash(context, "base")}
    (context / "package/module.py").write_text("x = 2\n")
    changed.add(tags.context_hash(context))
    (context / "package/module.py").rename(context / "package/other.py")
    changed.add(tags.context_hash(context))
    (context / "package/other.py").chmod(0o755)
    changed.add(tags.context_hash(context))
    assert len(changed) == 5


def test_tag_changes_with_parent_dockerfile_and_named_images(
    context: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, recipe = tmp_path_factory.mktemp("other"), tmp_path_factory.mktemp("recipe") / "Dockerfile"
    (other / "Dockerfile").write_text("FROM scratch\n")
    recipe.write_text("ARG KUSCIA_IMAGE\nFROM ${KUSCIA_IMAGE}\n")
    sources = {
        "base": Source(context),
        "named": Source(other),
        "child": Source(other, dockerfile=recipe, parent="base", names=(("NAME", "named"),)),
    }
    monkeypatch.setattr(tags, "SOURCES", sources)
    found = {tags.image("child").ref}
    (context / "package/module.py").write_text("x = 3\n")
    found.add(tags.image("child").ref)
    recipe.write_text("ARG KUSCIA_IMAGE\nFROM ${KUSCIA_IMAGE}\nUSER 1000\n")
    found.add(tags.image("child").ref)
    sources["named"] = Source(context)
    found.add(tags.image("child").ref)
    assert tags.cluster_name("named") == tags.image("named").ref
    monkeypatch.setenv("IMAGE_PREFIX", "registry.example/me/")
    assert tags.cluster_name("named") == tags.image("named").ref.replace(tags.REGISTRY, "registry.example/me")
    found.add(tags.image("child").ref)
    assert len(found) == 5


def test_tag_changes_with_build_arguments() -> None:
    found = {tags.image(name).ref.rpartition(":")[2] for name in ("kuscia-sim", "kuscia-sim-next")}
    assert len(found) == 2


def test_remove_old_keeps_the_newest_and_the_recent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEEP", 2)
    old = [tmp_path / f"kuscia-{number:012x}.tar" for number in range(4)]
    recent = [tmp_path / f"kuscia-{number:012x}.tar" for number in range(10, 12)]
    other = tmp_path / "kuscia-sim-000000000000.tar"
    for path in (*old, *recent, other):
        path.touch()
    for age, path in enumerate(old):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    cache.remove_old(tmp_path, "kuscia", ".tar")
    assert sorted(tmp_path.iterdir()) == [*recent, other]


class FakeNode:
    """A node that has some images and records imports."""

    def __init__(self, *refs: str) -> None:
        self.refs = refs
        self.imported: dict[str, Path] = {}

    def images(self) -> dict[str, str]:
        return dict.fromkeys(self.refs, "")

    def import_image(self, archive: Path, ref: str) -> bool:
        self.imported[ref] = archive
        return True


def test_adopt_uses_an_image_that_the_node_has() -> None:
    ref = "docker.io/local/kuscia:real"
    node = FakeNode(ref)
    assert adopt.adopt(node, ref) == ref
    assert node.imported == {}


def test_adopt_leaves_pulling_to_the_nodes_of_another_cluster() -> None:
    assert adopt.adopt(None, "registry.example/kuscia:1") == "registry.example/kuscia:1"


@pytest.mark.parametrize("given", ["kuscia", "registry.example:5000/kuscia"])
def test_adopt_rejects_a_name_without_tag(given: str) -> None:
    with pytest.raises(ImageError, match=r"docker-archive:kuscia\.tar"):
        adopt.adopt(FakeNode(), given)


def test_adopt_requires_a_prefix_for_an_archive_when_the_cluster_is_remote() -> None:
    with pytest.raises(ImageError, match="IMAGE_PREFIX"):
        adopt.adopt(None, "oci-archive:kuscia.tar")


def test_adopt_fails_when_the_archive_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        adopt.adopt(FakeNode(), f"oci-archive:{tmp_path}/nosuch.tar")


def test_adopt_again_imports_under_a_second_name(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Path("kuscia-1.tar")
    monkeypatch.setattr(adopt, "_copy", lambda *_: Image("kuscia", "docker.io/local/kuscia:1", archive))
    node = FakeNode()
    assert adopt.adopt_again(node, "docker-archive:kuscia.tar") == "docker.io/local/kuscia:1-again"
    assert node.imported == {"docker.io/local/kuscia:1-again": archive}
