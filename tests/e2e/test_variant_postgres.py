"""The master on PostgreSQL: a real server in the cluster, and what may be wrong with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.demo.demo import Demo
from testbed.servers import databases
from testbed.servers.databases import POSTGRES
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

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module", autouse=True)
def server(demo: Demo) -> Iterator[None]:
    with running(demo, POSTGRES):
        yield


@pytest.fixture
def one(demo: Demo, images: Path) -> Iterator[Master]:
    with master(demo, images, POSTGRES, "kuscia") as made:
        yield made


def test_comes_up_and_keeps_its_state(one: Master) -> None:
    comes_up_and_keeps_its_state(one)


def test_wrong_password(one: Master) -> None:
    wrong_password(one, 'password authentication failed for user "kuscia" (28P01)')


def test_secret_that_is_missing(one: Master) -> None:
    secret_that_is_missing(one)


def test_no_database(one: Master) -> None:
    one.make_user()
    waits_then_starts(one, 'database "kuscia" does not exist (3D000)', one.make_database)


def test_database_that_comes_late(one: Master) -> None:
    comes_late(one, "Can't create a connection to host postgres.pg-server.svc.cluster.local")


def test_changed_password(one: Master) -> None:
    changed_password(one, "pq: password authentication failed for user")


def test_changed_cluster_token(one: Master) -> None:
    changed_cluster_token(one)


def test_user_without_rights(demo: Demo, one: Master) -> None:
    one.make_user()
    databases.create_database(demo.kubectl, POSTGRES, "kuscia")
    words = "user kuscia lacks rights to make table kine: CREATE on the schema"
    waits_then_starts(one, words, lambda: one.sql("GRANT CREATE ON SCHEMA public TO kuscia"))
