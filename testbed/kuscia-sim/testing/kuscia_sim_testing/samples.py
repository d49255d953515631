"""What several tests of the API share."""

import asyncio
from typing import Any

from kuscia_sim_testing.inprocess import ALICE, Cluster


def table(**fields: Any) -> dict[str, Any]:
    """Return a domaindata/create request for the table t of alice."""
    wanted = {"domain_id": ALICE, "domaindata_id": "t", "type": "table", "relative_uri": "a/t.csv"}
    return {**wanted, **fields}


async def eventually(cluster: Cluster, node: str, path: str, body: Any, wanted: Any) -> None:
    """Repeat a request until `wanted` accepts the answer; fail after 5 s."""
    for _ in range(100):
        answer = await cluster.ask(node, path, body)
        if wanted(answer):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(answer)
