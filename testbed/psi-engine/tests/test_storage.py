"""Files in data sources: a real S3 server (versitygw) on loopback, and directories."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from psi_engine import EngineError, retry, storage
from psi_engine.datamesh import Source
from testbed.servers import s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an S3 server with the accounts and buckets alice and bob."""
    with s3.on_loopback(tmp_path_factory.mktemp("s3"), {"alice": "alice-pw", "bob": "bob-pw"}) as url:
        for party in ("alice", "bob"):
            endpoint = url.removeprefix("http://")
            Minio(endpoint=endpoint, access_key=party, secret_key=f"{party}-pw", secure=False).make_bucket(party)
        yield url


def source(url: str, **more: Any) -> Source:
    """alice's data source, with the settings in DataMesh's shape."""
    info = {
        "endpoint": url, "bucket": "alice", "prefix": "", "access_key_id": "alice",
        "access_key_secret": "alice-pw", "virtualhost": False, "version": "", "storage_type": "",
    }  # fmt: skip
    return Source("default-data-source", "oss", info | more)


@pytest.mark.parametrize("prefix", ["", "p", "/deep/er/"])
def test_fetches_what_it_stored(server: str, tmp_path: Path, prefix: str) -> None:
    content = os.urandom(6_000_000)  # more than one part
    (tmp_path / "in").write_bytes(content)
    one = source(server, prefix=prefix)
    storage.store(one, tmp_path / "in", "psi-output.csv")
    storage.store(one, tmp_path / "in", "psi-output.csv")
    storage.fetch(one, "psi-output.csv", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    key = f"{prefix.strip('/')}/psi-output.csv".lstrip("/")
    whole = source(server)
    storage.fetch(whole, key, tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == content


@pytest.mark.parametrize(("more", "reason"), [
    ({}, "NoSuchKey"),
    ({"bucket": "nosuch"}, "NoSuchBucket"),
    ({"bucket": "bob"}, "AccessDenied"),
    ({"access_key_secret": "wrong"}, "SignatureDoesNotMatch"),
    ({"version": "s3v2"}, "s3v2 is not supported"),
])  # fmt: skip
def test_does_not_retry_permanent_errors(server: str, tmp_path: Path, more: dict[str, str], reason: str) -> None:
    begin = time.monotonic()
    with pytest.raises(EngineError, match=reason) as raised:
        storage.fetch(source(server, **more), "nosuch.csv", tmp_path / "out")
    assert time.monotonic() - begin < 5
    assert "wrong" not in str(raised.value)
    assert "alice-pw" not in str(raised.value)


def test_retries_an_absent_server_until_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until_deadline = retry.until_deadline
    monkeypatch.setattr(storage, "until_deadline", lambda what, call: until_deadline(what, call, seconds=1, pause=0.2))
    with pytest.raises(EngineError, match=r"no success in 1 s; last seen: .*refused"):
        storage.fetch(source("http://127.0.0.1:9"), "a.csv", tmp_path / "out")


def test_reads_and_writes_directories(tmp_path: Path) -> None:
    one = Source("local", "localfs", {"path": str(tmp_path / "data")})
    (tmp_path / "in").write_text("id1\n1\n")
    storage.store(one, tmp_path / "in", "sub/a.csv")
    storage.fetch(one, "sub/a.csv", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "id1\n1\n"
    with pytest.raises(EngineError, match="leads out of data source local"):
        storage.fetch(one, "../in", tmp_path / "out")


def test_rejects_unknown_kind_of_source(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="data source x is of type odps; known: oss, localfs"):
        storage.fetch(Source("x", "odps", json.loads("{}")), "a", tmp_path / "out")
