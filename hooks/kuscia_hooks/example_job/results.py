"""The results of example jobs: how a lite's `check` knows its own, and what becomes of them.

Only a party may read or delete its objects, and only the master knows which job succeeded. So the master marks the
table that a successful job registered in each domain, in the table's attributes, and that domain's `check` reads the
newest, and removes what need not be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.core.log import logger
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing

JOB = "kuscia-chart/example-job"
STATE = "kuscia-chart/result"
KEEP = "kuscia-chart/keep"
LATEST = "latest"
PAST = "past"
FAILED = "failed"
# What KusciaAPI keeps where an update leaves it out, and what would be lost otherwise (Kuscia facts 7.4).
_KEPT = ("name", "type", "relative_uri", "datasource_id", "partition", "columns", "vendor", "file_format")


def report_of(job_id: str) -> str:
    """ID of the report that SecretFlow registers in each domain beside the result."""
    return f"{job_id}-report"


@dataclass(frozen=True)
class Result:
    """A table that an example job left in a domain.

    Args:
        state: LATEST, PAST (another job was begun since), or FAILED (its job did not succeed).
    """

    id: str
    relative_uri: str
    data_source: str
    job: str
    state: str
    keep: bool


def listed(api: KusciaAPI, domain: str) -> list[Result]:
    """A domain's own results, the newest last."""
    answer = api.call("domaindata/list", {"data": {"domain_id": domain}})
    found = []
    for table in answer["domaindata_list"]:
        attributes = table.get("attributes") or {}
        if JOB in attributes and table["author"] == domain:
            found.append(
                Result(
                    table["domaindata_id"],
                    table["relative_uri"],
                    table["datasource_id"],
                    attributes[JOB],
                    attributes.get(STATE, PAST),
                    attributes.get(KEEP) == "true",
                )
            )
    # A job's ID begins with the time at which it was submitted (runner.new_id).
    return sorted(found, key=lambda result: result.job)


def mark(api: KusciaAPI, domain: str, output: str, job_id: str, state: str, keep: bool) -> bool:
    """Mark a result; False where the domain has none of this ID."""
    try:
        table = api.call("domaindata/query", {"data": {"domain_id": domain, "domaindata_id": output}})
    except Missing:
        return False
    attributes = {**(table.get("attributes") or {}), JOB: job_id, STATE: state, KEEP: str(keep).lower()}
    api.call("domaindata/update", _update(domain, output, table, attributes))
    return True


def _update(domain: str, output: str, table: Mapping[str, Any], attributes: dict[str, str]) -> dict[str, Any]:
    kept = {key: table[key] for key in _KEPT if table.get(key)}
    return {"domain_id": domain, "domaindata_id": output, **kept, "attributes": attributes}


def supersede(api: KusciaAPI, domain: str) -> int:
    """A new job begins: no result of an earlier one is the latest any more. Returns how many wait for removal."""
    waiting = 0
    for result in listed(api, domain):
        if result.state == LATEST:
            mark(api, domain, result.id, result.job, PAST, result.keep)
        waiting += not result.keep
    if waiting:
        logger.info("%s has %d results of earlier example jobs; helm test of its release removes them", domain, waiting)
    return waiting
