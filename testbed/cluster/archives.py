"""Container images as files: read the content of an archive, write the pause image."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's word -> the image format's


def identity(archive: Path) -> str:
    """Return a digest of the content of an image archive (`sha256:...`), without unpacking it.

    archive: an OCI archive (its index) or a docker-archive (its manifest). Raises ValueError for others.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.removeprefix("./") in ("index.json", "manifest.json"):
                    file = tar.extractfile(member)
                    if file is not None:
                        return "sha256:" + hashlib.sha256(file.read()).hexdigest()
    except tarfile.TarError as error:
        raise ValueError(f"{archive}: not a tar file: {error}") from error
    raise ValueError(
        f"{archive}: neither index.json nor manifest.json in it; make one with: buildah push NAME oci-archive:FILE:REF"
    )


def single_binary_image(binary: Path, archive: Path) -> None:
    """Write an OCI archive of an image that contains one static program at / and runs it.

    The same program gives the same bytes.
    """
    layer = _tar({binary.name: (binary.read_bytes(), 0o755)})
    packed = gzip.compress(layer, mtime=0)
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [f"/{binary.name}"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
        }
    ).encode()
    index = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [_descriptor("application/vnd.oci.image.manifest.v1+json", manifest)],
        }
    ).encode()
    files = {"oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(), "index.json": index}
    files |= {f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}": blob for blob in (config, manifest, packed)}
    scratch = archive.with_name(f".{archive.name}.new")
    scratch.write_bytes(_tar({name: (blob, 0o644) for name, blob in files.items()}))
    scratch.rename(archive)


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
