"""`kuscia init` prints what `kuscia start` reads (Kuscia facts 2.6)."""

from pathlib import Path

import pytest

from kuscia_sim import credentials
from kuscia_sim.__main__ import main
from kuscia_sim.config import load_key, parse


def test_configuration_of_a_lite(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["init", "--mode", "Lite", "-d", "alice", "-m", "https://m:1080", "-t", "token", "-p", "TLS"]
    assert main([*arguments, "-r", "runk"]) == 0
    text = capsys.readouterr().out
    assert "mode: Lite" in text
    config = parse(text)
    assert (config.mode, config.domain_id, config.runtime) == ("lite", "alice", "runk")
    assert (config.master_endpoint, config.lite_deploy_token) == ("https://m:1080", "token")
    assert load_key(config.domain_key_data).key_size == 2048


def test_own_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = credentials.new_key()
    path = tmp_path / "key.pem"
    path.write_text(credentials.key_pem(key))
    assert main(["init", "--mode", "master", "-d", "m", "-f", str(path)]) == 0
    config = parse(capsys.readouterr().out)
    assert load_key(config.domain_key_data).private_numbers() == key.private_numbers()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--mode", "bogus"], "Unsupported mode: bogus"),
        (["--mode", "master", "-f", "/nonexistent"], "open /nonexistent: no such file or directory"),
    ],
)
def test_errors(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", *arguments]) == 1
    assert text in capsys.readouterr().err
