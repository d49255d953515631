"""The catalog of errors: every ID that a step can print, whether the step retries, and what it means.

docs/errors.md has one row for each entry; `doctor` looks entries up by ID. An ID is never reused for another meaning.
Raise an error with an ID of this list: `RetryableError` where `retryable` is true, else `PermanentError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One kind of error.

    Args:
        id: stable slug, lower-case words joined by `-`.
        retryable: whether the step retries without a change to its input.
        summary: what it means, in one sentence.
    """

    id: str
    retryable: bool
    summary: str


def _retryable(error_id: str, summary: str) -> Entry:
    return Entry(error_id, True, summary)


def _permanent(error_id: str, summary: str) -> Entry:
    return Entry(error_id, False, summary)


GENERAL = (
    _permanent("several-errors", "Several errors, at least one of which needs manual action; each is listed."),
    _retryable("several-retryable", "Several retryable errors; each is listed."),
    _permanent("unclassified", "Temporary."),
    _retryable("unclassified-retryable", "Temporary."),
    _permanent("invalid-config", "The configuration file of the step is invalid."),
)

KUBERNETES = (
    _retryable("already-exists", "Another client created the object at the same time; the step reads it again."),
    _retryable("no-log-yet", "A container has no log because it has not started or is gone."),
)

KUSCIA = (
    _retryable("kusciaapi-timeout", "KusciaAPI did not answer in time; the request may have been carried out."),
    _retryable("kusciaapi-not-found", "KusciaAPI does not know the object (yet)."),
    _permanent("kusciaapi-already-exists", "KusciaAPI already has the object."),
    _permanent("kusciaapi-rejected", "KusciaAPI rejected the request."),
    _retryable("kusciaapi-busy", "KusciaAPI cannot process the request at the moment."),
)

DATABASE = ()

ENGINES = ()

TABLES = ()

STEPS = (_retryable("example-job-running", "The example job has not ended within the deadline of `helm test`."),)

INSPECT = ()

CATALOG: Mapping[str, Entry] = {
    entry.id: entry
    for area in (GENERAL, KUBERNETES, KUSCIA, DATABASE, ENGINES, TABLES, STEPS, INSPECT)
    for entry in area
}
