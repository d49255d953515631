"""The directory of build results, outside of the work tree: archives, wheels, build storage, logs."""

import fcntl
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.cluster.names import cache_root
from testbed.images.process import say

CACHE = cache_root() / "images"
KEEP = 3  # newest archives that are kept of each image
KEEP_SECONDS = 6 * 3600.0  # younger archives are kept too, because another clone may be about to load them


def make_directory(*parts: str) -> Path:
    """Create a directory of the cache if it does not exist; return its path."""
    path = CACHE.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def lock() -> Iterator[None]:
    """Exclude other processes that build or copy images, and remove what killed ones left in `tmp`."""
    with (make_directory() / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that builds images")
            fcntl.flock(file, fcntl.LOCK_EX)
        for left in (CACHE / "tmp").glob("*-*"):
            shutil.rmtree(left)
        yield


def remove_old(directory: Path, name: str, suffix: str = "") -> None:
    """Remove entries `NAME-<12 hex digits>SUFFIX` that are older than KEEP_SECONDS, except the KEEP newest."""
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}{re.escape(suffix)}")
    ages = {path: time.time() - path.stat().st_mtime for path in directory.iterdir() if pattern.fullmatch(path.name)}
    for path in sorted(ages, key=lambda path: ages[path])[KEEP:]:
        if ages[path] > KEEP_SECONDS:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
