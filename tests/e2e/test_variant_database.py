"""The master on MySQL and on PostgreSQL: servers in the cluster, and common mistakes with them."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from testbed.demo.demo import Demo
from testbed.servers import databases
from testbed.servers.databases import MARIADB, POSTGRES, Server
from tests.e2e import datastores, guide, messages
from tests.e2e.backups import shell
from tests.e2e.datastores import Master, wait_until_ready
from tests.e2e.messages import Message, wait_for_message
from tests.e2e.plugin import kuscia
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster

DOWN_SECONDS = 60
PREPARE_SECONDS = 180


@dataclass(frozen=True)
class Kind:
    """What differs between the kinds of servers.

    Args:
        login_failed: error code of a wrong password.
        not_found: error code of a missing database.
        unreachable: what `prepare` prints when the server is down.
        kuscia_login_failed: what Kuscia itself logs on a wrong password.
        missing_permissions: names of the permissions that a test revokes.
        database: name of a database that a test creates late.
    """

    server: Server
    login_failed: str
    not_found: str
    unreachable: Message
    kuscia_login_failed: str
    missing_permissions: str
    database: str


MYSQL = Kind(
    MARIADB,
    login_failed="1045",
    not_found="1049",
    unreachable=messages.DATABASE_UNREACHABLE,
    kuscia_login_failed="Error 1045",
    missing_permissions="INSERT, UPDATE, DELETE, CREATE, INDEX",
    database="my-kuscia",
)
POSTGRESQL = Kind(
    POSTGRES,
    login_failed="28P01",
    not_found="3D000",
    unreachable=messages.DATABASE_UNREACHABLE,
    kuscia_login_failed="pq: password authentication failed for user",
    missing_permissions="CREATE on the schema",
    database="kuscia",
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(MYSQL, id="mysql"), pytest.param(POSTGRESQL, id="postgres", marks=pytest.mark.long)],
)
def kind(request: pytest.FixtureRequest, demo: Demo) -> Iterator[Kind]:
    """A kind of server, which runs."""
    found: Kind = request.param
    with datastores.running(demo, found.server):
        yield found


@pytest.fixture
def master(demo: Demo, images: Path, kind: Kind) -> Iterator[Master]:
    """A master that is not installed yet; neither its user nor its database exists."""
    with datastores.master(demo, images, kind.server, "kuscia") as made:
        yield made


def create_user_and_database(master: Master) -> None:
    master.make_user()
    master.make_database()


def install_and_fix(master: Master, message: Message, *facts: str, fix: Callable[[], object]) -> None:
    """Install a master whose `prepare` prints a message, fix the cause, and check that it starts by itself.

    Kuscia must not start before, and neither a pod nor a container may be replaced.
    """
    made = master.made
    with ThreadPoolExecutor(1) as pool:
        install = pool.submit(made.install, "master", timeout="10m")
        try:
            wait_for_message(made, "master", message, *facts, timeout=PREPARE_SECONDS)
            before = made.pod("master")
            assert "running" in before["status"]["initContainerStatuses"][0]["state"]
            assert not before["status"]["containerStatuses"][0]["started"]
        finally:
            fix()
        install.result()
    after = made.pod("master")
    assert after["metadata"]["name"] == before["metadata"]["name"]
    for status in (*after["status"]["initContainerStatuses"], *after["status"]["containerStatuses"]):
        assert status["restartCount"] == 0, made.previous_log("master", status["name"])
    assert master.rows()
    assert "Succeeded" in made.test()
    assert master.password not in master.prepare_log()


def test_keeps_state_when_the_pod_is_deleted(master: Master) -> None:
    made = master.made
    create_user_and_database(master)
    made.install("master")
    log = made.test()
    assert f"/{master.database} " in log
    assert messages.failures(log) == []
    before = master.kept()
    assert any(name.endswith("/appimages/secretflow-image") for name in before.values())
    pod = made.pod("master")["metadata"]["name"]
    made.kubectl.run("delete", "pod", pod, "-n", made.namespace("master"))
    wait_until_ready(made)
    assert made.pod("master")["metadata"]["name"] != pod
    assert master.kept().items() >= before.items()
    assert "Succeeded" in made.test()


def test_waits_for_the_right_password(master: Master, kind: Kind) -> None:
    """Doctor names the Secret to correct."""
    namespace, secret = master.made.namespace("master"), master.secret_name
    create_user_and_database(master)
    master.set_secret("wrong")

    def fix() -> None:
        said = kuscia(master.made.kubectl, "doctor", "-n", namespace)
        master.set_secret(master.password)
        assert said.code == 1, said
        assert messages.DATABASE_LOGIN.printed_in(said.text, f"secret {secret} -n {namespace}")

    install_and_fix(master, messages.DATABASE_LOGIN, kind.login_failed, fix=fix)


@pytest.mark.long
def test_waits_for_the_secret_and_its_key(master: Master) -> None:
    made, secret = master.made, master.secret_name
    namespace = made.namespace("master")
    create_user_and_database(master)
    made.kubectl.run("delete", "secret", secret, "-n", namespace)

    def fix() -> None:
        made.secret(namespace, secret, {"pass": master.password})
        facts = f"{namespace}/{secret}", "password", "pass"
        try:
            wait_for_message(made, "master", messages.SECRET_KEY_MISSING, *facts, timeout=60)
        finally:
            master.set_secret(master.password)

    install_and_fix(master, messages.SECRET_NOT_FOUND, f"{namespace}/{secret}", fix=fix)


def test_waits_for_the_database(demo: Demo, images: Path, kind: Kind) -> None:
    """A user with permissions on all databases, because MySQL does not tell others that one is missing.

    A name with `-` gets a warning, and works.
    """
    with datastores.master(demo, images, kind.server, kind.database) as master:
        master.make_user()
        if not kind.server.postgres:
            databases.sql(demo.kubectl, kind.server, f"GRANT ALL ON *.* TO '{master.user}'@'%'")
        facts = kind.not_found, master.database
        install_and_fix(master, messages.DATABASE_NOT_FOUND, *facts, fix=master.make_database)
        warned = messages.warned(master.prepare_log(), master.database)
        assert warned is ("-" in master.database)


@pytest.mark.long
def test_waits_for_the_server(master: Master, kind: Kind) -> None:
    create_user_and_database(master)
    databases.scale(master.made.kubectl, master.server, 0)

    def fix() -> None:
        time.sleep(DOWN_SECONDS)
        databases.scale(master.made.kubectl, master.server, 1)

    install_and_fix(master, kind.unreachable, kind.server.host, fix=fix)


@pytest.mark.long
def test_waits_for_permissions(master: Master, kind: Kind) -> None:
    grant = restrict(master)
    facts = master.user, kind.missing_permissions
    install_and_fix(master, messages.DATABASE_PERMISSION_DENIED, *facts, fix=lambda: master.sql(grant))


def restrict(master: Master) -> str:
    """Create the database with a user who cannot create tables; return the statement that fixes it."""
    master.make_user()
    if master.server.postgres:
        databases.create_database(master.made.kubectl, master.server, master.database)
        return f"GRANT CREATE ON SCHEMA public TO {master.user}"
    master.make_database()
    user = f"'{master.user}'@'%'"
    tables = f"{master.database}.*"
    master.sql(f"REVOKE ALL ON {tables} FROM {user}; GRANT SELECT ON {tables} TO {user}")
    return f"GRANT ALL ON {tables} TO {user}"


@pytest.mark.long
def test_new_pod_uses_a_changed_password(master: Master, kind: Kind, tmp_path: Path) -> None:
    """A restarted container still uses the old password, and the server rejects it. See docs/rotation.md."""
    made = master.made
    create_user_and_database(master)
    made.install("master")
    before = master.kept()
    changed = replace(master, password=databases.random_password())
    changed.make_user()
    made.exec("master", "sh", "-c", "kill 1")
    words = kind.kuscia_login_failed
    eventually(lambda: words in made.log("master", "master"), PREPARE_SECONDS, f"Kuscia logs {words!r}")

    (tmp_path / "password").write_text(changed.password)
    (rotate,) = guide.commands("rotation.md", "Password of the database")
    shell(made, tmp_path, "master", rotate, SECRET=changed.secret_name)
    assert changed.kept().items() >= before.items()
    assert "Succeeded" in made.test()


@pytest.mark.long
def test_waits_for_the_previous_cluster_token(master: Master) -> None:
    """The database was created with another token: the MD5 of the domain ID, which is Kuscia's default."""
    made = master.made
    namespace, config = made.namespace("master"), "kuscia-config"
    create_user_and_database(master)
    made.install("master")
    before = master.kept()
    made.secret(namespace, config, {"kuscia.yaml": "clusterToken: another-token"})
    # As a hook, `routes` would make helm wait for a Kuscia that does not start.
    changed = {"extraConfigSecret": config, "jobs": {"routes": {"hook": False}}}
    made.install("master", values={"master": changed}, wait=False)
    message = messages.STATE_OF_ANOTHER_DOMAIN
    wait_for_message(made, "master", message, timeout=PREPARE_SECONDS)
    assert "another-token" not in master.prepare_log()
    said = kuscia(made.kubectl, "doctor", "-n", namespace)
    assert said.code == 1, said
    assert message.printed_in(said.text)

    previous = hashlib.md5(made.release("master").domain.encode(), usedforsecurity=False).hexdigest()
    made.secret(namespace, config, {"kuscia.yaml": f"clusterToken: '{previous}'"})
    wait_until_ready(made)
    assert made.pod("master")["status"]["containerStatuses"][0]["restartCount"] == 0
    assert master.kept().items() >= before.items()
