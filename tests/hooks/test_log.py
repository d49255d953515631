import base64
import json
import logging
import sys
from urllib.parse import quote

import pytest

from kuscia_hooks.core import log
from kuscia_hooks.core.log import logger


@pytest.mark.parametrize(
    "shape",
    [
        lambda s: s,
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: json.dumps(s),
        lambda s: repr(s),
        lambda s: quote(s, safe=""),
        lambda s: f"mysql://root:{s}@tcp(db:3306)/kine",
    ],
)
@pytest.mark.parametrize("secret", ["hunter2", 'p@ss:w/ord?#"\\', "пароль", "x"])
def test_no_form_of_a_secret_is_printed(capsys: pytest.CaptureFixture[str], secret: str, shape) -> None:
    log.hide(secret)
    logger.info("the value %s stands here", shape(secret))
    out = capsys.readouterr().out
    assert shape(secret) not in out
    assert secret not in out
    assert log.MASK in out


def test_single_lines_of_a_key_are_hidden(capsys: pytest.CaptureFixture[str], key_pem: bytes) -> None:
    log.hide(key_pem)
    line = key_pem.decode().splitlines()[3]
    logger.info("a line: %s, and all: %s", line, key_pem.decode())
    out = capsys.readouterr().out
    assert line not in out
    assert "BEGIN RSA PRIVATE KEY" not in out


def test_a_traceback_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    log.hide("hunter2")
    try:
        raise ValueError("refused hunter2")
    except ValueError:
        logger.exception("failed")
    out = capsys.readouterr().out
    assert "ValueError" in out
    assert "hunter2" not in out


def test_an_unexpected_error_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    log.hide("hunter2")
    error = KeyError("hunter2")
    sys.excepthook(KeyError, error, None)
    out, err = capsys.readouterr()
    assert "CRITICAL unexpected error" in out
    assert "KeyError" in out
    assert "hunter2" not in out + err


def test_an_empty_secret_hides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log.hide("", b"")
    logger.info("plain text")
    assert capsys.readouterr().out == "plain text\n"


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(as_json=True)
    log.hide("hunter2")
    logger.warning("password hunter2")
    entry = json.loads(capsys.readouterr().out)
    assert entry["level"] == "warning"
    assert entry["message"] == "password ***"
    assert entry["time"].endswith("Z")


def test_levels_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    logger.log(logging.ERROR, "bad")
    logger.log(logging.WARNING, "odd")
    assert capsys.readouterr().out == "ERROR bad\nWARNING odd\n"
