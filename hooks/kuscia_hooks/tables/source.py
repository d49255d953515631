"""Source of the content of a table: an example, a URL, or a file that is mounted into the pod."""

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from kuscia_hooks.core.config.data import Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.text import first_of, printable
from kuscia_hooks.tables import columns, csv_file, download, examples


class Content:
    """The content of a table, in memory or in a file.

    Args:
        downloaded: whether the file is a copy that `discard` may delete.
    """

    def __init__(self, source: bytes | Path, downloaded: bool = False) -> None:
        self._source = source
        self._downloaded = downloaded
        self._sha256 = ""
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size

    def open(self) -> BinaryIO:
        """Return a new stream at the beginning of the content."""
        return BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def sha256(self) -> str:
        """Return the SHA-256 of the content in hexadecimal."""
        self._sha256 = self._sha256 or self._digest("sha256")
        return self._sha256

    def md5(self) -> str:
        """Return the MD5 of the content in hexadecimal."""
        return self._digest("md5")

    def discard(self) -> None:
        """Delete the file if it is a copy."""
        if self._downloaded and isinstance(self._source, Path):
            download.forget(self._source)

    def _digest(self, algorithm: str) -> str:
        # S3 stores use MD5 as ETag; no security depends on it.
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with self.open() as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def content_of(table: Table, directory: Path, login: Callable[[str], download.Login] | None = None) -> Content | None:
    """Return the content of a table after checking its size, checksum and format; None if the table names no source.

    Args:
        directory: for downloads, which resume there after a restart.
        login: reads the credentials of a URL from the Secret of that name.

    Raises:
        RetryableError: the server of the URL is unavailable, or the Secret is missing.
        PermanentError: the file does not exist, the server rejects the request, size or checksum differ, or the
            content is not a table.
    """
    content = _raw(table, directory, login)
    if content is not None:
        try:
            _verify(table, content)
        except PermanentError:
            content.discard()
            raise
    return content


def _raw(table: Table, directory: Path, login: Callable[[str], download.Login] | None) -> Content | None:
    if table.example:
        return Content(examples.table(table.example))
    if table.file:
        return _file(table, Path(table.file))
    if table.url:
        secret = table.url_credentials_secret
        found = download.Login() if secret is None or login is None else login(secret.name)
        return Content(download.fetch(table.url, found, directory, size=table.size), downloaded=True)
    return None


def _file(table: Table, path: Path) -> Content:
    try:
        if not path.is_file():
            raise PermanentError(
                "table-file-not-found",
                f"table {table.id}: file {path} not found{_nearby(path)}",
                fix="correct lite.data.tables[].file, or put the file on the volume that is mounted there",
            )
        with path.open("rb"):
            return Content(path)
    except PermissionError as error:
        raise PermanentError(
            "table-file-not-readable",
            f"table {table.id}: permission denied: {path}",
            fix="make the file readable for user or group 1000",
        ) from error


def _nearby(path: Path) -> str:
    """Return, for messages, what the closest existing directory contains."""
    parent = next((parent for parent in path.parents if parent.is_dir()), None)
    if parent is None:
        return ""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in parent.iterdir())
    return f" ({parent} contains: {printable(first_of(names)) or 'no files'})"


def _verify(table: Table, content: Content) -> None:
    where = "example" if table.example else download.shown(table.url) if table.url else str(table.file)
    if table.size is not None and content.size != table.size:
        raise download.size_mismatch(f"table {table.id}: {where} has {content.size} bytes", table.size)
    if table.sha256 and content.sha256() != table.sha256:
        raise PermanentError(
            "table-checksum-mismatch",
            f"table {table.id}: the SHA-256 of {where} is {content.sha256()}, but sha256 is {table.sha256}",
            fix="correct lite.data.tables[].sha256, or the file",
        )
    named = f"the file of table {table.id} ({where})"
    with content.open() as stream:
        if columns.has_header(table):
            csv_file.header(csv_file.blocks(stream), named)
            stream.seek(0)
            csv_file.verify_text(csv_file.blocks(stream), named)
        elif table.type == "table" and (found := csv_file.document(stream.read(csv_file.HEADER_BYTES))):
            raise csv_file.not_a_table(named, found)
