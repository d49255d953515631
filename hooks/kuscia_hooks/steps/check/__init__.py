"""`check`: test the deployment as a user would. Prints one line for each check: PASS, or FAIL with cause and fix."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import reports
from kuscia_hooks.core.config.check import Check, CheckedSource, ExampleJob
from kuscia_hooks.core.config.common import Master
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.core.config.engines import CheckedEngines
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.text import first_of, quoted
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.example_job import results, runner
from kuscia_hooks.kuscia import datastore, engine_namespace, gateway
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.batches import in_batches, query_in_batches
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.database_server import TABLE
from kuscia_hooks.kuscia.gateway_trust import trust_master
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.steps.check.declared_table import Stores, data_source, readable
from kuscia_hooks.tables.s3 import access_keys

# Routes may need three minutes (Kuscia facts 6.4), a lite slightly more after a restart of its master (16.2).
PATIENCE = 240.0
# For nodes whose absence is not a failure: a running node reports its status within seconds (16.6).
ABSENT_PATIENCE = 60.0
# For routes, after the checks of their nodes have ended.
_ROUTES_LAST = 10.0
# For conditions that do not clear without a change: long enough for a slow API server.
ENGINES_PATIENCE = 30.0
# An engine registers its result just before it ends.
RESULT_PATIENCE = 60.0


# Checks wait for servers most of the time.
_THREADS = 16


@dataclass(frozen=True)
class Probe:
    """One check.

    Args:
        look: returns what it found; raises RetryableError to be called again.
        patience: seconds to repeat it.
    """

    name: str
    look: Callable[[], str]
    patience: float = PATIENCE


class Report:
    """Runs checks side by side, prints their outcomes in order, and counts them.

    Args:
        deadline: of all checks.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.passed = self.failed = 0
        self._pool = ThreadPoolExecutor(_THREADS)

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def start(self, *probes: Probe) -> "list[tuple[str, Future[str]]]":
        """Start checks, and return them for `finish`."""
        return [(probe.name, self._pool.submit(copy_context().run, self._look, probe)) for probe in probes]

    def finish(self, started: "list[tuple[str, Future[str]]]") -> bool:
        """Wait for checks, print them in order, and return whether all passed."""
        passed = []
        for name, future in started:
            try:
                self.succeed(name, future.result())
                passed.append(True)
            except StepError as error:
                self.fail(name, error)
                passed.append(False)
        return all(passed)

    def run(self, *probes: Probe) -> bool:
        """Start checks and wait for them."""
        return self.finish(self.start(*probes))

    def succeed(self, name: str, found: str) -> None:
        self.passed += 1
        logger.info("PASS %s: %s", name, found)

    def fail(self, name: str, error: StepError | str) -> None:
        self.failed += 1
        logger.info("FAIL %s: %s", name, error)

    def _look(self, probe: Probe) -> str:
        return until(probe.name, probe.look, self.deadline.within(probe.patience))


def attempt(settings: Check, context: Context) -> Outcome:
    """Run all checks; the exit code is 1 if one failed."""
    report = run_checks(settings, context.kube, context.deadline)
    if settings.ledger is not None:
        _list_left_alone(context.kube, settings.namespace, settings.ledger)
    line = f"passed={report.passed} failed={report.failed} in {context.deadline.elapsed():.1f}s"
    return Outcome(line, exit_code=1 if report.failed else 0)


def _list_left_alone(kube: Kube, namespace: str, ledger: str) -> None:
    """Log the objects that the steps left alone, which is not a failure."""
    try:
        found = reports(kube, namespace, ledger)
    except StepError as error:
        logger.warning("cannot read the ledger: %s", error)
        return
    for kind, report in sorted(found.items()):
        for what, names in (("foreign", report.foreign), ("leftover", report.leftover)):
            if names:
                logger.info("INFO %s %s: %s (docs/operations.md, Objects in Kuscia)", what, kind, first_of(names))


def run_checks(config: Check, kube: Kube, deadline: Deadline) -> Report:
    """Run all checks. A check whose precondition failed counts as failed."""
    with Report(deadline) as report, ExitStack() as stack:
        own = report.start(Probe("gateway", lambda: _own_gateway(config)))
        others = report.start(*_without_api(config, kube))
        node = config.namespace, config.key_secret, config.api, config.domain_id
        try:
            api = stack.enter_context(open_api(kube, *node, deadline.within(PATIENCE)))
        except StepError as error:
            report.finish(own)
            report.fail("KusciaAPI", error)
            report.finish(others)
            return report
        nodes = Nodes(config.absent_domains == "report", deadline)
        probes = _of_master(config, api, nodes) if config.mode == "master" else _of_lite(config, kube, api)
        started = report.start(*probes)
        report.finish(own)
        report.succeed("KusciaAPI", f"{config.api.endpoint} serves domain {config.domain_id}")
        report.finish(others)
        ready = report.finish(started)
        if config.example_job is not None:
            _example_job(config, api, config.example_job, report, ready, nodes.left_out)
    return report


def _without_api(config: Check, kube: Kube) -> list[Probe]:
    """Return the checks that do not need KusciaAPI."""
    probes = []
    if isinstance(config.datastore, Database):
        probes.append(Probe("datastore", partial(_datastore, config, kube, config.datastore)))
    if config.master is not None:
        probes.append(Probe("gateway of the master", partial(_gateway, config, kube, config.master)))
    if config.engines is not None:
        probes += _engines(config, config.engines, kube)
    return probes


def _own_gateway(config: Check) -> str:
    gateway.probe_domain(config.gateway, config.domain_id)
    return f"{config.gateway} is the gateway of {config.domain_id}"


def _gateway(config: Check, kube: Kube, master: Master) -> str:
    trust_master(kube, config.namespace, master)
    gateway.probe(master.endpoint)
    return f"{master.endpoint} is a Kuscia gateway"


class Nodes:
    """The domains without a Ready node.

    Args:
        tolerated: they are reported, and not a failure.
        deadline: of all checks.

    Attributes:
        absent: the absent domains at the last look.
    """

    def __init__(self, tolerated: bool, deadline: Deadline) -> None:
        self.tolerated = tolerated
        self.absent: frozenset[str] = frozenset()
        self._until = deadline.within(ABSENT_PATIENCE if tolerated else PATIENCE)

    @property
    def left_out(self) -> frozenset[str]:
        """The domains that the checks no longer wait for."""
        return self.absent if self._until.passed else frozenset()


def _of_master(config: Check, api: KusciaAPI, nodes: Nodes) -> list[Probe]:
    probes = []
    if config.domains:
        probes.append(Probe("nodes", partial(_nodes, api, list(config.domains), nodes)))
    routes = config.pairs()
    if routes:
        probes.append(Probe("routes", partial(_routes, api, config.namespace, routes, nodes), PATIENCE + _ROUTES_LAST))
    return probes


def _example_job(
    config: Check, api: KusciaAPI, example: ExampleJob, report: Report, ready: bool, absent: frozenset[str]
) -> None:
    """Run the example job and check its results.

    Args:
        ready: whether nodes and routes are ready.
        absent: domains whose absence is reported only.
    """
    missing = absent & {party.domain for party in example.parties}
    if ready and missing:
        logger.info("INFO example job: not submitted because domains are absent: %s", ", ".join(sorted(missing)))
        return
    if not ready:
        report.fail("example job", "not submitted because nodes or routes are not ready")
        return
    if not report.run(Probe("tables of the example job", partial(_job_tables, api, example))):
        return
    try:
        found = runner.run(api, example, config.namespace, report.deadline)
    except StepError as error:
        report.fail("example job", error)
        return
    report.succeed("example job", str(found))
    domains = [party.domain for party in example.parties]
    report.run(
        *(
            Probe(f"result in {domain}", partial(_registered, api, domain, found.output), RESULT_PATIENCE)
            for domain in domains
        )
    )


def _datastore(config: Check, kube: Kube, store: Database) -> str:
    rows = datastore.count_rows(store, datastore.read_password(store, config.namespace, kube))
    if not rows:
        raise RetryableError("datastore-empty", f"table {TABLE} of database {store.host}/{store.database} has no rows")
    return f"{store.type} {store.host}/{store.database} has {rows} rows in table {TABLE}"


def _nodes(api: KusciaAPI, domains: list[str], nodes: Nodes) -> str:
    def ask(ids: Sequence[str]) -> dict[str, list[str]]:
        answer = api.call("domain/batchQuery", {"domain_ids": list(ids)})
        return {
            domain["domain_id"]: [node["status"] for node in domain.get("node_statuses") or []]
            for domain in answer["domains"]
        }

    states = query_in_batches(domains, ask)
    absent = [domain for domain in domains if "Ready" not in states.get(domain, [])]
    missing = [f"{domain} {'/'.join(states.get(domain) or ['not registered'])}" for domain in absent]
    nodes.absent = frozenset(absent)
    if nodes.tolerated and nodes.left_out:
        present = [domain for domain in domains if domain not in nodes.left_out]
        return f"Ready: {', '.join(present) or 'none'}; absent, and left out: {', '.join(missing)}"
    if missing:
        raise RetryableError(
            "node-not-ready",
            f"not Ready: {', '.join(missing)}",
            see="kubectl kuscia doctor -n <namespace of the lite>",
        )
    return f"Ready: {', '.join(domains)}"


def _routes(api: KusciaAPI, namespace: str, listed: list[tuple[str, str]], nodes: Nodes) -> str:
    absent = nodes.left_out
    routes = [pair for pair in listed if not absent & set(pair)]
    left_out = f"; {len(listed) - len(routes)} to or from absent domains left out" if len(routes) < len(listed) else ""
    pending: list[str] = []

    def ask(part: Sequence[tuple[str, str]]) -> None:
        keys = [{"source": source, "destination": destination} for source, destination in part]
        try:
            answer = api.call("route/status/batchQuery", {"route_keys": keys})
        except Missing as error:
            # It names one missing route, which is enough here.
            pending.append(error.text)
            return
        for route in answer["routes"]:
            if route["status"]["status"] != "Succeeded":
                pending.append(f"{route['name']} ({route['status']['reason'] or 'no handshake yet'})")

    failed = each(in_batches(routes), ask)
    if failed:
        raise failed[0][1]
    if pending:
        raise RetryableError(
            "route-not-ready",
            f"{len(pending)} of {len(routes)} not READY: {first_of(sorted(pending))}",
            see=f"kubectl kuscia doctor -n {quoted(namespace)}",
        )
    names = first_of([f"{source}-{destination}" for source, destination in routes])
    return f"{len(routes)} READY{': ' if names else ''}{names}{left_out}"


def _job_tables(api: KusciaAPI, example: ExampleJob) -> str:
    for party in example.parties:
        try:
            wanted = {"domain_id": party.domain, "domaindata_id": party.table}
            source = api.call("domaindata/query", {"data": wanted})["datasource_id"]
        except Missing as error:
            raise RetryableError(
                "table-not-declared",
                f"domain {party.domain} has not declared table {party.table}",
                see="kubectl logs -l app.kubernetes.io/component=data -n <namespace of the lite>",
            ) from error
        if source != example.data_source:
            # SecretFlow reads all tables of a party from the one data source that the job names.
            raise PermanentError(
                "table-in-different-data-source",
                f"table {party.table} of domain {party.domain} is in data source {source}, but the example job reads "
                f"{example.data_source}",
                fix="set master.exampleJob.dataSource to the data source that holds the tables of all parties",
            )
        for other in example.parties:
            if other.domain != party.domain:
                _granted(api, party.domain, party.table, other.domain)
    return ", ".join(f"{party.domain}/{party.table}" for party in example.parties) + ", granted to each other"


def _granted(api: KusciaAPI, domain: str, table: str, other: str) -> None:
    try:
        # Kuscia copies a granted table to the domain that it is granted to (Kuscia facts 7.4).
        api.call("domaindata/query", {"data": {"domain_id": other, "domaindata_id": table}})
    except Missing as error:
        raise RetryableError(
            "table-not-granted",
            f"domain {domain} has not granted table {table} to {other}",
            see="kubectl logs -l app.kubernetes.io/component=data -n <namespace of the lite>",
        ) from error


def _registered(api: KusciaAPI, domain: str, output: str) -> str:
    try:
        data = api.call("domaindata/query", {"data": {"domain_id": domain, "domaindata_id": output}})
    except Missing as error:
        raise RetryableError(
            "result-not-registered", f"result {output} is not registered in domain {domain}"
        ) from error
    if data["type"] != "table":
        raise PermanentError(
            "result-not-a-table",
            f"result {output} is registered in domain {domain} as a {data['type']}, not as a table",
        )
    return f"{output} is registered ({data['relative_uri']}, {len(data.get('columns') or [])} columns)"


def _of_lite(config: Check, kube: Kube, api: KusciaAPI) -> list[Probe]:
    stores, source = Stores(), config.source
    probes = [Probe("registration at the master", partial(_own_node, config, api))]
    if source is not None:
        probes.append(Probe(f"data source {source.id}", partial(_source, config, kube, api, source)))
    probes += [Probe(f"table {table}", partial(readable, api, config, stores, table)) for table in config.tables]
    probes += [Probe(f"result {name}", partial(_result, api, config, stores, name)) for name in config.results]
    probes.append(Probe("result of the example job", partial(_example_result, api, config, stores), RESULT_PATIENCE))
    return probes


def _engines(config: Check, settings: CheckedEngines, kube: Kube) -> list[Probe]:
    def look(probe: Callable[[Kube], str]) -> Callable[[], str]:
        return lambda: probe(engine_namespace.reach(settings, config.namespace, kube)[0])

    pods = look(lambda where: engine_namespace.check_pods(settings, config.domain_id, where))
    probes = [Probe("engine namespace", pods, ENGINES_PATIENCE)]
    wanted = settings.pull_secrets
    if wanted:
        secrets = look(lambda where: engine_namespace.check_pull_secrets(settings, wanted, where))
        probes.append(Probe("pull secrets of engine pods", secrets, ENGINES_PATIENCE))
    service = settings.dns_service
    if service:
        lite = settings.lite.rpartition("/")[2]
        dns = partial(engine_namespace.check_dns, service, config.namespace, lite, kube)
        probes.append(Probe("names for engine pods", dns, ENGINES_PATIENCE))
    return probes


def _own_node(config: Check, api: KusciaAPI) -> str:
    # A lite forwards this request, so the response shows that it can reach its master (Kuscia facts 7.2).
    domain = api.call("domain/query", {"domain_id": config.domain_id})
    nodes = [node["name"] for node in domain.get("node_statuses") or [] if node["status"] == "Ready"]
    if not nodes:
        raise RetryableError(
            "node-not-ready",
            f"the master has no Ready node of domain {config.domain_id}",
            see=f"kubectl get pods -n {quoted(config.namespace)}",
        )
    return f"node {', '.join(nodes)} is Ready"


def _source(config: Check, kube: Kube, api: KusciaAPI, source: CheckedSource) -> str:
    """Compare the access keys that Kuscia has, which engines use, with those in the Secret."""
    secret = source.credentials_secret
    wanted = access_keys(kube, config.namespace, secret)
    oss = data_source(api, config.domain_id, source.id)["info"].get("oss") or {}
    if (oss.get("access_key_id"), oss.get("access_key_secret")) != wanted:
        raise RetryableError(
            "data-source-keys-outdated",
            f"the access keys differ from those in Secret {config.namespace}/{secret.name}",
            fix="run the data step again: set lite.jobs.runId to a new text, then upgrade the release",
        )
    return f"has the access keys of Secret {config.namespace}/{secret.name}"


def _result(api: KusciaAPI, config: Check, stores: Stores, result: str) -> str:
    try:
        return readable(api, config, stores, result)
    except Missing:
        return "not registered yet"


def _example_result(api: KusciaAPI, config: Check, stores: Stores) -> str:
    """Read the latest result of the example job, then delete results that are not kept."""
    found = results.listed(api, config.domain_id)
    latest = next((result for result in reversed(found) if result.state == results.LATEST), None)
    text = "none yet; helm test of the master creates one"
    if latest is not None:
        text = f"{readable(api, config, stores, latest.id)}, {latest.id} of KusciaJob {latest.job}"
    for result in found:
        if not result.keep:
            _remove(api, config.domain_id, stores, result)
    return text


def _remove(api: KusciaAPI, domain: str, stores: Stores, result: results.Result) -> None:
    source = data_source(api, domain, result.data_source)
    oss = source["info"].get("oss")
    if oss:
        stores.open(oss, result.data_source).delete(result.relative_uri)
    for name in (results.report_of(result.job), result.id):
        try:
            api.call("domaindata/delete", {"domain_id": domain, "domaindata_id": name})
        except Missing:
            logger.info("%s was already deleted", name)
    rest = "" if oss else f"; its file {result.relative_uri} is kept in the lite ({source['type']})"
    logger.info("deleted %s, a result of the example job%s", result.id, rest)
