"""Input of SecretFlow's two-party PSI component, as in the example job of Kuscia (Kuscia facts 10).

The component is data_prep/psi 1.0.0 of SecretFlow 1.11; the engine of the test bed reads the same input. It has two
outputs, the table and a report (SecretFlow's docs/component/comp_list.md). Each party registers both as domaindata
(secretflow/kuscia/entry.py), so they need different IDs: otherwise the report replaces the table.
"""

import json
from typing import Any

from kuscia_hooks.core.config.check import ExampleJob

_LINK_MILLISECONDS = 1_200_000


def task_input_config(job: ExampleJob, output: str, report: str) -> str:
    """Return `task_input_config` of the only task of the job, as JSON.

    Args:
        output: ID of the result in each domain; its file has the same name.
        report: ID of the report in each domain; it has no file.
    """
    parties = [party.domain for party in job.parties]
    tables = [party.table for party in job.parties]
    return json.dumps(
        {
            "sf_datasource_config": {party: {"id": job.data_source} for party in parties},
            "sf_cluster_desc": {
                "parties": parties,
                "devices": [_spu(parties), _heu(parties)],
                "ray_fed_config": {"cross_silo_comm_backend": "brpc_link"},
            },
            "sf_node_eval_param": _node(job, parties),
            "sf_input_ids": tables,
            "sf_output_ids": [output, report],
            "sf_output_uris": [f"{output}.csv", report],
        }
    )


def _spu(parties: list[str]) -> dict[str, Any]:
    config = {
        "runtime_config": {"protocol": "SEMI2K", "field": "FM128"},
        "link_desc": {
            "connect_retry_times": 60,
            "connect_retry_interval_ms": 1000,
            "brpc_channel_protocol": "http",
            "brpc_channel_connection_type": "pooled",
            "recv_timeout_ms": _LINK_MILLISECONDS,
            "http_timeout_ms": _LINK_MILLISECONDS,
        },
    }
    return {"name": "spu", "type": "spu", "parties": parties, "config": json.dumps(config)}


def _heu(parties: list[str]) -> dict[str, Any]:
    config = {"mode": "PHEU", "schema": "paillier", "key_size": 2048}
    return {"name": "heu", "type": "heu", "parties": parties, "config": json.dumps(config)}


def _node(job: ExampleJob, parties: list[str]) -> dict[str, Any]:
    attributes: dict[str, dict[str, Any]] = {
        "input/input_ds1/keys": {"is_na": False, "ss": list(job.parties[0].keys)},
        "input/input_ds2/keys": {"is_na": False, "ss": list(job.parties[1].keys)},
        "protocol": {"is_na": False, "s": "PROTOCOL_RR22"},
        "sort_result": {"is_na": False, "b": True},
        "receiver_parties": {"is_na": False, "ss": parties},
        "allow_empty_result": {"is_na": True},
        "join_type": {"is_na": False, "s": "inner_join"},
        "input_ds1_keys_duplicated": {"is_na": False, "b": True},
        "input_ds2_keys_duplicated": {"is_na": False, "b": True},
    }
    return {
        "domain": "data_prep",
        "name": "psi",
        "version": "1.0.0",
        "attr_paths": list(attributes),
        "attrs": list(attributes.values()),
    }
