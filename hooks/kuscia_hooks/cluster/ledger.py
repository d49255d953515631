"""Ledger: a record of the objects that this release created.

It is the ConfigMap `<fullname>-ledger`, with one key per kind of object, such as `routes`. Its value is a JSON object
from name to entry; names of the form `a/b` are nested, so that 9 900 routes with the longest IDs fit into a ConfigMap.
docs/adr/0012 describes what the steps may do with an object that is in the ledger, and with one that is not.

A step marks an entry before it changes the object, and writes the hash of the content afterwards. A marked entry left
by a killed step says that the object may exist. Several copies of a step can write at the same time: saves require the
version of the ConfigMap that was read; after a conflict they are repeated on top of what the other copy wrote.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.text import printable

_MARK = "?"
_UNKNOWN = "-"
_HASH_LENGTH = 8
_FORMER = re.compile(r'"[0-9a-f]{12}"[,}]')
_SAVE_TRIES = 20
_REPORT = ".report"
_NESTED = ("routes", "tokens")
"""Kinds whose names have the form `a/b`."""
_REPORTED_NAMES = 100


def digest(value: Any) -> str:
    """Return a short hash of a JSON value; equal content has an equal hash."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Report:
    """What the last run of a step left alone.

    Args:
        foreign: objects in the values that exist with different content and were not created by this release.
        leftover: objects that this release created and that are no longer in the values.
    """

    foreign: Sequence[str] = ()
    leftover: Sequence[str] = ()

    @classmethod
    def parse(cls, text: str) -> "Report":
        """Return a report from its JSON text; an invalid one is empty."""
        try:
            data = json.loads(text)
            return cls(*(tuple(map(str, data.get(field) or ())) for field in ("foreign", "leftover")))
        except (ValueError, AttributeError, TypeError):
            return cls()

    def text(self) -> str:
        """Return the report as JSON text, "" for an empty one. It has the first 100 names of each list."""
        lists = {"foreign": _cut(self.foreign), "leftover": _cut(self.leftover)}
        lists = {field: names for field, names in lists.items() if names}
        return json.dumps(lists, separators=(",", ":")) if lists else ""


def _cut(names: Sequence[str]) -> list[str]:
    more = [f"and {len(names) - _REPORTED_NAMES} more"] if len(names) > _REPORTED_NAMES else []
    return [*sorted(names)[:_REPORTED_NAMES], *more]


def reports(kube: Kube, namespace: str, name: str) -> dict[str, Report]:
    """Return what the last runs of the steps left alone, by kind; kinds with nothing to report are omitted.

    Args:
        name: of the ledger.
    """
    data = kube.configmap(namespace, name) or {}
    found = {key.removesuffix(_REPORT): Report.parse(text) for key, text in data.items() if key.endswith(_REPORT)}
    return {kind: report for kind, report in found.items() if report.foreign or report.leftover}


class Entries:
    """The entries of one kind. Changes are written by `Ledger.save`.

    Args:
        kind: key in the ConfigMap.
        marker: text of marked entries, different for each run of a step.
    """

    def __init__(self, kind: str, marker: str) -> None:
        self._kind, self._marker = kind, marker
        self._saved: dict[str, str] = {}
        self._changes: dict[str, str | None] = {}
        # Changes that apply only if no other copy of the step changed the entry.
        self._careful: set[str] = set()
        self._before: dict[str, str | None] = {}
        self._saved_report: str | None = None
        self._report: str | None = None

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all objects that this release created, or may have created."""
        yield from (name for name in self._saved if self._changes.get(name, "") is not None)
        yield from (name for name, value in self._changes.items() if value is not None and name not in self._saved)

    def __contains__(self, name: object) -> bool:
        return self._value(str(name)) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _value(self, name: str) -> str | None:
        return self._changes[name] if name in self._changes else self._saved.get(name)

    def confirmed(self, name: str, content: str) -> bool:
        """Return whether the object was last seen or written with this content.

        Args:
            content: `digest` of the content.
        """
        return self._value(name) == content[:_HASH_LENGTH]

    def marked(self, name: str) -> bool:
        """Return whether a change of the object was started, and its result was not recorded."""
        return (self._value(name) or "").startswith(_MARK)

    def claim(self, name: str) -> None:
        """Record that an object belongs to the release, with unknown content. Call `Ledger.save` before marking it."""
        self._set(name, _UNKNOWN)

    def mark(self, names: Iterable[str]) -> None:
        """Record that these objects are about to be created, changed or deleted. Call `Ledger.save` before doing so."""
        for name in names:
            self._set(name, self._marker)

    def confirm(self, name: str, content: str) -> None:
        """Record that the object exists with this content.

        Args:
            content: `digest` of the content.
        """
        self._set(name, content[:_HASH_LENGTH])

    def drop(self, name: str) -> None:
        """Remove an entry: the object no longer exists."""
        self._set(name, None, careful=True)

    def revert(self, name: str) -> None:
        """Restore a marked entry: the change was not made."""
        self._set(name, self._before.get(name), careful=True)

    def report(self, report: Report) -> None:
        """Replace what the last run reported."""
        self._report = report.text()

    def _set(self, name: str, value: str | None, careful: bool = False) -> None:
        if value == self._saved.get(name):
            self._changes.pop(name, None)
        else:
            self._changes[name] = value
        self._careful.discard(name)
        if careful:
            self._careful.add(name)

    def read(self, data: Mapping[str, str]) -> None:
        """Take over what the ConfigMap has; changes that were not saved stay.

        If another copy of the step changed an entry too, its object may have the content of either, so the entry is
        marked.
        """
        expected, self._saved = self._saved, _entries(data.get(self._kind, ""), self._kind)
        self._saved_report = data.get(self._kind + _REPORT)
        for name in [name for name in self._changes if self._saved.get(name) != expected.get(name)]:
            if name in self._careful:
                del self._changes[name]
                self._careful.discard(name)
            else:
                self._changes[name] = self._marker

    def unsaved(self) -> dict[str, str]:
        """Return the keys of the ConfigMap to write, with their new values."""
        data = {}
        if self._changes:
            merged = {name: value for name in self if (value := self._value(name)) is not None}
            data[self._kind] = _text(merged)
        if self._report is not None and self._report != (self._saved_report or ""):
            data[self._kind + _REPORT] = self._report
        return data

    def saved(self) -> None:
        """Record that `unsaved` was written."""
        for name, value in self._changes.items():
            if value == self._marker:
                self._before[name] = self._saved.get(name)
            if value is None:
                self._saved.pop(name, None)
            else:
                self._saved[name] = value
        self._changes.clear()
        self._careful.clear()
        if self._report is not None:
            self._saved_report = self._report


class Ledger:
    """The ledger of one component.

    Args:
        name: of the ConfigMap.
        labels: of the ConfigMap.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, labels: dict[str, str]) -> None:
        self._kube, self._namespace, self._name, self._labels = kube, namespace, name, labels
        self._marker = _MARK + secrets.token_hex(2)
        self._version: str | None = None
        self._data: Mapping[str, str] = {}
        self._kinds: dict[str, Entries] = {}

    def load(self) -> None:
        """Read the ledger. A kind that cannot be parsed is empty."""
        found = self._kube.versioned_configmap(self._namespace, self._name)
        self._data, self._version = ({}, None) if found is None else found
        for entries in self._kinds.values():
            entries.read(self._data)

    def kind(self, key: str) -> Entries:
        """Return the entries of one kind.

        Args:
            key: key in the ConfigMap, such as `routes`.
        """
        if key not in self._kinds:
            self._kinds[key] = Entries(key, self._marker)
            self._kinds[key].read(self._data)
        return self._kinds[key]

    def is_former(self, key: str) -> bool:
        """Return whether an earlier version of the chart wrote the entries of a kind. Its hashes were longer."""
        return bool(_FORMER.search(self._data.get(key, "")))

    def save(self) -> None:
        """Write the changes, if any. Not to be called while other threads change entries.

        Raises:
            RetryableError: the API server does not accept the write, or other clients write all the time.
        """
        for attempt in range(1, _SAVE_TRIES + 1):
            data = {key: text for entries in self._kinds.values() for key, text in entries.unsaved().items()}
            if not data:
                return
            try:
                self._version = self._write(data)
            except RetryableError as error:
                deleted = error.id == "object-not-found" and self._version is not None
                if attempt == _SAVE_TRIES or not (deleted or isinstance(error, Conflict)):
                    raise
                self.load()
            else:
                for entries in self._kinds.values():
                    entries.saved()
                return

    def _write(self, data: dict[str, str]) -> str:
        if self._version is None:
            return self._kube.create_configmap(self._namespace, self._name, data, self._labels)
        return self._kube.set_configmap(self._namespace, self._name, data, self._version)


def _entries(text: str, kind: str) -> dict[str, str]:
    """Return the entries of one kind. Earlier releases wrote longer hashes, and did not nest names."""
    try:
        items = json.loads(text or "{}").items()
    except (ValueError, AttributeError):
        logger.warning("the ledger has no valid list of %s; treating it as empty", kind)
        return {}
    found = {}
    for name, value in items:
        for inner, entry in value.items() if isinstance(value, dict) else [(None, value)]:
            full = name if inner is None else f"{name}/{inner}"
            if ("/" in full) == (kind in _NESTED):
                found[full] = str(entry)[:_HASH_LENGTH]
            else:
                logger.warning("the ledger has an invalid entry among its %s; ignoring it: %s", kind, printable(full))
    return found


def _text(entries: Mapping[str, str]) -> str:
    """Return the JSON text of the entries of one kind."""
    nested: dict[str, Any] = {}
    for name, value in entries.items():
        outer, slash, inner = name.partition("/")
        if slash:
            nested.setdefault(outer, {})[inner] = value
        else:
            nested[outer] = value
    return json.dumps(nested, sort_keys=True, separators=(",", ":"))
