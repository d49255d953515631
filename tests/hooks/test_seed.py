import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kuscia_hooks.cli import main
from kuscia_hooks.core.config.data import Seed
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.steps import seed
from kuscia_hooks.tables import examples
from kuscia_hooks.tables.source import Content
from tests.hooks.builders import ALICE_TABLE, context, run_step, seed_config
from tests.hooks.fakes.clock import FakeTime


def attempt(settings: Seed) -> Summary:
    return run_step(seed.attempt, settings)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return tmp_path / "volume/data"


def test_writes_an_example_table(volume: Path) -> None:
    """The bytes are those that `data` uploads to a bucket."""
    summary = attempt(seed_config(volume))
    assert (volume / "alice.csv").read_bytes() == examples.table("alice")
    assert (volume / "alice.csv").stat().st_mode & 0o777 == 0o644
    assert summary.line(0.0).startswith("created=1 unchanged=0 failed=0")
    assert [path.name for path in volume.iterdir()] == ["alice.csv"]


def test_writes_to_the_volume_only(volume: Path, tmp_path: Path) -> None:
    """Nothing else is writable in the init container."""
    path = tmp_path / "seed.yaml"
    path.write_text(json.dumps({"path": str(volume), "tables": [ALICE_TABLE]}))
    code = (
        "import tempfile; tempfile._candidate_tempdir_list = list; "
        f"from kuscia_hooks.cli import main; main(['seed', '--mode', 'job', '--config', {str(path)!r}])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran
    assert (volume / "alice.csv").exists()


def test_keeps_an_existing_file(volume: Path) -> None:
    volume.mkdir(parents=True)
    own = volume / "alice.csv"
    own.write_text("id1\n1\n")
    before = own.stat()
    summary = attempt(seed_config(volume))
    assert own.read_text() == "id1\n1\n"
    assert own.stat().st_mtime_ns == before.st_mtime_ns
    assert summary.line(0.0).startswith("created=0 unchanged=1 failed=0")


def test_keeps_a_dangling_link(volume: Path) -> None:
    volume.mkdir(parents=True)
    (volume / "alice.csv").symlink_to("/nowhere/alice.csv")
    attempt(seed_config(volume))
    assert os.readlink(volume / "alice.csv") == "/nowhere/alice.csv"


def test_keeps_a_file_that_appears_during_the_download(volume: Path, fake_time: FakeTime) -> None:
    class Slow(Content):
        def open(self) -> Any:
            (volume / "alice.csv").write_text("mine")
            return super().open()

    assert seed.place(volume / "alice.csv", Slow(b"id1\n"), fake_time.clock) is False
    assert [path.read_text() for path in volume.iterdir()] == ["mine"]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("appears", ["", "mine"], ids=["empty", "with content"])
def test_keeps_a_file_that_appears_after_the_last_look(
    volume: Path, monkeypatch: pytest.MonkeyPatch, links: bool, appears: str
) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        target.write_text(appears)
        if not links:
            raise OSError(errno.EPERM, "Operation not permitted")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert attempt(seed_config(volume)).line(0.0).startswith("created=0 unchanged=1 failed=0")
    assert [path.read_text() for path in volume.iterdir()] == [appears]


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links")
def test_writes_to_a_file_system_without_hard_links(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", kill)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            attempt(seed_config(volume))
    assert (volume / "alice.csv").read_bytes() == b""
    assert attempt(seed_config(volume)).created == 1
    assert (volume / "alice.csv").read_bytes() == examples.table("alice")
    assert [path.name for path in volume.iterdir()] == ["alice.csv"]


def test_concurrent_copies_write_the_table_once(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second copy is in a different pod."""

    class Slow(Content):
        def open(self) -> Any:
            with monkeypatch.context() as patch:
                patch.setattr("socket.gethostname", lambda: "other")
                assert seed.place(volume / "alice.csv", Content(b"id1\n")) is True
            return super().open()

    assert seed.place(volume / "alice.csv", Slow(b"id1\n")) is False
    assert [path.read_text() for path in volume.iterdir()] == ["id1\n"]


def test_replaces_a_partial_file_of_a_killed_process(volume: Path) -> None:
    volume.mkdir(parents=True)
    (volume / f".alice.csv.{socket.gethostname()}.partial").write_text("half")
    attempt(seed_config(volume))
    assert [path.name for path in volume.iterdir()] == ["alice.csv"]


def test_deletes_partial_files_of_former_pods(volume: Path) -> None:
    volume.mkdir(parents=True)
    old, young, other = (
        volume / name for name in (".alice.csv.a.partial", ".alice.csv.b.partial", ".bob.csv.a.partial")
    )
    for path in (old, young, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    attempt(seed_config(volume))
    assert {path.name for path in volume.iterdir()} == {"alice.csv", young.name, other.name}


@pytest.mark.parametrize("content", [b"<html>Log in</html>", b"id1,id1\n1,2\n", b"id1\n\xff\n"])
def test_writes_no_file_that_is_not_a_table(volume: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(PermanentError):
        attempt(seed_config(volume, {"id": "t", "relativeUri": "t.csv", "file": str(tmp_path / "own.csv")}))
    assert not list(volume.glob("*"))


def test_creates_directories(volume: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("id1\n7\n")
    attempt(seed_config(volume, {"id": "t", "relativeUri": "/deep/down/t.csv", "file": str(tmp_path / "own.csv")}))
    assert (volume / "deep/down/t.csv").read_text() == "id1\n7\n"


def test_warns_about_a_table_to_copy_by_hand(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kuscia starts, and the directory exists."""
    summary = attempt(seed_config(volume, {"id": "t", "relativeUri": "deep/t.csv"}))
    assert (volume / "deep").is_dir()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("WARNING table t: ")
    assert f"{volume}/deep/t.csv" in line
    assert summary.line(0.0).startswith("created=0 unchanged=0 failed=0")


def test_reports_a_missing_file(volume: Path) -> None:
    with pytest.raises(PermanentError, match=r"/nowhere/t\.csv"):
        attempt(seed_config(volume, {"id": "t", "relativeUri": "t.csv", "file": "/nowhere/t.csv"}))


def test_writes_other_tables_if_one_fails(volume: Path) -> None:
    volume.mkdir(parents=True)
    (volume / "blocked").write_text("a file where a directory should be")
    summary = Summary()
    with pytest.raises(PermanentError, match=r"table t: .*blocked/t.csv: (Not a directory|File exists)") as error:
        seed.attempt(
            seed_config(volume, {**ALICE_TABLE, "id": "t", "relativeUri": "blocked/t.csv"}, ALICE_TABLE),
            context(summary=summary),
        )
    assert error.value.id == "volume-write-failed"
    assert "relativeUri" in error.value.fix
    assert (volume / "alice.csv").exists()
    assert summary.line(0.0).startswith("created=1 unchanged=0 failed=1")


def test_reports_progress_every_ten_seconds(
    volume: Path, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    class Large(Content):
        def open(self) -> Any:
            stream = super().open()
            read = stream.read

            def slowly(size: int) -> bytes:
                fake_time.clock.sleep(6)
                return read(size)

            stream.read = slowly
            return stream

    source = volume.parent / "source"
    source.parent.mkdir(parents=True)
    source.write_bytes(bytes(5 << 20))
    seed.place(volume / "t.csv", Large(source), fake_time.clock)
    said = [line for line in capsys.readouterr().out.splitlines() if "MB written" in line]
    assert said == [f"{volume}/t.csv: {count} MB of 5.2 MB written, 0.2 MB/s" for count in (2.1, 4.2)]


def test_command_needs_no_api_server(volume: Path, tmp_path: Path) -> None:
    path = tmp_path / "seed.yaml"
    path.write_text(seed_config(volume).model_dump_json(by_alias=True))
    for words in ("created=1 unchanged=0", "created=0 unchanged=1"):
        result = CliRunner().invoke(main, ["seed", "--mode", "job", "--config", str(path)])
        assert (result.exit_code, words in result.output) == (0, True), result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda wrong: wrong["tables"][0].update(relativeUri="../../etc/passwd"),
            "[invalid-relative-uri] tables[0].relativeUri: ",
        ),
        (lambda wrong: wrong.update(path="var/storage"), "[invalid-path] path: "),
        (lambda wrong: wrong["tables"][0].update(file="/x"), "[several-content-sources] tables[0]: "),
    ],
)
def test_command_lists_wrong_values(
    volume: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    wrong = seed_config(volume).model_dump(by_alias=True)
    change(wrong)
    path = tmp_path / "seed.yaml"
    path.write_text(Seed.model_construct(**wrong).model_dump_json(by_alias=True, warnings=False))
    result = CliRunner().invoke(main, ["seed", "--config", str(path)])
    assert result.exit_code == 2
    assert message in result.output
