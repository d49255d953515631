"""`seed`: puts the tables of a localfs data source into the lite's volume, before Kuscia starts.

Kuscia's image has example tables at that path, which the volume hides (Kuscia facts 0.16). Whatever lies at a
table's place stays as it is.
"""

import os
from pathlib import Path

from kuscia_hooks.core.config import Seed, Table
from kuscia_hooks.core.errors import PermanentError, StepError, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.core.progress import TransferProgress
from kuscia_hooks.core.waiting import Clock
from kuscia_hooks.tables.source import Content, content_of

DOWNLOADS = ".downloads"
_BLOCK = 1 << 20


def attempt(config: Seed, summary: Summary) -> Summary:
    """Put every table into the volume that is not there yet.

    Args:
        summary: counts of earlier attempts; it is added to.

    Raises:
        RetryableError, PermanentError: for all that could not be fetched or written, after the rest is done.
    """
    summary.unchanged = summary.failed = 0
    errors: list[StepError] = []
    for table in config.tables:
        try:
            _seed(Path(config.path), table, summary)
        except StepError as error:
            errors.append(error)
    summary.failed = len(errors)
    if errors:
        raise merged(errors)
    return summary


def _seed(directory: Path, table: Table, summary: Summary) -> None:
    target = directory / table.relative_uri.lstrip("/")
    try:
        if os.path.lexists(target):
            logger.info("%s is there, and stays as it is", target)
            summary.unchanged += 1
            return
        # Beside the tables, because nothing else can be written to, and nothing else is as large.
        found = content_of(table, directory / DOWNLOADS)
        if found is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            logger.warning("table %s: there is no %s yet; put it there with kubectl cp", table.id, target)
            return
        written = place(target, found)
        found.discard()
    except OSError as error:
        raise PermanentError(
            "unclassified",
            f"table {table.id}: {target} cannot be written: {error.strerror}. Is the volume large enough, and may "
            f"user {os.geteuid()} write to it?",
        ) from error
    if written:
        logger.info("wrote %s (%d bytes)", target, found.size)
        summary.created += 1
    else:
        logger.info("%s came meanwhile, and stays as it is", target)
        summary.unchanged += 1


def place(target: Path, source: Content, clock: Clock | None = None) -> bool:
    """Write a file as a whole, unless there is one. Returns whether it was written.

    A kill leaves at most a hidden file beside it, which the next attempt replaces.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    progress = TransferProgress(str(target), "written", source.size, clock)
    with source.open() as stream, partial.open("wb") as file:
        while block := stream.read(_BLOCK):
            progress.update(file.write(block))
        file.flush()
        os.fsync(file.fileno())
    # Engines and checks may run as another user.
    partial.chmod(0o644)
    if os.path.lexists(target):
        partial.unlink()
        return False
    partial.rename(target)
    return True
