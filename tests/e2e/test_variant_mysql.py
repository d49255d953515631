"""The master on MySQL: a real MariaDB in the cluster, and what may be wrong with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.demo.demo import Demo
from testbed.servers import databases
from testbed.servers.databases import MARIADB
from tests.e2e.datastores import (
    Master,
    changed_cluster_token,
    changed_password,
    comes_late,
    comes_up_and_keeps_its_state,
    master,
    running,
    secret_that_is_missing,
    waits_then_starts,
    wrong_password,
)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def server(demo: Demo) -> Iterator[None]:
    with running(demo, MARIADB):
        yield


@pytest.fixture
def one(demo: Demo, images: Path) -> Iterator[Master]:
    with master(demo, images, MARIADB, "kuscia") as made:
        yield made


def test_comes_up_and_keeps_its_state(one: Master) -> None:
    comes_up_and_keeps_its_state(one)


def test_wrong_password(one: Master) -> None:
    wrong_password(one, "1045 Access denied for user 'kuscia'")


@pytest.mark.long
def test_secret_that_is_missing(one: Master) -> None:
    secret_that_is_missing(one)


def test_no_database(demo: Demo, images: Path) -> None:
    """A user with rights to any database is told so; its '-' is warned about, and works."""
    with master(demo, images, MARIADB, "my-kuscia") as one:
        one.make_user()
        databases.sql(demo.kubectl, MARIADB, "GRANT ALL ON *.* TO 'my-kuscia'@'%'")
        words = "1049 Unknown database 'my-kuscia' (make it: CREATE DATABASE `my-kuscia`"
        waits_then_starts(one, words, one.make_database)
        assert "the database name my-kuscia holds a '-'" in one.prepare_log()


@pytest.mark.long
def test_database_that_comes_late(one: Master) -> None:
    comes_late(one, "2003 Can't connect to MySQL server on")


@pytest.mark.long
def test_changed_password(one: Master) -> None:
    changed_password(one, "Error 1045")


@pytest.mark.long
def test_changed_cluster_token(one: Master) -> None:
    changed_cluster_token(one)


@pytest.mark.long
def test_user_without_rights(one: Master) -> None:
    one.make_user()
    one.make_database()
    one.sql("REVOKE ALL ON kuscia.* FROM 'kuscia'@'%'; GRANT SELECT ON kuscia.* TO 'kuscia'@'%'")
    words = "user kuscia lacks rights to make table kine: INSERT, UPDATE, DELETE, CREATE, INDEX"
    waits_then_starts(one, words, lambda: one.sql("GRANT ALL ON kuscia.* TO 'kuscia'@'%'"))
