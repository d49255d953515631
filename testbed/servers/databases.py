"""Database servers for the end-to-end tests, MariaDB and PostgreSQL: one Deployment each, in a separate namespace.

The administrators of both servers can log in only over a socket inside the pod. The only credentials are those of the
users that tests create. They are random or chosen by the test, and passed on standard input.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster.kubectl import Kubectl
from testbed.servers import tls
from testbed.servers.rollout import wait_ready

MANIFESTS = Path(__file__).parent / "manifests"
# All characters with a meaning in addresses.
AWKWARD = "p@:/?#[]%41&=+ ()'\"\\пароль密码"


@dataclass(frozen=True)
class Server:
    """A database server.

    Args:
        name: of its image, its manifest and its objects.
        client: the administrator's client; reads statements from standard input.
    """

    name: str
    namespace: str
    port: int
    client: tuple[str, ...]

    @property
    def postgres(self) -> bool:
        return self.name == "postgres"

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"


MARIADB = Server(
    "mariadb", "mysql-server", 3306,
    ("mariadb", "--no-defaults", "--socket=/run/db/mysqld.sock", "--skip-column-names", "--batch"),
)  # fmt: skip
POSTGRES = Server(
    "postgres", "pg-server", 5432,
    ("psql", "--host=/run/db", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"),
)  # fmt: skip


def ensure(kubectl: Kubectl, server: Server, image: str, certificate: tls.Tls | None = None) -> None:
    """Start the server; safe to repeat.

    Args:
        image: complete reference of its image.
        certificate: with it, MariaDB requires TLS of all clients in the network.

    Raises:
        CommandError: it did not become ready; the message shows its pods and their log.
    """
    kubectl.ensure_namespace(server.namespace)
    if certificate:
        kubectl.apply(certificate.secret(server.namespace))
    kubectl.apply(_manifest(server, image, certificate is not None))
    scale(kubectl, server, 1)


def remove(kubectl: Kubectl, server: Server) -> None:
    """Delete the server and its data."""
    kubectl.run("delete", "namespace", server.namespace, "--ignore-not-found", "--wait", timeout=300)


def scale(kubectl: Kubectl, server: Server, replicas: int) -> None:
    """Stop (0) or start (1) the server and wait; its data is kept."""
    deployment = f"deployment/{server.name}"
    kubectl.run("scale", deployment, "-n", server.namespace, f"--replicas={replicas}")
    if replicas:
        wait_ready(kubectl, server.name, server.name, server.namespace)
    else:
        kubectl.run(
            "wait", "pod", "-n", server.namespace, "-l", f"app.kubernetes.io/name={server.name}",
            "--for=delete", "--timeout=100s",
        )  # fmt: skip


def sql(kubectl: Kubectl, server: Server, statements: str, database: str = "") -> str:
    """Run statements as the administrator, and return what they print.

    Args:
        database: the one to be in; "" for the administrator's own.
    """
    where = [database] if database else ["postgres"] if server.postgres else []
    return kubectl.run(
        "exec", "-i", "-n", server.namespace, f"deployment/{server.name}", "-c", "server", "--",
        *server.client, *where, stdin=statements,
    ).strip()  # fmt: skip


def create_database(kubectl: Kubectl, server: Server, name: str, owner: str = "") -> None:
    """Create an empty database; user `owner` gets all permissions on it."""
    if server.postgres:
        sql(kubectl, server, f'CREATE DATABASE "{name}"' + (f' OWNER "{owner}"' if owner else ""))
        return
    grant = f"GRANT ALL ON `{name}`.* TO '{owner}'@'%';" if owner else ""
    sql(kubectl, server, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4; {grant}")


def set_password(kubectl: Kubectl, server: Server, user: str, password: str) -> None:
    """Create the user, or change its password."""
    if server.postgres:
        exists = sql(kubectl, server, f"SELECT 1 FROM pg_roles WHERE rolname = '{user}'")
        verb = "ALTER" if exists else "CREATE"
        sql(kubectl, server, f'{verb} ROLE "{user}" LOGIN PASSWORD {_quoted(password)}')
        return
    text = _quoted(password.replace("\\", "\\\\"))
    sql(kubectl, server, f"CREATE USER IF NOT EXISTS '{user}'@'%'; ALTER USER '{user}'@'%' IDENTIFIED BY {text}")


def drop(kubectl: Kubectl, server: Server, database: str, user: str) -> None:
    """Delete a database and a user, if they exist."""
    if server.postgres:
        sql(kubectl, server, f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        sql(kubectl, server, f'DROP ROLE IF EXISTS "{user}"')
        return
    sql(kubectl, server, f"DROP DATABASE IF EXISTS `{database}`; DROP USER IF EXISTS '{user}'@'%'")


def random_password() -> str:
    """Return a new password with all characters that need care in an address."""
    return f"{secrets.token_hex(8)}{AWKWARD}{secrets.token_hex(8)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _manifest(server: Server, image: str, secured: bool) -> str:
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((MANIFESTS / f"{server.name}.yaml").read_text()))
    for document in documents:
        document["metadata"]["namespace"] = server.namespace
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            for container in (*pod["initContainers"], *pod["containers"]):
                container["image"] = image
            if secured:
                container = pod["containers"][0]
                container["args"] = [
                    f"--ssl-cert={tls.CERTIFICATE}",
                    f"--ssl-key={tls.KEY}",
                    "--require-secure-transport=ON",
                ]
                tls.mount(pod, container)
    return yaml.safe_dump_all(documents)
