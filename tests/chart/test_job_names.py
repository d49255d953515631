"""A Job's name changes with its pod template, and with nothing else."""

import json
import re

import pytest

from tests.chart.render import Object, find, render

JOBS_ONLY: Object = {"master": {"jobs": {"keys": {"hook": False}, "routes": {"hook": False}}}}


def _name(values: Object, verb: str, *presets: str) -> str:
    component = "master" if verb != "data" else "lite-alice"
    name: str = find(render(values, *presets), "Job", f"kuscia-{component}-{verb}*")["metadata"]["name"]
    return name


def test_hash_is_ten_hex() -> None:
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
def test_register_is_not_run_again_for_what_it_does_not_read(change: Object) -> None:
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
def test_register_is_run_again_for_what_it_reads(change: Object) -> None:
    assert _name(change, "register", "master") != _name({}, "register", "master")


@pytest.mark.parametrize("verb", ["keys", "register", "routes"])
def test_run_id_renames_every_job(verb: str) -> None:
    again = {"master": {"jobs": {**JOBS_ONLY["master"]["jobs"], "runId": "again"}}}
    assert _name(again, verb, "master") != _name(JOBS_ONLY, verb, "master")


def test_data_is_run_again_for_another_table() -> None:
    change = {"lite": {"data": {"grants": []}}}
    assert _name(change, "data", "alice") != _name({}, "data", "alice")


def test_pods_restart_for_a_changed_config_only() -> None:
    def template(values: Object) -> Object:
        found: Object = find(render(values, "master"), "Deployment", "kuscia-master")["spec"]["template"]
        return found

    same: list[Object] = [{"domains": {"carol": {}}}, {"routes": []}, {"jobs": {"runId": "again"}}]
    for values in same:
        assert template({"master": values}) == template({})
    assert template({"master": {"extraConfig": {"logLevel": "DEBUG"}}}) != template({})
