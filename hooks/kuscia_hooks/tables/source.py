"""Where the bytes of a table come from: an example, a URL, or a file that is mounted into the pod."""

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from kuscia_hooks.core.config import Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.tables import download, examples


class Content:
    """The bytes of a table, in memory or in a file.

    Args:
        downloaded: the file is a copy that is not needed after use.
    """

    def __init__(self, source: bytes | Path, downloaded: bool = False) -> None:
        self._source = source
        self._downloaded = downloaded
        self._sha256 = ""
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size

    def open(self) -> BinaryIO:
        return BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def sha256(self) -> str:
        self._sha256 = self._sha256 or self._digest("sha256")
        return self._sha256

    def md5(self) -> str:
        return self._digest("md5")

    def discard(self) -> None:
        """Free the space of a copy."""
        if self._downloaded and isinstance(self._source, Path):
            download.forget(self._source)

    def _digest(self, algorithm: str) -> str:
        # MD5 is what an S3 store calls an ETag; nothing here depends on its strength.
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with self.open() as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def content_of(table: Table, directory: Path, login: Callable[[str], download.Login] | None = None) -> Content | None:
    """A table's content, of the size and with the checksum that are given; None when nothing is to be brought.

    Args:
        directory: for downloads, which go on there after a restart.
        login: reads a URL's credentials from the Secret of that name.

    Raises:
        RetryableError: the URL does not answer now, or the Secret is missing.
        PermanentError: there is no such file, the URL refuses, or the content is another than said.
    """
    content = _raw(table, directory, login)
    if content is not None:
        _verify(table, content)
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
            raise PermanentError("unclassified", f"table {table.id}: there is no file {path}{_beside(path)}")
        with path.open("rb"):
            return Content(path)
    except PermissionError as error:
        raise PermanentError(
            "unclassified", f"table {table.id}: {path} may not be read; it has to be readable for user or group 1000"
        ) from error


def _beside(path: Path) -> str:
    """What there is instead, as far up as a directory exists."""
    parent = next((parent for parent in path.parents if parent.is_dir()), None)
    if parent is None:
        return ""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in parent.iterdir())
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"; {parent} holds {shown or 'nothing'}"


def _verify(table: Table, content: Content) -> None:
    where = "example" if table.example else download.shown(table.url) if table.url else table.file
    if table.size is not None and content.size != table.size:
        content.discard()
        raise PermanentError(
            "unclassified", f"table {table.id}: {where} has {content.size} bytes, not the {table.size} of `size`"
        )
    if table.sha256 and content.sha256() != table.sha256:
        found = content.sha256()
        content.discard()
        raise PermanentError(
            "unclassified", f"table {table.id}: {where} has the SHA-256 {found}, not the {table.sha256} of `sha256`"
        )
