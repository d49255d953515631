"""A master on a database server of testbed/cluster/databases.py, and what it has to do on any of them."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.demo.demo import Demo
from testbed.images import builder
from testbed.servers import databases
from testbed.servers.databases import Server
from tests.e2e.conftest import eventually
from tests.e2e.plugin import kuscia
from tests.e2e.variants import Variant, variant

PRESETS = {"mariadb": "mysql", "postgres": "postgres"}
LATE_SECONDS = 60


@dataclass(frozen=True)
class Master:
    """A master to be installed, and its database and user, which are made by the test."""

    made: Variant
    server: Server
    database: str
    password: str

    @property
    def user(self) -> str:
        return self.database

    def sql(self, statements: str) -> str:
        """Run statements in the master's database, as the server's administrator."""
        return databases.sql(self.made.kubectl, self.server, statements, self.database)

    def make_user(self) -> None:
        databases.set_password(self.made.kubectl, self.server, self.user, self.password)

    def make_database(self) -> None:
        databases.create_database(self.made.kubectl, self.server, self.database, self.user)

    def set_secret(self, password: str) -> None:
        """Make or correct the Secret that the preset names."""
        name = f"kuscia-{PRESETS[self.server.name]}"
        self.made.secret(self.made.namespace("master"), name, {"password": password})

    def rows(self) -> dict[int, str]:
        """The rows of kine: revision -> name."""
        concat = "id || ' ' || name" if self.server.postgres else "CONCAT(id, ' ', name)"
        lines = self.sql(f"SELECT {concat} FROM kine ORDER BY id").splitlines()
        return {int(number): name for number, _, name in (line.partition(" ") for line in lines)}

    def kept(self) -> dict[int, str]:
        """Those of them that no restart changes: Domains and AppImages."""
        return {number: name for number, name in self.rows().items() if "/appimages/" in name or "/domains/" in name}

    def prepare_log(self) -> str:
        log = self.made.log("master", "prepare")
        assert self.password not in log
        return log


@contextmanager
def running(demo: Demo, server: Server) -> Iterator[None]:
    """The server, from nothing, and to nothing."""
    assert demo.local is not None, "these tests need the local cluster, which they load images into"
    image = builder.build([server.name])[server.name]
    builder.load(demo.local, [image])
    databases.remove(demo.kubectl, server)
    databases.ensure(demo.kubectl, server, image.ref)
    try:
        yield
    finally:
        databases.remove(demo.kubectl, server)


@contextmanager
def master(
    demo: Demo, layer: Path, server: Server, database: str, name: str = "", parties: tuple[str, ...] = ("master",)
) -> Iterator[Master]:
    """A master that is not installed yet, with its Secret; neither its user nor its database is there.

    Args:
        layer: the values layer with the images.
        name: the variant's; the server's kind by default.
        parties: it and the lites beside it.
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


def waits_then_starts(one: Master, words: str, mend: Callable[[], object]) -> None:
    """Install; `prepare` has to say `words`, Kuscia has to wait for it, and once mended all goes on by itself."""
    made = one.made
    with ThreadPoolExecutor(1) as pool:
        install = pool.submit(made.install, "master", timeout="10m")
        try:
            eventually(lambda: words in one.prepare_log(), 180, f"prepare says {words!r}")
            before = made.pod("master")
            assert "running" in before["status"]["initContainerStatuses"][0]["state"]
            assert not before["status"]["containerStatuses"][0]["started"]
        finally:
            mend()
        install.result()
    after = made.pod("master")
    assert after["metadata"]["name"] == before["metadata"]["name"]
    for status in (*after["status"]["initContainerStatuses"], *after["status"]["containerStatuses"]):
        assert status["restartCount"] == 0
    assert one.rows()
    assert "Succeeded" in made.test()


def comes_up_and_keeps_its_state(one: Master) -> None:
    """Installed at once, tested, and restarted: what was in the database before is there after."""
    made = one.made
    one.make_user()
    one.make_database()
    made.install("master")
    logs = made.test()
    assert f"/{one.database} holds " in logs
    assert "FAIL" not in logs
    before = one.kept()
    assert any(name.endswith("/appimages/secretflow-image") for name in before.values())
    pod = made.pod("master")["metadata"]["name"]
    made.kubectl.run("delete", "pod", pod, "-n", made.namespace("master"))
    _wait_ready(made)
    assert made.pod("master")["metadata"]["name"] != pod
    assert one.kept().items() >= before.items()
    assert "Succeeded" in made.test()


def wrong_password(one: Master, words: str) -> None:
    """A wrong one in the Secret, corrected in place, as `doctor` tells to."""
    one.make_user()
    one.make_database()
    one.set_secret("wrong")

    def mend() -> None:
        namespace = one.made.namespace("master")
        said = kuscia(one.made.kubectl, "doctor", "-n", namespace)
        one.set_secret(one.password)
        assert said.code == 1, said
        assert words in said.text
        assert f"cure: kubectl edit secret kuscia-{PRESETS[one.server.name]} -n {namespace}" in said.text

    waits_then_starts(one, words, mend)


def secret_that_is_missing(one: Master) -> None:
    """No Secret, then one with the password under another key; it is corrected in place."""
    made = one.made
    namespace, name = made.namespace("master"), f"kuscia-{PRESETS[one.server.name]}"
    one.make_user()
    one.make_database()
    made.kubectl.run("delete", "secret", name, "-n", namespace)

    def mend() -> None:
        made.secret(namespace, name, {"pass": one.password})
        words = f"Secret {namespace}/{name} has no value under password (it has pass)"
        try:
            eventually(lambda: words in one.prepare_log(), 60, f"prepare says {words!r}")
        finally:
            one.set_secret(one.password)

    waits_then_starts(one, f"Secret {namespace}/{name} does not exist", mend)


def comes_late(one: Master, words: str) -> None:
    """The server is down when the master is installed."""
    one.make_user()
    one.make_database()
    databases.scale(one.made.kubectl, one.server, 0)

    def mend() -> None:
        time.sleep(LATE_SECONDS)
        databases.scale(one.made.kubectl, one.server, 1)

    waits_then_starts(one, words, mend)


def changed_password(one: Master, words: str) -> None:
    """Another password while Kuscia runs: its container alone starts with the old one, a new pod with the new one.

    Args:
        words: what Kuscia says when the server refuses it.
    """
    made = one.made
    one.make_user()
    one.make_database()
    made.install("master")
    before = one.kept()
    changed = replace(one, password=databases.random_password())
    changed.make_user()
    changed.set_secret(changed.password)
    made.exec("master", "sh", "-c", "kill 1")
    eventually(lambda: words in made.log("master", "master"), 180, f"Kuscia says {words!r}")

    deployment, namespace = "deployment/kuscia-master", made.namespace("master")
    made.kubectl.run("rollout", "restart", deployment, "-n", namespace)
    _wait_ready(made)
    assert changed.kept().items() >= before.items()
    assert "Succeeded" in made.test()


def changed_cluster_token(one: Master) -> None:
    """The state is there, the token another: `prepare` says so instead of Kuscia, and goes on once it is given back.

    The former token is the one that Kuscia takes where none is given: the MD5 of the domain ID.
    """
    made = one.made
    namespace, config = made.namespace("master"), "kuscia-config"
    one.make_user()
    one.make_database()
    made.install("master")
    before = one.kept()
    made.secret(namespace, config, {"kuscia.yaml": "clusterToken: another-token"})
    # As a hook, `routes` would keep helm waiting for a Kuscia that does not start.
    changed = {"extraConfigSecret": config, "jobs": {"routes": {"hook": False}}}
    made.install("master", values={"master": changed}, wait=False)
    words = "table kine was made for another domainId or with another clusterToken"
    eventually(lambda: words in one.prepare_log(), 180, f"prepare says {words!r}")
    assert "another-token" not in one.prepare_log()
    said = kuscia(made.kubectl, "doctor", "-n", namespace)
    assert said.code == 1, said
    assert words in said.text

    former = hashlib.md5(made.release("master").domain.encode(), usedforsecurity=False).hexdigest()
    made.secret(namespace, config, {"kuscia.yaml": f"clusterToken: '{former}'"})
    _wait_ready(made)
    assert made.pod("master")["status"]["containerStatuses"][0]["restartCount"] == 0
    assert one.kept().items() >= before.items()


def _wait_ready(made: Variant) -> None:
    rollout = ("rollout", "status", "deployment/kuscia-master", "--timeout=170s")
    made.kubectl.run(*rollout, "-n", made.namespace("master"), timeout=180)
