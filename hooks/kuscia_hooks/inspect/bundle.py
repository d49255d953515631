"""The bundle of `doctor`: what it read, as a tar.gz file that can be sent to someone, without secrets."""

import base64
import io
import json
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import yaml

from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.redaction import redact
from kuscia_hooks.core.text import printable_lines
from kuscia_hooks.inspect.masking import without_secrets
from kuscia_hooks.inspect.snapshot import PodState, Snapshot

BEGIN = "-----BEGIN KUSCIA BUNDLE-----"
END = "-----END KUSCIA BUNDLE-----"
"""The lines around a bundle in the output, which bin/kubectl-kuscia cuts out."""
# Names in the configuration of the release refer to Secrets; they are not secrets.
_PUBLIC = ("release.yaml",)


def files(
    config: Release,
    snapshot: Snapshot,
    result: Mapping[str, Any],
    status: Mapping[str, Any],
    configuration: Mapping[str, str],
) -> dict[str, str]:
    """Return the files of the bundle by name.

    Args:
        result: of `doctor`.
        status: result of `status`.
        configuration: files of the ConfigMap of the Kuscia pod.
    """
    pods = [pod for pod in (snapshot.node, *snapshot.steps, *snapshot.engines) if pod]
    found = {
        "doctor.json": _json(result),
        "status.json": _json(status),
        "release.yaml": yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False),
        "events.txt": "".join(
            f"{one.time} {one.namespace} {one.kind}/{one.about} {one.reason}: {one.message}\n"
            for one in sorted(snapshot.warnings, key=lambda one: one.time)
        ),
        "pods.json": _json([asdict(_without_logs(pod)) for pod in pods]),
        "start-record.json": _json({"kernel": (snapshot.started_with or {}).get("kernel")}),
        **{f"configuration/{name}": text for name, text in configuration.items()},
    }
    for pod in pods:
        found |= dict(_logs(pod))
    return {name: printable_lines(_cleaned(name, text)) for name, text in found.items()}


def _cleaned(name: str, text: str) -> str:
    if name in _PUBLIC:
        return redact(text)
    # The texts in JSON are masked.
    return text if name.endswith(".json") else without_secrets(text)


def _json(value: object) -> str:
    """Return JSON whose texts are masked one by one: a mask must not cover the end of one."""
    return json.dumps(_masked(value), indent=1, ensure_ascii=False)


def _masked(value: object) -> object:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value


def _without_logs(pod: PodState) -> PodState:
    return replace(pod, containers=tuple(replace(one, log="", previous="") for one in pod.containers))


def _logs(pod: PodState) -> Iterator[tuple[str, str]]:
    for container in pod.containers:
        name = f"logs/{_safe(pod.namespace)}_{_safe(pod.name)}_{_safe(container.name)}"
        if container.log:
            yield f"{name}.log", container.log
        if container.previous:
            yield f"{name}.previous.log", container.previous


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def archive(contents: Mapping[str, str]) -> bytes:
    """Return files as a tar.gz archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in contents.items():
            data = text.encode(errors="replace")
            info = tarfile.TarInfo(f"kuscia-bundle/{name}")
            info.size, info.mtime = len(data), int(time.time())
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def as_lines(data: bytes) -> str:
    """Return an archive as text between `BEGIN` and `END`."""
    return f"{BEGIN}\n{base64.encodebytes(data).decode()}{END}"
