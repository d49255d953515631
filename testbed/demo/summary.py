"""The screen at the end of `make demo`: what runs, what was computed, which commands to run next."""

import re

from kuscia_hooks.example_job import results
from kuscia_hooks.example_job.results import Result
from testbed.cluster.kubectl import Kubectl
from testbed.demo.commands import Screen
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import ALICE, BOB, MASTER, RELEASES, Release
from testbed.servers import s3

ROUTES = (("alice", "kuscia-system"), ("bob", "kuscia-system"), ("alice", "bob"), ("bob", "alice"))


def screen(kubectl: Kubectl, commands: Screen) -> str:
    """Return the whole screen.

    Raises:
        HookError, CommandError: an object of the demo was not found.
    """
    parts = [
        _table("Pods", ["NAMESPACE", "POD", "STATUS", "IMAGE"], pods(kubectl)),
        _table("Routes", ["ROUTE", "HOST", "READY"], routes(kubectl)),
        _table("Tables and grants", ["DOMAIN", "TABLE", "DATA SOURCE", "COLUMNS", "GRANTED TO"], tables(kubectl)),
        _table("Job", ["JOB", "STATE", "ROWS IN COMMON"], [job(kubectl)]),
        commands.text(),
    ]
    return "\n\n".join(parts)


def pods(kubectl: Kubectl) -> list[list[str]]:
    """Return namespace, name, phase and image of the Kuscia pods."""
    rows = []
    for release in RELEASES:
        selector = f"app.kubernetes.io/component={'master' if release is MASTER else 'lite'}"
        for pod in kubectl.get("pods", "-n", release.namespace, "-l", selector)["items"]:
            rows.append(
                [
                    release.namespace,
                    pod["metadata"]["name"],
                    pod["status"]["phase"],
                    pod["spec"]["containers"][0]["image"],
                ]
            )
    return rows


def routes(kubectl: Kubectl) -> list[list[str]]:
    """Return name, host and readiness of the four routes; a lite's route to its master has no host."""
    rows = []
    with kusciaapi(kubectl, MASTER) as api:
        for source, destination in ROUTES:
            route = api.call("route/query", {"source": source, "destination": destination})
            endpoint = route["endpoint"] or {}
            ready = "True" if route["status"]["status"] == "Succeeded" else f"False {route['status']['reason']}"
            rows.append([route["name"], endpoint.get("host", ""), ready])
    return rows


def tables(kubectl: Kubectl) -> list[list[str]]:
    """Return the tables of alice and bob, and the domains that each is granted to."""
    rows = []
    for release in (ALICE, BOB):
        with kusciaapi(kubectl, release) as api:
            listed = api.call("domaindata/list", {"data": {"domain_id": release.domain}})
            grants = api.call("domaindatagrant/list", {"data": {"domain_id": release.domain}})
        granted: dict[str, list[str]] = {}
        for entry in grants["domaindatagrant_list"]:
            if entry["data"]["author"] == release.domain:
                granted.setdefault(entry["data"]["domaindata_id"], []).append(entry["data"]["grant_domain"])
        for table in listed["domaindata_list"]:
            if table["author"] == release.domain:
                rows.append(
                    [
                        release.domain,
                        table["domaindata_id"],
                        table["datasource_id"],
                        str(len(table["columns"])),
                        ", ".join(granted.get(table["domaindata_id"], ["-"])),
                    ]
                )
    return rows


def job(kubectl: Kubectl) -> list[str]:
    """Return name, state and number of result rows (alice's) of the example job that `helm test` ran."""
    name = f"{result(kubectl, ALICE).id}.csv"
    log = kubectl.run("logs", "-n", MASTER.namespace, f"{MASTER.fullname}-check")
    succeeded = re.search(r"example job: (\S+) Succeeded", log)
    rows = len(s3.read(kubectl, ALICE.domain, name).splitlines()) - 1
    return [succeeded.group(1), "Succeeded", str(rows)] if succeeded else ["-", "not found in helm test's log", "-"]


def result(kubectl: Kubectl, release: Release) -> Result:
    """Return the result of the latest example job in a lite's domain."""
    with kusciaapi(kubectl, release) as api:
        found = [one for one in results.listed(api, release.domain) if one.state == results.LATEST]
    return found[-1]


def _table(title: str, head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])
