"""Results of example jobs: the marks by which the `check` of a lite finds them.

Only a party can read or delete its own objects, and only the master knows which job succeeded. The master therefore
marks the table that a job registered in each domain, in the attributes of the table. The `check` of that domain reads
the latest result and deletes results that are not to be kept.
"""

import calendar
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.core.log import logger
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing

JOB = "kuscia-chart/example-job"
STATE = "kuscia-chart/result"
KEEP = "kuscia-chart/keep"
UNMARKED_SECONDS = 24 * 3600.0
"""Age from which a result without marks counts as left by a run that was killed before it could mark it."""
LATEST = "latest"
PAST = "past"
FAILED = "failed"
# An update must repeat these fields: KusciaAPI deletes some of those that are absent (Kuscia facts 7.4).
# The ID of a result ends with the time and the random part of the job's ID (runner.output_of).
_OUTPUT = re.compile(r".+-(?P<run>(?P<time>[0-9]{14})-[0-9a-f]{4})")
_KEPT = ("name", "type", "relative_uri", "datasource_id", "partition", "columns", "vendor", "file_format")


def report_of(job_id: str) -> str:
    """Return the ID of the report that SecretFlow registers in each domain next to the result."""
    return f"{job_id}-report"


@dataclass(frozen=True)
class Result:
    """A table that an example job left in a domain.

    Args:
        job: ID of the job.
        state: LATEST, PAST (a newer job has started), or FAILED (the job did not succeed).
        keep: whether `check` must not delete it.
    """

    id: str
    relative_uri: str
    data_source: str
    job: str
    state: str
    keep: bool


def listed(api: KusciaAPI, domain: str) -> list[Result]:
    """Return the results that a domain owns, the newest last, including old ones of killed runs without marks."""
    answer = api.call("domaindata/list", {"data": {"domain_id": domain}})
    own = {table["domaindata_id"]: table for table in answer["domaindata_list"] if table["author"] == domain}
    found = []
    for name, table in own.items():
        attributes = table.get("attributes") or {}
        job = attributes.get(JOB) or _unmarked(name)
        if not job or (JOB not in attributes and report_of(job) not in own):
            continue
        found.append(
            Result(
                name,
                table["relative_uri"],
                table["datasource_id"],
                job,
                attributes.get(STATE, PAST),
                attributes.get(KEEP) == "true",
            )
        )
    # The ID of a job starts with the time of its submission (runner.new_id).
    return sorted(found, key=lambda result: result.job)


def _unmarked(name: str) -> str:
    """Return the job whose result has this ID, if the ID has the form and age of an abandoned result; otherwise ""."""
    match = _OUTPUT.fullmatch(name)
    if match is None:
        return ""
    try:
        submitted = calendar.timegm(time.strptime(match["time"], "%Y%m%d%H%M%S"))
    except ValueError:
        return ""
    return f"psi-{match['run']}" if time.time() - submitted > UNMARKED_SECONDS else ""


def mark(api: KusciaAPI, domain: str, output: str, job_id: str, state: str, keep: bool) -> bool:
    """Mark a result. Return False if the domain has no table with this ID."""
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
    """Mark the results of earlier jobs as past, because a new job starts. Return how many are to be deleted."""
    to_delete = 0
    for result in listed(api, domain):
        if result.state == LATEST:
            mark(api, domain, result.id, result.job, PAST, result.keep)
        to_delete += not result.keep
    if to_delete:
        logger.info(
            "domain %s: %d results of earlier example jobs; helm test of its release deletes them", domain, to_delete
        )
    return to_delete
