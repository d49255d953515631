"""The name of a Job changes if its pod template or the state that it writes to changes, and only then."""

import json
import re

import pytest

from tests.chart.render import Object, find, render
from tests.chart.scenarios import ALICE_TABLES

JOBS_ONLY: Object = {"master": {"jobs": {"keys": {"hook": False}, "routes": {"hook": False}}}}


def _name(values: Object, step: str, *presets: str) -> str:
    component = "master" if step != "data" else "lite-alice"
    name: str = find(render(values, *presets), "Job", f"kuscia-{component}-{step}*")["metadata"]["name"]
    return name


def test_name_ends_with_ten_hex_digits() -> None:
    assert re.fullmatch(r"kuscia-master-register-[0-9a-f]{10}", _name({}, "register", "master"))


@pytest.mark.parametrize(
    "change",
    [
        {"resources": {"limits": {"memory": "3Gi"}}},
        {"podAnnotations": {"restartedAt": "now"}},
        {"extraConfig": {"logLevel": "DEBUG"}},
        {"exampleJob": {"enabled": True}},
        {"routes": [{"source": "alice", "destination": "bob"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_register_keeps_its_name_for_unrelated_changes(change: Object) -> None:
    assert _name({"master": change}, "register", "master") == _name({}, "register", "master")


@pytest.mark.parametrize(
    "change",
    [
        {"master": {"domains": {"carol": {}}}},
        {"master": {"domains": {"alice": {"allowRekey": True}}}},
        {"master": {"protocol": "NOTLS"}},
        {"master": {"jobs": {"runId": "again"}}},
        {"master": {"jobs": {"runId": 2}}},
        {"global": {"kuscia": {"hooksImage": {"tag": "0.2.0"}}}},
    ],
    ids=json.dumps,
)
def test_register_changes_its_name_with_its_configuration(change: Object) -> None:
    assert _name(change, "register", "master") != _name({}, "register", "master")


SQLITE: tuple[str, ...] = ("master",)
MYSQL = ("master-mysql",)
OSS = ALICE_TABLES
LOCAL = ("alice", "alice-tables", "runp")
DATABASE = {"type": "mysql", "host": "db.example.com", "database": "kuscia", "user": "root", "existingSecret": "db"}
MASTER_STEPS, LITE_STEPS = ("register", "routes"), ("data",)


@pytest.mark.parametrize(
    ("presets", "steps", "change"),
    [
        (SQLITE, MASTER_STEPS, {"datastore": DATABASE}),
        (SQLITE, MASTER_STEPS, {"persistence": {"existingClaim": "other"}}),
        (SQLITE, MASTER_STEPS, {"persistence": {"enabled": False}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"type": "postgres"}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"host": "other.example.com"}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"port": 3307}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"database": "other"}}),
        (OSS, LITE_STEPS, {"master": {"endpoint": "https://other.example.com:1080"}}),
        (OSS, LITE_STEPS, {"data": {"source": {"endpoint": "https://other.example.com"}}}),
        (OSS, LITE_STEPS, {"data": {"source": {"bucket": "other"}}}),
        (LOCAL, LITE_STEPS, {"persistence": {"existingClaim": "other"}}),
        (LOCAL, LITE_STEPS, {"persistence": {"enabled": False}}),
    ],
    ids=json.dumps,
)
def test_a_different_state_changes_the_name(presets: tuple[str, ...], steps: tuple[str, ...], change: Object) -> None:
    for step in steps:
        assert _name(_values(step, change), step, *presets) != _name(_values(step, {}), step, *presets)


@pytest.mark.parametrize(
    ("presets", "steps", "change"),
    [
        (SQLITE, MASTER_STEPS, {"persistence": {"size": "50Gi"}}),
        (SQLITE, MASTER_STEPS, {"persistence": {"storageClass": "fast"}}),
        (SQLITE, MASTER_STEPS, {"persistence": {"annotations": {"a": "b"}}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"user": "other"}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"existingSecret": "other"}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"port": 3306}}),
        (MYSQL, MASTER_STEPS, {"datastore": {"params": {"timeout": "5s"}}}),
        (MYSQL, MASTER_STEPS, {"persistence": {"existingClaim": "unused"}}),
        (OSS, LITE_STEPS, {"persistence": {"existingClaim": "unused"}}),
        (LOCAL, LITE_STEPS, {"persistence": {"size": "50Gi"}}),
    ],
    ids=json.dumps,
)
def test_the_same_state_keeps_the_name(presets: tuple[str, ...], steps: tuple[str, ...], change: Object) -> None:
    for step in steps:
        assert _name(_values(step, change), step, *presets) == _name(_values(step, {}), step, *presets)


def _values(step: str, change: Object) -> Object:
    """Return the values of a component whose steps are all Jobs."""
    if step in LITE_STEPS:
        return {"lite": change}
    return {"master": {**JOBS_ONLY["master"], **change}}


@pytest.mark.parametrize("step", ["keys", "register", "routes"])
def test_run_id_changes_the_name_of_every_job(step: str) -> None:
    again = {"master": {"jobs": {**JOBS_ONLY["master"]["jobs"], "runId": "again"}}}
    assert _name(again, step, "master") != _name(JOBS_ONLY, step, "master")


@pytest.mark.parametrize(
    ("change", "repeated"),
    [
        ({"endpoint": "https://other.example.com:1080"}, {"routes"}),
        ({"cert": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"}, {"register"}),
        ({"allowRekey": True}, {"register"}),
        ({"reader": {"namespace": "other", "serviceAccount": "other"}}, set()),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_changed_domain_repeats_the_steps_that_it_concerns(change: Object, repeated: set[str]) -> None:
    changed = {"master": {**JOBS_ONLY["master"], "domains": {"alice": change}}}
    names = {step: _name(changed, step, "master") for step in MASTER_STEPS}
    assert {step for step, name in names.items() if name != _name(JOBS_ONLY, step, "master")} == repeated


def test_routes_changes_its_name_with_its_routes() -> None:
    changed = {"master": {**JOBS_ONLY["master"], "routes": [{"source": "alice", "destination": "bob"}]}}
    assert _name(changed, "routes", "master") != _name(JOBS_ONLY, "routes", "master")


def test_data_changes_its_name_with_its_grants() -> None:
    change: Object = {"lite": {"data": {"grants": []}}}
    assert _name(change, "data", *OSS) != _name({}, "data", *OSS)


def test_kuscia_restarts_only_for_a_changed_configuration() -> None:
    def template(values: Object) -> Object:
        found: Object = find(render(values, "master"), "Deployment", "kuscia-master")["spec"]["template"]
        return found

    same: list[Object] = [{"domains": {"carol": {}}}, {"routes": []}, {"jobs": {"runId": "again"}}]
    for values in same:
        assert template({"master": values}) == template({})
    assert template({"master": {"extraConfig": {"logLevel": "DEBUG"}}}) != template({})
