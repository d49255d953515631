import base64
import datetime
import io
import json
import logging
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from kuscia_hooks.cluster.client import StoredSecret
from kuscia_hooks.cluster.login import Login as ClusterLogin
from kuscia_hooks.core import log, redaction, termination, tls
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action
from kuscia_hooks.kuscia.deploy_tokens import Expected
from kuscia_hooks.steps import prepare
from kuscia_hooks.tables.download import Login


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
@pytest.mark.parametrize("secret", ["hunter2", 'p@ss:w/ord?#"\\', "пароль"])
def test_masks_every_form_of_a_secret(capsys: pytest.CaptureFixture[str], secret: str, shape) -> None:
    redaction.hide(secret)
    logger.info("the value is %s", shape(secret))
    out = capsys.readouterr().out
    assert shape(secret) not in out
    assert secret not in out
    assert redaction.MASK in out


@pytest.mark.parametrize("secret", ["a", "1", "ab", "s3"])
@pytest.mark.parametrize(
    "place",
    [
        "mysql://root:{}@tcp(db:3306)/kine",
        'login failed for "{}"',
        "repr: '{}'",
        "password={}",
        "Token: {}",
        '{{"secret": "{}"}}',
        "PWD={}&x=y",
        "base64 {base64}",
    ],
)
def test_masks_a_short_secret_where_values_stand(capsys: pytest.CaptureFixture[str], secret: str, place: str) -> None:
    redaction.hide(secret)
    encoded = base64.b64encode(secret.encode()).decode()
    logger.info("%s", place.format(secret, base64=encoded))
    out = capsys.readouterr().out
    assert out == place.format(redaction.MASK, base64=redaction.MASK) + "\n"


@pytest.mark.parametrize("secret", ["a", "1", "an", "is", "of", "in", "}", "- "])
def test_short_secret_does_not_garble_the_text(capsys: pytest.CaptureFixture[str], secret: str) -> None:
    """Masks in a known sentence would show the secret, too."""
    text = "created=11 in 1.1s: a Secret of an alias is in ns-a/a1 at https://a.a:1 {x: 1}"
    redaction.hide(secret)
    logger.info(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_masks_single_lines_of_a_key(capsys: pytest.CaptureFixture[str], key_pem: bytes) -> None:
    redaction.hide(key_pem)
    line = key_pem.decode().splitlines()[3]
    logger.info("a line: %s, all: %s", line, key_pem.decode())
    out = capsys.readouterr().out
    assert line not in out
    assert "BEGIN RSA PRIVATE KEY" not in out


def test_masks_secrets_in_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    redaction.hide("hunter2")
    try:
        raise ValueError("refused hunter2")
    except ValueError:
        logger.exception("failed")
    out = capsys.readouterr().out
    assert "ValueError" in out
    assert "hunter2" not in out


def test_masks_secrets_in_an_unexpected_error(capsys: pytest.CaptureFixture[str]) -> None:
    redaction.hide("hunter2")
    error = KeyError("hunter2")
    sys.excepthook(KeyError, error, None)
    out, err = capsys.readouterr()
    assert "CRITICAL unexpected error" in out
    assert "KeyError" in out
    assert "hunter2" not in out + err


def test_empty_secret_masks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    redaction.hide("", b"")
    logger.info("plain text")
    assert capsys.readouterr().out == "plain text\n"


def test_json_has_time_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(as_json=True)
    redaction.hide("hunter2")
    logger.warning("password hunter2")
    entry = json.loads(capsys.readouterr().out)
    assert entry["level"] == "warning"
    assert entry["message"] == "password ***"
    assert set(entry) == {"time", "level", "message"}
    assert datetime.datetime.fromisoformat(entry["time"]).tzinfo is not None


def test_json_has_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(as_json=True)
    redaction.hide("hunter2")
    error = PermanentError("domain-key-lost", "hunter2 é\nb", fix="use hunter2")
    logger.error("keys: %s", error.message, extra=log.fields(error))
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    entry = json.loads(line)
    assert entry.pop("time")
    assert entry == {
        "level": "error",
        "message": "keys: *** é\nb",
        "error_id": "domain-key-lost",
        "fix": "use ***",
    }


@pytest.mark.parametrize("secret", ["hunter2", 'p@ss:w/ord?#"\\', 'пар"оль'])
def test_json_masks_secrets_before_it_escapes_them(capsys: pytest.CaptureFixture[str], secret: str) -> None:
    log.setup(as_json=True)
    redaction.hide(secret)
    try:
        raise ValueError(secret)
    except ValueError:
        logger.exception("rejected %s", secret)
    entry = json.loads(capsys.readouterr().out)
    assert entry["message"] == "rejected ***"
    assert secret not in str(entry)
    assert "***" in entry["traceback"]


def test_text_has_the_error_in_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    error = PermanentError("domain-key-lost", "no key", fix="restore it")
    logger.error("keys: %s", error.message, extra=log.fields(error))
    assert capsys.readouterr().out == "ERROR [domain-key-lost] keys: no key\n    fix: restore it\n"


def test_prints_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    logger.log(logging.ERROR, "bad")
    logger.log(logging.WARNING, "odd")
    assert capsys.readouterr().out == "ERROR bad\nWARNING odd\n"


@pytest.mark.parametrize(
    "kept",
    [
        StoredSecret({"token": b"hunter2"}),
        Expected("hunter2"),
        prepare._StartValues(b"hunter2", {"a": "hunter2"}, {}, "hunter2", "hunter2", "hunter2"),
        Action("create", "Secret", "s", payload="hunter2"),
        Login(httpx.BasicAuth("a", "hunter2")),
        ClusterLogin("https://x", tls.unverified(), lambda: "hunter2"),
    ],
    ids=lambda kept: type(kept).__name__,
)
def test_objects_that_keep_secrets_do_not_print_them(kept: object) -> None:
    """A traceback and a debugger show what `repr` returns."""
    assert "hunter2" not in repr(kept) + str(kept)


@pytest.mark.parametrize("as_json", [False, True])
def test_prints_text_that_the_encoding_of_the_output_does_not_have(
    monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8"))
    log.setup(as_json=as_json)
    logger.info("DomainRoute a\ud800b")
    sys.stdout.flush()
    assert b"a\\ud800b" in written.getvalue()


def test_termination_message_of_an_error_with_half_of_a_surrogate_pair(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setattr(termination, "LOG", file)
    termination.write_error(PermanentError("kusciaapi-rejected", "domain a\ud800b", fix="\udfff"))
    assert json.loads(file.read_text())["error"] == "kusciaapi-rejected"
