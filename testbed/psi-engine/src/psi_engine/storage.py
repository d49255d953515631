"""Read and write files of data sources: S3-compatible object stores, local directories."""

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from psi_engine import EngineError
from psi_engine.datamesh import Source
from psi_engine.retry import Transient, until_deadline

TRANSIENT_CODES = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")


def fetch(source: Source, uri: str, target: Path) -> None:
    """Copy the file `uri` of a data source to `target`.

    Raises:
        EngineError: the file does not exist, access is denied, or the kind of the data source is unknown.
    """
    if source.kind == "localfs":
        _copy(_local(source, uri), target, source)
    else:
        client, bucket, key = _object(source, uri)
        _s3(f"fetching s3://{bucket}/{key}", lambda: client.fget_object(bucket, key, str(target)))


def store(source: Source, path: Path, uri: str) -> None:
    """Copy the file `path` to `uri` of a data source, replacing it; raises as `fetch` does."""
    if source.kind == "localfs":
        place = _local(source, uri)
        place.parent.mkdir(parents=True, exist_ok=True)
        _copy(path, place, source)
    else:
        client, bucket, key = _object(source, uri)
        _s3(f"writing s3://{bucket}/{key}",
            lambda: client.fput_object(bucket, key, str(path), content_type="text/csv"))  # fmt: skip


def _copy(origin: Path, target: Path, source: Source) -> None:
    try:
        shutil.copyfile(origin, target)
    except OSError as error:
        raise EngineError(
            f"data source {source.id} (localfs): {error}. A pod that RunK makes sees no directory of the "
            "lite's: use a data source of type oss there"
        ) from error


def _local(source: Source, uri: str) -> Path:
    """Return the path of a file.

    Raises:
        EngineError: `uri` leads out of the directory of the data source.
    """
    root = Path(source.info["path"])
    if ".." in PurePosixPath(uri).parts:
        raise EngineError(f"{uri!r} leads out of data source {source.id}")
    return root / uri.lstrip("/")


def _object(source: Source, uri: str) -> tuple[Minio, str, str]:
    """Return S3 client, bucket and key of a file."""
    if source.kind != "oss":
        raise EngineError(f"data source {source.id} is of type {source.kind}; known: oss, localfs")
    info = source.info
    if info.get("version") == "s3v2":
        raise EngineError(f"data source {source.id}: version s3v2 is not supported here; use s3v4")
    endpoint = urlsplit(info["endpoint"] if "://" in info["endpoint"] else f"http://{info['endpoint']}")
    http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=60), retries=False)
    client = Minio(
        endpoint=endpoint.netloc, access_key=info["access_key_id"], secret_key=info["access_key_secret"],
        secure=endpoint.scheme == "https", http_client=http,
    )  # fmt: skip
    if info.get("virtualhost"):
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    prefix = (info.get("prefix") or "").strip("/")
    return client, info["bucket"], f"{prefix}/{uri.lstrip('/')}".lstrip("/")


def _s3(what: str, call: Callable[[], object]) -> None:
    def once() -> None:
        try:
            call()
        except S3Error as error:
            if error.code in TRANSIENT_CODES:
                raise Transient(f"{error.code}: {error.message}") from error
            raise EngineError(f"{what}: {error.code}: {error.message}") from error
        except (ServerError, InvalidResponseError, urllib3.exceptions.HTTPError) as error:
            raise Transient(str(error)) from error

    until_deadline(what, once)
