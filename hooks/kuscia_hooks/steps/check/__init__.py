"""`check`: test the deployment as a user would. Prints one line for each check: PASS, or FAIL with cause and fix."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Check, CheckedEngines, CheckedSource, Database, ExampleJob
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.text import first_of
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.example_job import results, runner
from kuscia_hooks.kuscia import datastore, engine_namespace, gateway
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.database_server import TABLE
from kuscia_hooks.kuscia.routes import STATUS_BATCH
from kuscia_hooks.steps import Context, Outcome
from kuscia_hooks.steps.check.declared_table import data_source, readable
from kuscia_hooks.tables.s3 import Location, Store, access_keys

# Routes may need three minutes (Kuscia facts 6.4), a lite slightly more after a restart of its master (16.2).
PATIENCE = 240.0
# For conditions that do not clear without a change.
ENGINES_PATIENCE = 10.0
# An engine registers its result just before it ends.
RESULT_PATIENCE = 60.0


@dataclass
class Report:
    """The number of checks that passed and failed so far."""

    passed: int = 0
    failed: int = 0

    def run(self, name: str, probe: Callable[[], str], deadline: Deadline, patience: float = PATIENCE) -> bool:
        """Run one check, repeatedly while it may still pass, and return whether it passed.

        Args:
            probe: returns what it found; raises RetryableError to be called again.
            patience: seconds to repeat it.
        """
        try:
            found = until(name, probe, deadline.within(patience))
        except StepError as error:
            self.fail(name, error)
            return False
        self.passed += 1
        logger.info("PASS %s: %s", name, found)
        return True

    def fail(self, name: str, error: StepError | str) -> None:
        self.failed += 1
        logger.info("FAIL %s: %s", name, error)


def attempt(settings: Check, context: Context) -> Outcome:
    """Run all checks; the exit code is 1 if one failed."""
    report = run_checks(settings, context.kube, context.deadline)
    line = f"passed={report.passed} failed={report.failed} in {context.deadline.elapsed():.1f}s"
    return Outcome(line, exit_code=1 if report.failed else 0)


def run_checks(config: Check, kube: Kube, deadline: Deadline) -> Report:
    """Run all checks. A check whose precondition failed counts as failed."""
    report = Report()
    report.run("gateway", lambda: _gateway(config.gateway), deadline)
    try:
        with open_api(
            kube, config.namespace, config.key_secret, config.api, config.domain_id, deadline.within(PATIENCE)
        ) as api:
            report.passed += 1
            logger.info("PASS KusciaAPI: %s serves domain %s", config.api.endpoint, config.domain_id)
            if config.mode == "master":
                _master(config, kube, api, report, deadline)
            else:
                _lite(config, kube, api, report, deadline)
    except StepError as error:
        report.fail("KusciaAPI", error)
    return report


def _gateway(endpoint: str) -> str:
    gateway.probe(endpoint)
    return f"{endpoint} is a Kuscia gateway"


def _master(config: Check, kube: Kube, api: KusciaAPI, report: Report, deadline: Deadline) -> None:
    if isinstance(config.datastore, Database):
        store = config.datastore
        report.run("datastore", lambda: _datastore(config, kube, store), deadline)
    ready = True
    if config.domains:
        ready = report.run("nodes", lambda: _nodes(api, config.domains), deadline)
    if config.routes:
        ready = report.run("routes", lambda: _routes(api, config.routes), deadline) and ready
    example = config.example_job
    if example is None:
        return
    if not ready:
        report.fail("example job", "not submitted because nodes or routes are not ready")
        return
    if not report.run("tables of the example job", lambda: _job_tables(api, example), deadline):
        return
    try:
        found = runner.run(api, example, deadline)
    except StepError as error:
        report.fail("example job", error)
        return
    report.passed += 1
    logger.info("PASS example job: %s", found)
    for party in example.parties:
        domain = party.domain
        report.run(
            f"result in {domain}",
            partial(_registered, api, domain, found.output),
            deadline,
            RESULT_PATIENCE,
        )


def _datastore(config: Check, kube: Kube, store: Database) -> str:
    rows = datastore.count_rows(store, datastore.read_password(store, config.namespace, kube))
    if not rows:
        raise RetryableError("datastore-empty", f"table {TABLE} of database {store.host}/{store.database} has no rows")
    return f"{store.type} {store.host}/{store.database} has {rows} rows in table {TABLE}"


def _nodes(api: KusciaAPI, domains: list[str]) -> str:
    answer = api.call("domain/batchQuery", {"domain_ids": domains})
    states = {
        domain["domain_id"]: [node["status"] for node in domain.get("node_statuses") or []]
        for domain in answer["domains"]
    }
    missing = [
        f"{domain} {'/'.join(states.get(domain) or ['not registered'])}"
        for domain in domains
        if "Ready" not in states.get(domain, [])
    ]
    if missing:
        raise RetryableError(
            "node-not-ready",
            f"not Ready: {', '.join(missing)}",
            see="kubectl kuscia doctor -n <namespace of the lite>",
        )
    return f"Ready: {', '.join(domains)}"


def _routes(api: KusciaAPI, routes: list[tuple[str, str]]) -> str:
    pending = []
    for begin in range(0, len(routes), STATUS_BATCH):
        part = routes[begin : begin + STATUS_BATCH]
        keys = [{"source": source, "destination": destination} for source, destination in part]
        for route in api.call("route/status/batchQuery", {"route_keys": keys})["routes"]:
            if route["status"]["status"] != "Succeeded":
                pending.append(f"{route['name']} ({route['status']['reason'] or 'no handshake yet'})")
    if pending:
        see = "kubectl kuscia doctor -n <namespace of the master>"
        raise RetryableError(
            "route-not-ready", f"{len(pending)} of {len(routes)} not READY: {first_of(pending)}", see=see
        )
    return f"{len(routes)} READY: {first_of([f'{source}-{destination}' for source, destination in routes])}"


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


def _lite(config: Check, kube: Kube, api: KusciaAPI, report: Report, deadline: Deadline) -> None:
    if config.master is not None:
        endpoint = config.master.endpoint
        report.run("gateway of the master", lambda: _gateway(endpoint), deadline)
    report.run("registration at the master", lambda: _own_node(api, config.domain_id), deadline)
    if config.engines is not None:
        _engines(config, config.engines, kube, report, deadline)
    source = config.source
    if source is not None:
        report.run(f"data source {source.id}", lambda: _source(config, kube, api, source), deadline)
    for table in config.tables:
        report.run(f"table {table}", partial(readable, api, config, table), deadline)
    for result in config.results:
        report.run(f"result {result}", partial(_result, api, config, result), deadline)
    report.run("result of the example job", lambda: _example_result(api, config), deadline, RESULT_PATIENCE)


def _engines(config: Check, settings: CheckedEngines, kube: Kube, report: Report, deadline: Deadline) -> None:
    def look(probe: Callable[[Kube], str]) -> Callable[[], str]:
        return lambda: probe(engine_namespace.reach(settings, config.namespace, kube)[0])

    pods = look(lambda where: engine_namespace.check_pods(settings, config.domain_id, where))
    report.run("engine namespace", pods, deadline, ENGINES_PATIENCE)
    wanted = settings.pull_secrets
    if wanted:
        secrets = look(lambda where: engine_namespace.check_pull_secrets(settings, wanted, where))
        report.run("pull secrets of engine pods", secrets, deadline, ENGINES_PATIENCE)
    service = settings.dns_service
    if service:
        lite = settings.lite.rpartition("/")[2]
        dns = partial(engine_namespace.check_dns, service, config.namespace, lite, kube)
        report.run("names for engine pods", dns, deadline, ENGINES_PATIENCE)


def _own_node(api: KusciaAPI, domain_id: str) -> str:
    # A lite forwards this request, so the response shows that it can reach its master (Kuscia facts 7.2).
    domain = api.call("domain/query", {"domain_id": domain_id})
    nodes = [node["name"] for node in domain.get("node_statuses") or [] if node["status"] == "Ready"]
    if not nodes:
        raise RetryableError(
            "node-not-ready", f"the master has no Ready node of domain {domain_id}", see="kubectl get pods"
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
            fix="run the data step again: helm upgrade <release> <chart> --reuse-values --set-string "
            "lite.jobs.runId=$(date +%s)",
        )
    return f"has the access keys of Secret {config.namespace}/{secret.name}"


def _result(api: KusciaAPI, config: Check, result: str) -> str:
    try:
        return readable(api, config, result)
    except Missing:
        return "not registered yet"


def _example_result(api: KusciaAPI, config: Check) -> str:
    """Read the latest result of the example job, then delete results that are not kept."""
    found = results.listed(api, config.domain_id)
    latest = next((result for result in reversed(found) if result.state == results.LATEST), None)
    found_text = "none yet; helm test of the master creates one" if latest is None else _of_job(api, config, latest)
    for result in found:
        if not result.keep:
            _remove(api, config.domain_id, result)
    return found_text


def _of_job(api: KusciaAPI, config: Check, result: results.Result) -> str:
    return f"{readable(api, config, result.id)}, {result.id} of KusciaJob {result.job}"


def _remove(api: KusciaAPI, domain: str, result: results.Result) -> None:
    source = data_source(api, domain, result.data_source)
    oss = source["info"].get("oss")
    if oss:
        Store(Location.of_info(oss, f"data source {result.data_source}")).delete(result.relative_uri)
    for name in (results.report_of(result.job), result.id):
        try:
            api.call("domaindata/delete", {"domain_id": domain, "domaindata_id": name})
        except Missing:
            logger.info("%s was already deleted", name)
    rest = "" if oss else f"; its file {result.relative_uri} is kept in the lite ({source['type']})"
    logger.info("deleted %s, a result of the example job%s", result.id, rest)
