"""What the engine's tests share: a task's config as Kuscia renders it."""

import json
from collections.abc import Callable
from typing import Any

import pytest


def task_input(**attributes: Any) -> dict[str, Any]:
    """SecretFlow's PSI component input of the example job; `attributes` replace or add attributes."""
    values = {
        "input/input_ds1/keys": {"is_na": False, "ss": ["id1"]},
        "input/input_ds2/keys": {"is_na": False, "ss": ["id2"]},
        "protocol": {"is_na": False, "s": "PROTOCOL_RR22"},
        "sort_result": {"is_na": False, "b": True},
        "receiver_parties": {"is_na": False, "ss": ["alice", "bob"]},
        "allow_empty_result": {"is_na": True},
        "join_type": {"is_na": False, "s": "inner_join"},
        "input_ds1_keys_duplicated": {"is_na": False, "b": True},
        "input_ds2_keys_duplicated": {"is_na": False, "b": True},
    } | attributes
    link = {"connect_retry_times": 20, "connect_retry_interval_ms": 500, "recv_timeout_ms": 20000,
            "http_timeout_ms": 20000, "brpc_channel_protocol": "http"}  # fmt: skip
    return {
        "sf_datasource_config": {name: {"id": "default-data-source"} for name in ("alice", "bob")},
        "sf_cluster_desc": {
            "parties": ["alice", "bob"],
            "devices": [{"name": "spu", "type": "spu", "parties": ["alice", "bob"],
                         "config": json.dumps({"runtime_config": {"protocol": "SEMI2K"}, "link_desc": link})},
                        {"name": "heu", "type": "heu", "parties": ["alice", "bob"], "config": "{}"}],
        },
        "sf_node_eval_param": {
            "domain": "data_prep", "name": "psi", "version": "1.0.0",
            "attr_paths": list(values), "attrs": list(values.values()),
        },
        "sf_input_ids": ["alice-table", "bob-table"],
        "sf_output_ids": ["psi-output", "psi-report"],
        "sf_output_uris": ["psi-output.csv", "psi-report"],
    }  # fmt: skip


def rendered(
    party: str, input_: dict[str, Any], port: int = 29325, endpoints: dict[str, str] | None = None
) -> dict[str, Any]:
    """The rendered config file's content in `party`'s container (shape: Kuscia facts 16.4)."""
    names = ["alice", "bob"]
    cluster: dict[str, Any] = {
        "parties": [
            {"name": name, "role": "", "services": [
                {"portName": "psi", "endpoints": [(endpoints or {}).get(name, f"job-0-psi.{name}.svc")]}]}
            for name in names
        ],
        "selfPartyIdx": names.index(party),
        "selfEndpointIdx": 0,
    }  # fmt: skip
    ports = {"ports": [{"name": "psi", "port": port, "scope": "Cluster", "protocol": "HTTP"}]}
    return {
        "task_id": "job-psi",
        "task_input_config": json.dumps(input_),
        "task_cluster_def": json.dumps(cluster),
        "allocated_ports": json.dumps(ports),
    }


@pytest.fixture
def make_input() -> Callable[..., dict[str, Any]]:
    return task_input


@pytest.fixture
def make_config() -> Callable[..., dict[str, Any]]:
    return rendered
