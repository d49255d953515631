"""The environment of a node: home directory, name, addresses, ports, and the pod's resolv.conf.

In the image everything is as in Kuscia's: its ports on all interfaces, home /home/kuscia. Elsewhere environment
variables change it: KUSCIA_SIM_BIND (address, default 0.0.0.0), KUSCIA_SIM_PORT_OFFSET (added to every port, default
0), KUSCIA_SIM_HOSTNAME, KUSCIA_SIM_HOME. Files of the machine are only changed in the image (KUSCIA_SIM_IN_IMAGE, set
by the Dockerfile).
"""

import dataclasses
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

IMAGE_HOME = "/home/kuscia"
INTERFACES = ("eth0", "en0")
SIOCGIFADDR = 0x8915


class HostIPUnknown(Exception):
    """No interface is named eth0 or en0 (Kuscia facts 0.3)."""


@dataclasses.dataclass(frozen=True)
class Host:
    """Where a node runs.

    Attributes:
        home: Kuscia's root directory.
        bind: address that the ports listen on.
        pod_ip: address that DNS returns for services of other domains.
        in_image: whether network and file system are those of the pod.
    """

    home: Path
    bind: str
    offset: int
    hostname: str
    pod_ip: str
    in_image: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Host":
        """Read the environment.

        Raises:
            HostIPUnknown: the image has no interface eth0.
            ValueError: the offset is invalid.
        """
        bind = environ.get("KUSCIA_SIM_BIND") or "0.0.0.0"
        in_image = bool(environ.get("KUSCIA_SIM_IN_IMAGE")) and bind == "0.0.0.0"
        return cls(
            home=Path(environ.get("KUSCIA_SIM_HOME") or IMAGE_HOME).absolute(),
            bind=bind,
            offset=int(environ.get("KUSCIA_SIM_PORT_OFFSET") or 0),
            hostname=environ.get("KUSCIA_SIM_HOSTNAME") or socket.gethostname(),
            pod_ip=interface_ip() if in_image else ("127.0.0.1" if bind == "0.0.0.0" else bind),
            in_image=in_image,
        )

    def port(self, number: int) -> int:
        """Return the port that corresponds to Kuscia's port `number`."""
        return number + self.offset

    @property
    def loopback(self) -> str:
        """Return the address under which the node reaches its own ports."""
        return "127.0.0.1" if self.bind == "0.0.0.0" else self.bind


def interface_ip() -> str:
    """Return the IPv4 address of eth0 or en0.

    Raises:
        HostIPUnknown: there is no such interface.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name in INTERFACES:
            try:
                answer = fcntl.ioctl(sock.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue
            return socket.inet_ntoa(answer[20:24])
    raise HostIPUnknown("host IP unknown")


def take_over_resolv_conf(host: Host, path: Path = Path("/etc/resolv.conf")) -> Path:
    """Copy the pod's resolv.conf to var/tmp and point `path` to the node's DNS server, as root in the image.

    A restarted container finds its own address in `path` and leaves the copy unchanged, and so does a process other
    than root (the rootless manifests mount both files). Outside the image nothing is written.

    Returns:
        The file with the forwarders; outside the image `path`.
    """
    kept = host.home / "var/tmp/resolv.conf"
    if not host.in_image:
        return path
    own = f"nameserver {host.pod_ip}\n"
    if os.geteuid() == 0:
        current = path.read_text()
        if current != own:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(current)
        path.write_text(own)
    return kept if kept.exists() else path


def nameservers(path: Path) -> list[str]:
    """Return the nameserver addresses in a resolv.conf; search domains do not apply to forwarding."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [words[1] for words in fields if len(words) > 1 and words[0] == "nameserver"]
