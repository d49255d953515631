"""The image store of RunP, var/images: an OCI layout below `repositories` (Kuscia facts 1.1, 1.7, 9).

An image without layers is built in: its program is part of Kuscia's image, and its configuration says how to start it.
`kuscia image builtin` adds one while the image is built. Only built-in images run here.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

STORE = "var/images"
REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


class BadStore(Exception):
    """The store cannot be read; str() names the file."""


@dataclasses.dataclass(frozen=True)
class Image:
    """How to start an image's program. `env` contains NAME=VALUE lines; `built_in` means that it has no layers."""

    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    built_in: bool


def register(store: Path, name: str, config: dict[str, Any]) -> None:
    """Add a built-in image under `name`, replacing an existing one.

    Args:
        store: directory of the store.
        name: full name of the image.
        config: OCI image configuration: Entrypoint, Cmd, Env.

    Raises:
        BadStore: the store exists but cannot be read.
    """
    root = store / "repositories"
    entries = [entry for entry in _index(store) if entry.get("annotations", {}).get(REF_NAME) != name]
    about = {"architecture": "", "os": "", "config": config, "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, **_put(root, about)},
        "layers": [],
    }
    entries.append({"mediaType": MANIFEST_TYPE, **_put(root, manifest), "annotations": {REF_NAME: name}})
    (root / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    (root / "index.json").write_text(json.dumps(index))


def listed(store: Path) -> dict[str, Image]:
    """Return the images by full name, which is how jobs must name them.

    Raises:
        BadStore: the store cannot be read.
    """
    found = {}
    for entry in _index(store):
        name = entry.get("annotations", {}).get(REF_NAME)
        if entry.get("mediaType") != MANIFEST_TYPE or not name:
            continue
        manifest = _blob(store, entry["digest"])
        config = _blob(store, manifest["config"]["digest"]).get("config") or {}
        found[name] = Image(
            tuple(config.get("Entrypoint") or ()),
            tuple(config.get("Cmd") or ()),
            tuple(config.get("Env") or ()),
            not manifest.get("layers"),
        )
    return found


def _index(store: Path) -> list[dict[str, Any]]:
    path = store / "repositories/index.json"
    return list(_read(path).get("manifests") or []) if path.exists() else []


def _blob(store: Path, digest: str) -> dict[str, Any]:
    return _read(store / "repositories/blobs" / digest.replace(":", "/"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise BadStore(f"{path}: {err}") from err
    if not isinstance(content, dict):
        raise BadStore(f"{path}: no object")
    return content


def _put(root: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Store a blob and return its size and digest."""
    data = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    (root / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (root / "blobs/sha256" / digest).write_bytes(data)
    return {"size": len(data), "digest": f"sha256:{digest}"}
