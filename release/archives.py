"""Tar archives whose bytes depend on their content alone."""

import gzip
import io
import tarfile
from pathlib import Path


def normalize(archive: Path, epoch: int) -> None:
    """Write a .tgz again: sorted, with one time and mode, without owners.

    Args:
        epoch: modification time of all members, in seconds since 1970.
    """
    with tarfile.open(archive) as source:
        members = {item.name: source.extractfile(item) for item in source if item.isfile()}
        content = {name: data.read() for name, data in members.items() if data is not None}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as target:
        for name in sorted(content):
            item = tarfile.TarInfo(name)
            item.size, item.mtime, item.mode = len(content[name]), epoch, 0o644
            target.addfile(item, io.BytesIO(content[name]))
    with archive.open("wb") as file, gzip.GzipFile("", "wb", mtime=0, fileobj=file) as compressed:
        compressed.write(plain.getvalue())
