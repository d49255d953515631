"""The task config: what is read from it, and what is said about a bad one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from psi_engine import EngineError
from psi_engine.task import Task, parse, peer_url

Make = Callable[..., dict[str, Any]]


def parsed(make_config: Make, input_: dict[str, Any], party: str = "alice") -> Task:
    return parse(json.dumps(make_config(party, input_)))


def test_reads_the_example_job(make_config: Make, make_input: Make) -> None:
    task = parsed(make_config, make_input())
    assert (task.task_id, task.party, task.peer, task.rank) == ("job-psi", "alice", "bob", 0)
    assert task.parties == {"alice": "0.0.0.0:29325", "bob": "http://job-0-psi.bob.svc:80"}
    assert [(one.table, one.keys, one.keys_unique) for one in task.inputs] == [
        ("alice-table", ("id1",), False), ("bob-table", ("id2",), False)]  # fmt: skip
    assert task.protocol == "PROTOCOL_RR22"
    assert task.curve == "CURVE_FOURQ"
    assert task.sort_result
    assert not task.allow_empty_result
    assert task.receivers == ("alice", "bob")
    assert (task.output_id, task.output_uri, task.output_source) == (
        "psi-output", "psi-output.csv", "default-data-source")  # fmt: skip
    assert (task.report_id, task.report_uri) == ("psi-report", "psi-report")
    assert task.link.connect_retry_times == 20


def test_both_parties_agree_on_ranks(make_config: Make, make_input: Make) -> None:
    ranks = {party: parsed(make_config, make_input(), party).rank for party in ("alice", "bob")}
    assert ranks == {"alice": 0, "bob": 1}


def test_self_party_index_zero_is_left_out_by_proto_json(make_config: Make, make_input: Make) -> None:
    config = make_config("alice", make_input())
    cluster = json.loads(config["task_cluster_def"])
    del cluster["selfPartyIdx"]
    config["task_cluster_def"] = json.dumps(cluster)
    assert parse(json.dumps(config)).party == "alice"


def test_no_receivers_means_both(make_config: Make, make_input: Make) -> None:
    assert parsed(make_config, make_input(receiver_parties={"is_na": True})).receivers == ("alice", "bob")


def test_reads_one_receiver(make_config: Make, make_input: Make) -> None:
    task = parsed(make_config, make_input(receiver_parties={"ss": ["bob"]}))
    assert task.receivers == ("bob",)
    assert not task.receives


def test_reads_the_ecdh_curve(make_config: Make, make_input: Make) -> None:
    attributes = {"protocol": {"s": "PROTOCOL_ECDH"}, "protocol/PROTOCOL_ECDH": {"s": "CURVE_25519"}}
    task = parsed(make_config, make_input(**attributes))
    assert (task.protocol, task.curve) == ("PROTOCOL_ECDH", "CURVE_25519")


@pytest.mark.parametrize(("endpoint", "url"), [
    ("t-0-psi.bob.svc", "http://t-0-psi.bob.svc:80"),
    ("127.0.0.1:9000", "http://127.0.0.1:9000"),
    ("http://t.bob.svc", "http://t.bob.svc:80"),
])  # fmt: skip
def test_peer_url(endpoint: str, url: str) -> None:
    assert peer_url(endpoint) == url


def test_reports_all_missing_keys() -> None:
    with pytest.raises(EngineError) as raised:
        parse(json.dumps({"task_id": "t"}))
    for key in ("task_input_config", "task_cluster_def", "allocated_ports"):
        assert f"{key} is missing" in str(raised.value)


def test_rejects_invalid_json() -> None:
    with pytest.raises(EngineError, match="task config is not JSON"):
        parse("{{.TASK_ID}}")


def test_reports_all_errors(make_config: Make, make_input: Make) -> None:
    bad = make_input(
        protocol={"s": "PROTOCOL_X"}, join_type={"s": "full_join"}, receiver_parties={"ss": ["carl"]},
        **{"input/input_ds2/keys": {"is_na": True}},
    )  # fmt: skip
    bad["sf_node_eval_param"]["version"] = "0.0.5"
    bad["sf_output_uris"] = []
    bad["sf_datasource_config"] = {"bob": {"id": "x"}}
    with pytest.raises(EngineError) as raised:
        parsed(make_config, bad)
    text = str(raised.value)
    for part in (
        "data_prep/psi/0.0.5; this engine runs data_prep/psi/1.0.0",
        "protocol is 'PROTOCOL_X'; this engine runs PROTOCOL_RR22, PROTOCOL_ECDH, PROTOCOL_KKRT",
        "join_type is 'full_join'",
        "receiver_parties ['carl']",
        "attribute input/input_ds2/keys is missing: the columns of bob-table",
        "sf_output_uris is []; PSI has two outputs, a table and a report",
        "sf_datasource_config.alice.id is missing",
    ):
        assert part in text


def test_rejects_different_numbers_of_keys(make_config: Make, make_input: Make) -> None:
    with pytest.raises(EngineError, match="different numbers of columns"):
        parsed(make_config, make_input(**{"input/input_ds1/keys": {"ss": ["id1", "age"]}}))


def test_rejects_port_that_is_not_in_the_app_image(make_config: Make, make_input: Make) -> None:
    config = make_config("alice", make_input())
    config["allocated_ports"] = json.dumps({"ports": [{"name": "spu", "port": 1}]})
    with pytest.raises(EngineError, match="allocated_ports has no port named psi"):
        parse(json.dumps(config))


def test_rejects_three_parties(make_config: Make, make_input: Make) -> None:
    config = make_config("alice", make_input())
    cluster = json.loads(config["task_cluster_def"])
    cluster["parties"].append({"name": "carl"})
    config["task_cluster_def"] = json.dumps(cluster)
    with pytest.raises(EngineError, match="PSI needs exactly two"):
        parse(json.dumps(config))
