"""`check`: is the deployment what a user expects? One line for each check, PASS or FAIL with cause and next
command.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Check, CheckedEngines, CheckedSource, Database, ExampleJob
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.example_job import results, runner
from kuscia_hooks.kuscia import datastore, engine_namespace, gateway
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.database_server import TABLE
from kuscia_hooks.kuscia.routes import STATUS_BATCH
from kuscia_hooks.steps.check.declared_table import data_source, readable
from kuscia_hooks.tables.s3 import Location, Store

# Routes may take three minutes (Kuscia facts 6.4), a lite after its master's restart a little more (16.2).
PATIENCE = 240.0
# What does not come right by itself.
ENGINES_PATIENCE = 10.0
# A job's result is registered by the engine just before it ends.
RESULT_PATIENCE = 60.0


@dataclass
class Report:
    """The lines so far."""

    passed: int = 0
    failed: int = 0

    def run(self, name: str, probe: Callable[[], str], deadline: Deadline, patience: float = PATIENCE) -> bool:
        """Make one check, waiting for what may still converge.

        Args:
            probe: returns what was found; raises RetryableError to be asked again.
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


def attempt(config: Check, kube: Kube, deadline: Deadline) -> Report:
    """Make all checks.

    They do not stop at the first that fails; one that cannot be made for lack of another fails too.
    """
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
    return f"{endpoint} answers 401 as a Kuscia gateway does"


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
        report.fail("example job", "not submitted, since nodes and routes are not ready")
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
        raise RetryableError("unclassified-retryable", f"table {TABLE} of {store.host}/{store.database} has no rows")
    return f"{store.type} {store.host}/{store.database} holds {rows} rows in table {TABLE}"


def _nodes(api: KusciaAPI, domains: list[str]) -> str:
    answer = api.call("domain/batchQuery", {"domain_ids": domains})
    states = {
        domain["domain_id"]: [node["status"] for node in domain.get("node_statuses") or []]
        for domain in answer["domains"]
    }
    lacking = [
        f"{domain} {'/'.join(states.get(domain) or ['has never registered'])}"
        for domain in domains
        if "Ready" not in states.get(domain, [])
    ]
    if lacking:
        raise RetryableError(
            "unclassified-retryable",
            f"not Ready: {', '.join(lacking)}",
            see="kubectl kuscia doctor -n <the lite's namespace> (docs/operations.md)",
        )
    return f"Ready: {', '.join(domains)}"


def _routes(api: KusciaAPI, routes: list[tuple[str, str]]) -> str:
    lacking = []
    for begin in range(0, len(routes), STATUS_BATCH):
        part = routes[begin : begin + STATUS_BATCH]
        keys = [{"source": source, "destination": destination} for source, destination in part]
        for route in api.call("route/status/batchQuery", {"route_keys": keys})["routes"]:
            if route["status"]["status"] != "Succeeded":
                lacking.append(f"{route['name']} ({route['status']['reason'] or 'no handshake yet'})")
    if lacking:
        shown = ", ".join(lacking[:10]) + (f" and {len(lacking) - 10} more" if len(lacking) > 10 else "")
        show = "kubectl kuscia doctor -n <the master's namespace> (docs/operations.md)"
        raise RetryableError("unclassified-retryable", f"{len(lacking)} of {len(routes)} not READY: {shown}", see=show)
    shown = ", ".join(f"{source}-{destination}" for source, destination in routes[:10])
    return f"{len(routes)} READY: {shown}{' …' if len(routes) > 10 else ''}"


def _job_tables(api: KusciaAPI, example: ExampleJob) -> str:
    for party in example.parties:
        try:
            wanted = {"domain_id": party.domain, "domaindata_id": party.table}
            source = api.call("domaindata/query", {"data": wanted})["datasource_id"]
        except Missing as error:
            raise RetryableError(
                "unclassified-retryable",
                f"{party.domain} has not declared table {party.table}",
                see="kubectl logs -l app.kubernetes.io/component=data -n <the lite's namespace>",
            ) from error
        if source != example.data_source:
            # SecretFlow takes a party's tables from the one data source that the job names.
            raise PermanentError(
                "unclassified",
                f"{party.domain}'s table {party.table} lies in data source {source}, and the job reads "
                f"{example.data_source}: set master.exampleJob.dataSource to that of all its tables",
            )
        for other in example.parties:
            if other.domain != party.domain:
                _granted(api, party.domain, party.table, other.domain)
    return ", ".join(f"{party.domain}/{party.table}" for party in example.parties) + ", granted to each other"


def _granted(api: KusciaAPI, domain: str, table: str, other: str) -> None:
    try:
        # The controller copies a granted table into the grantee's domain (Kuscia facts 7.4).
        api.call("domaindata/query", {"data": {"domain_id": other, "domaindata_id": table}})
    except Missing as error:
        raise RetryableError(
            "unclassified-retryable",
            f"{domain} has not granted {table} to {other}",
            see="kubectl logs -l app.kubernetes.io/component=data -n <the lite's namespace>",
        ) from error


def _registered(api: KusciaAPI, domain: str, output: str) -> str:
    try:
        data = api.call("domaindata/query", {"data": {"domain_id": domain, "domaindata_id": output}})
    except Missing as error:
        raise RetryableError("unclassified-retryable", f"{output} is not registered in {domain}") from error
    if data["type"] != "table":
        raise PermanentError("unclassified", f"{output} is registered in {domain} as a {data['type']}, not as a table")
    return f"{output} is registered ({data['relative_uri']}, {len(data.get('columns') or [])} columns)"


def _lite(config: Check, kube: Kube, api: KusciaAPI, report: Report, deadline: Deadline) -> None:
    if config.master is not None:
        endpoint = config.master.endpoint
        report.run("master's gateway", lambda: _gateway(endpoint), deadline)
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
    # A lite asks its master, so this shows that it reaches it (Kuscia facts 7.2).
    domain = api.call("domain/query", {"domain_id": domain_id})
    nodes = [node["name"] for node in domain.get("node_statuses") or [] if node["status"] == "Ready"]
    if not nodes:
        raise RetryableError(
            "unclassified-retryable", f"the master sees no Ready node of {domain_id}", see="kubectl get pods"
        )
    return f"node {', '.join(nodes)} is Ready"


def _source(config: Check, kube: Kube, api: KusciaAPI, source: CheckedSource) -> str:
    """Kuscia's copy of the keys against the Secret: engines use the copy."""
    secret = source.credentials_secret
    names = secret.access_key_id_key, secret.access_key_secret_key
    wanted = [kube.secret_text(config.namespace, secret.name, name, public=names[:1]).strip() for name in names]
    oss = data_source(api, config.domain_id, source.id)["info"].get("oss") or {}
    if [oss.get("access_key_id"), oss.get("access_key_secret")] != wanted:
        raise RetryableError(
            "unclassified-retryable",
            f"it holds other keys than Secret {config.namespace}/{secret.name}; the data step updates it",
            see="helm upgrade … --reuse-values --set-string lite.jobs.runId=$(date +%s)",
        )
    return f"holds the keys of Secret {config.namespace}/{secret.name}"


def _result(api: KusciaAPI, config: Check, result: str) -> str:
    try:
        return readable(api, config, result)
    except Missing:
        return "not there yet"


def _example_result(api: KusciaAPI, config: Check) -> str:
    """Read the newest result of the example job, then remove what need not be kept."""
    found = results.listed(api, config.domain_id)
    latest = next((result for result in reversed(found) if result.state == results.LATEST), None)
    said = "none; the master's helm test makes one" if latest is None else _of_job(api, config, latest)
    for result in found:
        if not result.keep:
            _remove(api, config.domain_id, result)
    return said


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
            logger.info("%s is gone already", name)
    rest = "" if oss else f"; its file {result.relative_uri} stays in the lite ({source['type']})"
    logger.info("removed %s, a result of the example job that is not kept%s", result.id, rest)
