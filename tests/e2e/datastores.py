"""A master on a database server of testbed/servers/databases.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.demo.demo import Demo
from testbed.images import builder
from testbed.servers import databases
from testbed.servers.databases import Server
from testbed.servers.tls import Tls
from tests.e2e.variants import Variant, variant

PRESETS = {"mariadb": "mysql", "postgres": "postgres"}


@dataclass(frozen=True)
class Master:
    """A master that the test installs, and the database and user that the test creates."""

    made: Variant
    server: Server
    database: str
    password: str

    @property
    def user(self) -> str:
        return self.database

    def sql(self, statements: str) -> str:
        """Run statements in the database as the administrator of the server."""
        return databases.sql(self.made.kubectl, self.server, statements, self.database)

    def make_user(self) -> None:
        databases.set_password(self.made.kubectl, self.server, self.user, self.password)

    def make_database(self) -> None:
        databases.create_database(self.made.kubectl, self.server, self.database, self.user)

    @property
    def secret_name(self) -> str:
        """The Secret that the preset names."""
        return f"kuscia-{PRESETS[self.server.name]}"

    def set_secret(self, password: str) -> None:
        """Create or correct the Secret that the preset names."""
        self.made.secret(self.made.namespace("master"), self.secret_name, {"password": password})

    def rows(self) -> dict[int, str]:
        """Return the rows of table kine: revision -> name."""
        concat = "id || ' ' || name" if self.server.postgres else "CONCAT(id, ' ', name)"
        lines = self.sql(f"SELECT {concat} FROM kine ORDER BY id").splitlines()
        return {int(number): name for number, _, name in (line.partition(" ") for line in lines)}

    def kept(self) -> dict[int, str]:
        """Return the rows that no restart changes: Domains and AppImages."""
        return {number: name for number, name in self.rows().items() if "/appimages/" in name or "/domains/" in name}

    def prepare_log(self) -> str:
        """Return the log of `prepare`, which must not contain the password."""
        log = self.made.log("master", "prepare")
        assert self.password not in log
        return log


@contextmanager
def running(demo: Demo, server: Server, certificate: Tls | None = None) -> Iterator[None]:
    """Run a server that contains no data; remove it afterwards.

    Args:
        certificate: with it, MariaDB requires TLS.
    """
    assert demo.local is not None, "these tests load images into the local cluster"
    image = builder.build([server.name])[server.name]
    builder.load(demo.local, [image])
    databases.remove(demo.kubectl, server)
    databases.ensure(demo.kubectl, server, image.ref, certificate)
    try:
        yield
    finally:
        databases.remove(demo.kubectl, server)


@contextmanager
def master(
    demo: Demo, layer: Path, server: Server, database: str, name: str = "", parties: tuple[str, ...] = ("master",)
) -> Iterator[Master]:
    """Yield a master that is not installed yet, with its Secret; neither its user nor its database exists.

    Args:
        layer: the values layer with the images.
        name: of the variant; by default the kind of the server.
        parties: the master and its lites.
    """
    preset = PRESETS[server.name]
    datastore = {"host": server.host, "port": server.port, "database": database, "user": database}
    if server.postgres:
        datastore["params"] = {"sslmode": "disable"}
    values = {"master": {"datastore": datastore}}
    options = {"parties": parties, "presets": (f"master-{preset}",), "values": values}
    with variant(demo, layer, name or preset, **options) as made:
        databases.drop(demo.kubectl, server, database, database)
        one = Master(made, server, database, databases.random_password())
        one.set_secret(one.password)
        yield one


def wait_until_ready(made: Variant) -> None:
    """Wait until the rollout of the master is complete."""
    rollout = ("rollout", "status", "deployment/kuscia-master", "--timeout=170s")
    made.kubectl.run(*rollout, "-n", made.namespace("master"), timeout=180)
