"""What decides an image's tag, and what is said about a bad reference."""

import os
from pathlib import Path

import pytest

from testbed.images import builder


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


def test_ignored_files_are_left_out(context: Path) -> None:
    assert [str(file) for file in builder.context_files(context)] == [
        ".dockerignore", "Dockerfile", "package/module.py"]  # fmt: skip


def test_patterns_do_not_reach_into_other_directories(context: Path) -> None:
    (context / "package/test_c.py").write_text("")
    assert Path("package/test_c.py") in builder.context_files(context)
    (context / ".dockerignore").write_text("**/test_*.py\n")
    found = builder.context_files(context)
    assert not [file for file in found if file.name.startswith("test_")]
    assert Path("notes.md") in found


def test_exceptions_are_refused(context: Path) -> None:
    (context / ".dockerignore").write_text("*\n!Dockerfile\n")
    with pytest.raises(builder.ImageError, match="are not supported here"):
        builder.context_files(context)


def test_the_tag_follows_what_goes_in_and_nothing_else(context: Path) -> None:
    before = builder.context_hash(context)
    assert builder.context_hash(context) == before
    (context / "notes.md").write_text("more")
    (context / "package/__pycache__/module.pyc").write_text("other")
    assert builder.context_hash(context) == before

    changed = {before, builder.context_hash(context, "base")}
    (context / "package/module.py").write_text("x = 2\n")
    changed.add(builder.context_hash(context))
    (context / "package/module.py").rename(context / "package/other.py")
    changed.add(builder.context_hash(context))
    (context / "package/other.py").chmod(0o755)
    changed.add(builder.context_hash(context))
    assert len(changed) == 5


def test_the_newest_archives_of_one_image_are_kept_and_those_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "KEEP", 2)
    paths = [tmp_path / f"kuscia-{number:012x}.tar" for number in range(4)]
    other = tmp_path / "kuscia-sim-000000000000.tar"
    today = [tmp_path / f"kuscia-{number:012x}.tar" for number in range(10, 12)]
    for path in (*paths, *today, other):
        path.touch()
    for age, path in enumerate(paths):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    builder._prune(builder.Image("kuscia", "docker.io/local/kuscia:x", today[0]))
    assert sorted(tmp_path.iterdir()) == [*today, other]


def test_the_tag_follows_what_it_is_built_on_and_what_it_names(
    context: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, recipe = tmp_path_factory.mktemp("other"), tmp_path_factory.mktemp("recipe") / "Dockerfile"
    (other / "Dockerfile").write_text("FROM scratch\n")
    recipe.write_text("ARG KUSCIA_IMAGE\nFROM ${KUSCIA_IMAGE}\n")
    sources = {
        "base": builder.Source(context),
        "named": builder.Source(other),
        "child": builder.Source(other, dockerfile=recipe, parent="base", names=(("NAME", "named"),)),
    }
    monkeypatch.setattr(builder, "ALL_SOURCES", sources)
    tags = {builder.image("child").ref}
    (context / "package/module.py").write_text("x = 3\n")
    tags.add(builder.image("child").ref)
    recipe.write_text("ARG KUSCIA_IMAGE\nFROM ${KUSCIA_IMAGE}\nUSER 1000\n")
    tags.add(builder.image("child").ref)
    sources["named"] = builder.Source(context)
    tags.add(builder.image("child").ref)
    assert builder.cluster_name("named") == builder.image("named").ref
    monkeypatch.setenv("IMAGE_PREFIX", "registry.example/me/")
    assert builder.cluster_name("named") == builder.image("named").ref.replace(builder.REGISTRY, "registry.example/me")
    tags.add(builder.image("child").ref)
    assert len(tags) == 5


class FakeNode:
    """A node that has the images `has`."""

    def __init__(self, *has: str) -> None:
        self.has = has

    def images(self) -> dict[str, str]:
        return dict.fromkeys(self.has, "")

    def import_image(self, archive: Path, ref: str) -> bool:
        raise AssertionError(f"{ref} is there already")


def test_a_name_that_the_node_has_is_used_as_it_is() -> None:
    ref = "docker.io/local/kuscia:real"
    assert builder.adopt(FakeNode(ref), ref) == ref


def test_a_name_for_the_users_own_cluster_is_left_to_its_nodes() -> None:
    assert builder.adopt(None, "registry.example/kuscia:1") == "registry.example/kuscia:1"


@pytest.mark.parametrize("given", ["kuscia", "registry.example:5000/kuscia"])
def test_a_name_without_tag_is_refused_with_examples(given: str) -> None:
    with pytest.raises(builder.ImageError, match=r"a tag or digest is missing\. Examples: "):
        builder.adopt(FakeNode(), given)


def test_an_archive_for_the_users_own_cluster_needs_a_prefix() -> None:
    with pytest.raises(builder.ImageError, match="needs IMAGE_PREFIX=registry/path"):
        builder.adopt(None, "oci-archive:kuscia.tar")


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(builder.ImageError, match=r"no such file[\s\S]*or docker-archive:FILE"):
        builder.adopt(FakeNode(), f"oci-archive:{tmp_path}/nosuch.tar")


def test_build_arguments_are_part_of_the_tag() -> None:
    tags = {builder.image(name).ref.rpartition(":")[2] for name in ("kuscia-sim", "kuscia-sim-next")}
    assert len(tags) == 2


def test_the_same_image_under_a_second_name(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Path("kuscia-1.tar")
    monkeypatch.setattr(builder, "_copy", lambda *_: builder.Image("kuscia", "docker.io/local/kuscia:1", archive))
    imported = {}
    node = FakeNode()
    monkeypatch.setattr(node, "import_image", lambda archive, ref: imported.update({ref: archive}))
    assert builder.adopt_again(node, "docker-archive:kuscia.tar") == "docker.io/local/kuscia:1-again"
    assert imported == {"docker.io/local/kuscia:1-again": archive}
