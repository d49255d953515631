"""`kuscia init` prints what `kuscia start` reads (Kuscia facts 2.6); `kuscia image` fills the RunP store."""

import json
from pathlib import Path

import pytest

from kuscia_sim import credentials
from kuscia_sim.__main__ import main
from kuscia_sim.agent import images
from kuscia_sim.node.config import load_key, parse


def test_init_prints_lite_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["init", "--mode", "Lite", "-d", "alice", "-m", "https://m:1080", "-t", "token", "-p", "TLS"]
    assert main([*arguments, "-r", "runk"]) == 0
    text = capsys.readouterr().out
    assert "mode: Lite" in text
    config = parse(text)
    assert (config.mode, config.domain_id, config.runtime) == ("lite", "alice", "runk")
    assert (config.master_endpoint, config.lite_deploy_token) == ("https://m:1080", "token")
    assert load_key(config.domain_key_data).key_size == 2048


def test_init_uses_given_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = credentials.new_key()
    path = tmp_path / "key.pem"
    path.write_text(credentials.key_pem(key))
    assert main(["init", "--mode", "master", "-d", "m", "-f", str(path)]) == 0
    config = parse(capsys.readouterr().out)
    assert load_key(config.domain_key_data).private_numbers() == key.private_numbers()


def test_init_sets_no_protocol_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """The API of a lite then requires client certificates, and its gateway uses plain HTTP (Kuscia facts 2.7)."""
    assert main(["init", "--mode", "lite", "-d", "alice"]) == 0
    text = capsys.readouterr().out
    assert "protocol" not in text
    assert (parse(text).protocol, parse(text).runtime) == ("", "runc")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--mode", "bogus", "-d", "m"], "Unsupported mode: bogus"),
        (["--mode", "master"], "Invalid config, err: invalid domain: empty not allowed"),
        (["--mode", "master", "-d", "master"], "Input domain id can't be 'master', please choose another name"),
        (
            ["--mode", "master", "-d", "Alice_1"],
            "Invalid config, err: invalid domain: must conform to a regular expression "
            "`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`",
        ),
        (["--mode", "lite", "-d", "a", "-r", "runx"], "Invalid config, err: unsupported runtime: runx"),
        (["--mode", "lite", "-d", "a", "-p", "SSL"], "Invalid config, err: unsupported protocol: SSL"),
        (
            ["--mode", "master", "-d", "m", "-f", "/nonexistent"],
            "Init kuscia config err: open /nonexistent: no such file or directory",
        ),
    ],
)
def test_init_reports_errors(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", *arguments]) == 1
    assert text in capsys.readouterr().err


def test_init_rejects_file_without_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key.pem").write_text("no key")
    assert main(["init", "--mode", "master", "-d", "m", "-f", str(tmp_path / "key.pem")]) == 1
    assert "Init kuscia config err: invalid private key, should be PEM block format" in capsys.readouterr().err


def test_image_builtin_adds_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stored as an OCI layout by full name; registering again replaces the image."""
    store, manifest = tmp_path / "images", tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"config": {"Env": ["A=1"], "Cmd": ["x"]}}))
    image = ["image", "--store", str(store), "--runtime", "runp"]
    assert main([*image, "builtin", "docker.io/a/engine:1", "-m", str(manifest)]) == 0
    assert main([*image, "builtin", "docker.io/a/engine:2"]) == 0
    assert main([*image, "builtin", "docker.io/a/engine:2"]) == 0
    capsys.readouterr()
    assert main([*image, "list"]) == 0
    assert capsys.readouterr().out.splitlines() == ["REPOSITORY\tTAG", *(f"docker.io/a/engine\t{n}" for n in (1, 2))]
    found = images.listed(store)
    assert found["docker.io/a/engine:1"] == images.Image((), ("x",), ("A=1",), built_in=True)
    index = json.loads((store / "repositories/index.json").read_text())
    assert [entry["annotations"][images.REF_NAME] for entry in index["manifests"]] == list(found)


def test_image_list_rejects_invalid_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("{")
    assert main(["image", "--store", str(tmp_path), "builtin", "a:1", "--manifest", str(path)]) == 1
    assert "error: " in capsys.readouterr().err
