"""The name of a Job changes if its pod template changes, and only then."""

import json
import re

import pytest

from tests.chart.render import Object, find, render

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


@pytest.mark.parametrize("step", ["keys", "register", "routes"])
def test_run_id_changes_the_name_of_every_job(step: str) -> None:
    again = {"master": {"jobs": {**JOBS_ONLY["master"]["jobs"], "runId": "again"}}}
    assert _name(again, step, "master") != _name(JOBS_ONLY, step, "master")


def test_data_changes_its_name_with_its_grants() -> None:
    change: Object = {"lite": {"data": {"grants": []}}}
    assert _name(change, "data", "alice") != _name({}, "data", "alice")


def test_kuscia_restarts_only_for_a_changed_configuration() -> None:
    def template(values: Object) -> Object:
        found: Object = find(render(values, "master"), "Deployment", "kuscia-master")["spec"]["template"]
        return found

    same: list[Object] = [{"domains": {"carol": {}}}, {"routes": []}, {"jobs": {"runId": "again"}}]
    for values in same:
        assert template({"master": values}) == template({})
    assert template({"master": {"extraConfig": {"logLevel": "DEBUG"}}}) != template({})
