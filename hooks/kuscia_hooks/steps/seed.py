"""`seed`: write the tables of a localfs data source to the volume of the lite, before Kuscia starts.

Kuscia's image has example tables at that path, which the volume hides (Kuscia facts 0.16). Existing files are never
changed.
"""

import errno
import glob
import os
import socket
import time
from pathlib import Path

from kuscia_hooks.core.config.data import Seed, Table
from kuscia_hooks.core.errors import PermanentError, StepError, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.core.progress import TransferProgress
from kuscia_hooks.core.waiting import Clock
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.tables.source import Content, content_of

DOWNLOADS = ".downloads"
_BLOCK = 1 << 20
_ABANDONED_SECONDS = 24 * 3600.0
# What follows from the path of a table, not from its volume.
_WRONG_NAME = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
# What file systems without hard links return, such as SMB and FUSE.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def attempt(settings: Seed, context: Context) -> Outcome:
    """Write every table that does not exist yet.

    Raises:
        RetryableError, PermanentError: some tables could not be fetched or written; all others were.
    """
    summary = context.summary
    summary.unchanged = summary.failed = 0
    errors: list[StepError] = []
    for table in settings.tables:
        try:
            _seed(Path(settings.path), table, summary)
        except StepError as error:
            errors.append(error)
    summary.failed = len(errors)
    if errors:
        raise merged(errors)
    return context.outcome()


def _seed(directory: Path, table: Table, summary: Summary) -> None:
    target = directory / table.relative_uri.lstrip("/")
    try:
        _undo_claim(target)
        if os.path.lexists(target):
            logger.info("%s exists; left unchanged", target)
            summary.unchanged += 1
            return
        # Downloads go to the same volume: nothing else in the pod is writable or as large.
        found = content_of(table, directory / DOWNLOADS)
        if found is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            logger.warning("table %s: %s not found; copy it there with kubectl cp", table.id, target)
            return
        written = place(target, found)
        found.discard()
    except OSError as error:
        fix = f"make sure that the volume is large enough and that user {os.geteuid()} can write to it"
        if error.errno in _WRONG_NAME:
            fix = "correct relativeUri of the table: a part of it is too long, or is a file already"
        raise PermanentError(
            "volume-write-failed", f"table {table.id}: cannot write {target}: {error.strerror}", fix=fix
        ) from error
    if written:
        logger.info("wrote %s (%d bytes)", target, found.size)
        summary.created += 1
    else:
        logger.info("%s appeared in the meantime; left unchanged", target)
        summary.unchanged += 1


def place(target: Path, source: Content, clock: Clock | None = None) -> bool:
    """Write a file atomically, unless it exists, and return whether it was written.

    If the process is killed, a hidden file may be left in the directory; the next attempt in this pod replaces it.

    Raises:
        OSError: the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _delete_abandoned(target)
    partial = _partial(target)
    transfer = TransferProgress(str(target), "written", source.size, clock)
    partial.unlink(missing_ok=True)
    with transfer as progress, source.open() as stream, partial.open("xb") as file:
        while block := stream.read(_BLOCK):
            progress.update(file.write(block))
        file.flush()
        os.fsync(file.fileno())
    # Engines and checks may run as a different user.
    partial.chmod(0o644)
    try:
        return _publish(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _publish(partial: Path, target: Path) -> bool:
    """Give a complete file its name, unless the name is taken, and return whether it was free."""
    try:
        os.link(partial, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _claim(partial, target)
    return True


def _claim(partial: Path, target: Path) -> bool:
    """Do the same on a file system without hard links: an empty file reserves the name."""
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    partial.rename(target)
    return True


def _undo_claim(target: Path) -> None:
    """Delete the empty file of `_claim` if the process was killed before the complete file took its place."""
    if _partial(target).exists() and target.is_file() and target.stat().st_size == 0:
        target.unlink()


def _delete_abandoned(target: Path) -> None:
    """Delete the partial files that pods left which no longer exist; a younger one may belong to a concurrent copy."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*partial"):
        if time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS:
            path.unlink(missing_ok=True)


def _partial(target: Path) -> Path:
    """Return the path of a file while it is written; it has the name of the pod, which other copies do not have."""
    return target.with_name(f".{target.name}.{socket.gethostname()}.partial")
