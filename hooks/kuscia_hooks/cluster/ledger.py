"""Ledger: a record of the objects that the release has applied, as hashes.

KusciaAPI can neither list routes nor return their endpoints in a batch. The release therefore keeps its own record in
ConfigMap `<fullname>-ledger`, with one key per kind; each value is a JSON object from name to hash.
"""

import hashlib
import json
from typing import Any

from kuscia_hooks.cluster.client import Conflict, Kube


def digest(value: Any) -> str:
    """Return a short hash of a JSON value; equal content has an equal hash."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Ledger:
    """The ledger entries of one kind.

    Args:
        kind: key in the ConfigMap, such as `routes`.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, labels: dict[str, str], kind: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self._labels, self._kind = labels, kind
        self.entries: dict[str, str] = {}
        self._saved: dict[str, str] | None = None

    def load(self) -> dict[str, str]:
        """Read the entries. A record that cannot be parsed is empty; the steps then compare each object."""
        data = self._kube.configmap(self._namespace, self._name)
        try:
            entries = json.loads((data or {}).get(self._kind, "{}"))
        except ValueError:
            entries = {}
        self.entries = {str(name): str(value) for name, value in entries.items()} if isinstance(entries, dict) else {}
        self._saved = dict(self.entries) if data and self._kind in data else None
        return self.entries

    def save(self) -> None:
        """Write the entries if they changed."""
        if self.entries == self._saved or (self._saved is None and not self.entries):
            return
        data = {self._kind: json.dumps(self.entries, sort_keys=True, separators=(",", ":"))}
        if self._kube.configmap(self._namespace, self._name) is None:
            try:
                self._kube.create_configmap(self._namespace, self._name, data, self._labels)
            except Conflict:
                self._kube.set_configmap(self._namespace, self._name, data)
        else:
            self._kube.set_configmap(self._namespace, self._name, data)
        self._saved = dict(self.entries)
