import json

from kuscia_hooks.example_job import psi_config
from tests.hooks.builders import example_job


def test_writes_tables_outputs_and_parties_of_the_psi_component() -> None:
    """As in Kuscia facts 10, the version of HEAD."""
    config = json.loads(psi_config.task_input_config(example_job(), "psi-output-7", "psi-7-report"))
    assert config["sf_datasource_config"] == {
        "alice": {"id": "default-data-source"},
        "bob": {"id": "default-data-source"},
    }
    assert config["sf_input_ids"] == ["alice-table", "bob-table"]
    assert config["sf_output_ids"] == ["psi-output-7", "psi-7-report"]
    assert config["sf_output_uris"] == ["psi-output-7.csv", "psi-7-report"]
    description = config["sf_cluster_desc"]
    assert description["parties"] == ["alice", "bob"]
    assert [device["name"] for device in description["devices"]] == ["spu", "heu"]
    spu = json.loads(description["devices"][0]["config"])
    assert spu["runtime_config"] == {"protocol": "SEMI2K", "field": "FM128"}
    assert spu["link_desc"]["brpc_channel_protocol"] == "http"
    assert description["ray_fed_config"] == {"cross_silo_comm_backend": "brpc_link"}


def test_writes_the_attributes_of_the_psi_component() -> None:
    node = json.loads(psi_config.task_input_config(example_job(), "psi-output-7", "psi-7-report"))["sf_node_eval_param"]
    assert (node["domain"], node["name"], node["version"]) == ("data_prep", "psi", "1.0.0")
    attributes = dict(zip(node["attr_paths"], node["attrs"], strict=True))
    assert attributes["input/input_ds1/keys"] == {"is_na": False, "ss": ["id1"]}
    assert attributes["input/input_ds2/keys"] == {"is_na": False, "ss": ["id2"]}
    assert attributes["protocol"]["s"] == "PROTOCOL_RR22"
    assert attributes["receiver_parties"]["ss"] == ["alice", "bob"]
    assert attributes["allow_empty_result"] == {"is_na": True}
    assert attributes["join_type"]["s"] == "inner_join"
    assert len(attributes) == 9
