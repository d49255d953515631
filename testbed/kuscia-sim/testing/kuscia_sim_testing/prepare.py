"""The state before the first line of the shorter transcripts (Kuscia facts 16.1)."""

import json
import time
from collections.abc import Callable
from typing import Any

from kuscia_sim_testing.replay import POLL, SETTLE, Replay

OSS_INFO = {
    "endpoint": "http://s3.demo.svc.cluster.local:7070",
    "bucket": "bk",
    "prefix": "p/",
    "access_key_id": "ii",
    "access_key_secret": "ss",
}


def _do(replay: Replay, node: str, path: str, body: dict[str, Any]) -> None:
    answer = replay.ask(node, f"/api/v1/{path}", json.dumps(body))
    if answer.status != 200 or json.loads(answer.body)["status"]["code"] != 0:
        raise AssertionError(f"preparing with {path} {body}: {answer}")


def gateway(replay: Replay) -> None:
    """Start a master with alice and bob, and ready routes between them in both directions."""
    replay.world.start_master("master", "NOTLS", {"alice": {}, "bob": {}})
    replay.start_lites(["alice", "bob"])
    pairs = [("alice", "bob"), ("bob", "alice")]
    for source, destination in pairs:
        node = replay.world.nodes[f"lite-{destination}"]
        port = {"name": "http", "port": node.port(1080), "protocol": "HTTP"}
        route = {"source": source, "destination": destination, "authentication_type": "Token"}
        _do(replay, "master", "route/create", {**route, "endpoint": {"host": node.address, "ports": [port]}})
    keys = json.dumps({"route_keys": [{"source": s, "destination": d} for s, d in pairs]})
    deadline = time.monotonic() + 3 * SETTLE
    while True:
        answer = replay.ask("master", "/api/v1/route/status/batchQuery", keys)
        if answer.body.count('"Succeeded"') == len(pairs):
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"the routes did not become ready: {answer.body}")
        time.sleep(POLL)


def datamesh(replay: Replay) -> None:
    """Start a master with alice, an OSS data source and a table in it."""
    replay.world.start_master("master", "NOTLS", {"alice": {}})
    replay.start_lites(["alice"])
    source = {"domain_id": "alice", "datasource_id": "dm-oss", "name": "x", "type": "oss"}
    info = {"info": {"oss": OSS_INFO}, "access_directly": True}
    _do(replay, "lite-alice", "domaindatasource/create", {**source, **info})
    table = {"domain_id": "alice", "domaindata_id": "alice-table", "name": "alice.csv", "type": "table"}
    where = {"relative_uri": "alice.csv", "datasource_id": "dm-oss"}
    columns = {"columns": [{"name": "id1", "type": "str"}]}
    _do(replay, "lite-alice", "domaindata/create", {**table, **where, **columns})


BEFORE: dict[str, Callable[[Replay], None]] = {
    "gateway-transcript": gateway,
    "datamesh-transcript": datamesh,
}
