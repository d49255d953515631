"""Prometheus scrapes master and lites through a PodMonitor, a ServiceMonitor and the example without the operator."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.servers.prometheus import Prometheus, discovered, scrape_job, targets
from tests.chart import operator_schemas
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually
from tests.monitoring.examples import EXAMPLES, RULES, alerts, dashboard_queries

pytestmark = [pytest.mark.cluster, pytest.mark.long]

NAMESPACE = "v-monitoring-prometheus"
ADMITTED = {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}]}
VALUES = {"networkPolicy": ADMITTED}
MONITOR = {"enabled": True, "interval": "1s", "relabelings": [{"targetLabel": "team", "replacement": "a"}]}
DOMAINS = {"master": "kuscia-system", "alice": "alice", "bob": "bob"}


@pytest.fixture(scope="module")
def parties(demo: Demo, images: Path) -> Iterator[Variant]:
    """Master with a PodMonitor, alice with a ServiceMonitor, bob without monitor."""
    assert demo.local is not None, "the test deletes the operator's definitions, and needs enforced NetworkPolicies"
    kubectl = demo.kubectl
    definitions = [operator_schemas.custom_resource(kind) for kind in ("PodMonitor", "ServiceMonitor")]
    names = [definition["metadata"]["name"] for definition in definitions]
    try:
        with variant(demo, images, "monitoring", parties=tuple(DOMAINS)) as made:
            kubectl.run("delete", "crd", *names, "--ignore-not-found")
            values = {"master": {**VALUES, "metrics": {"podMonitor": MONITOR}}}
            with pytest.raises(CommandError, match='no matches for kind "PodMonitor"'):
                made.install("master", values=values)
            kubectl.apply("\n---\n".join(map(json.dumps, definitions)))
            kubectl.run("wait", "crd", *names, "--for=condition=Established", "--timeout=60s")
            made.install("master", values=values)
            made.install("alice", values={"lite": {**VALUES, "metrics": {"serviceMonitor": MONITOR}}})
            made.install("bob", values={"lite": VALUES})
            yield made
    finally:
        # Last, because Helm cannot uninstall a release with objects of an unknown kind.
        kubectl.run("delete", "crd", *names, "--ignore-not-found")


@pytest.fixture(scope="module")
def image(demo: Demo) -> str:
    return demo.bring(["prometheus"])["prometheus"]


@contextmanager
def running(parties: Variant, namespace: str, image: str) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the three parties."""
    kubectl = parties.kubectl
    monitors = [
        *kubectl.get("podmonitors", "-n", parties.namespace("master"))["items"],
        *kubectl.get("servicemonitors", "-n", parties.namespace("alice"))["items"],
    ]
    assert len(monitors) == 2
    jobs = [scrape_job(monitor, targets(kubectl, monitor)) for monitor in monitors]
    (example,) = yaml.safe_load((EXAMPLES / "scrape.yaml").read_text())["scrape_configs"]
    jobs.append(discovered(example, kubectl.get("pods", "-n", parties.namespace("bob"))["items"]))
    made = Prometheus(kubectl, namespace, image)
    made.remove()
    try:
        made.start(jobs, RULES.read_text())
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def prometheus(parties: Variant, image: str) -> Iterator[Prometheus]:
    with running(parties, NAMESPACE, image) as made:
        yield made


def wait_for_up(prometheus: Prometheus, parties: Variant, value: float) -> None:
    """Wait until `up` of every domain has a value."""
    wanted = {(domain, parties.namespace(party)): value for party, domain in DOMAINS.items()}

    def found() -> bool:
        samples = prometheus.query('up{job="kuscia"}')
        return {(labels["kuscia_chart_domain"], labels["namespace"]): number for labels, number in samples} == wanted

    eventually(found, 60, f"up of all domains is {value:.0f}")


def test_scrapes_every_domain(prometheus: Prometheus, parties: Variant) -> None:
    wait_for_up(prometheus, parties, 1)


def test_network_policy_rejects_other_clients(parties: Variant, image: str) -> None:
    with running(parties, f"{NAMESPACE}-other", image) as other:
        wait_for_up(other, parties, 0)


def test_samples_have_the_labels_of_the_target(prometheus: Prometheus, parties: Variant) -> None:
    samples = {labels["kuscia_chart_domain"]: labels for labels, _ in prometheus.query("node_load1 >= 0")}
    assert samples.keys() == set(DOMAINS.values())
    assert samples["alice"]["pod"] == parties.pod("alice")["metadata"]["name"]
    assert (samples["kuscia-system"]["team"], samples["alice"]["team"]) == ("a", "a")
    assert "team" not in samples["bob"]


def test_evaluates_the_alert_rules(prometheus: Prometheus) -> None:
    def evaluated() -> bool:
        (group,) = prometheus.call("rules")["groups"]
        return {rule["name"] for rule in group["rules"] if rule["health"] == "ok"} == set(alerts())

    eventually(evaluated, 60, "evaluation of the alert rules")
    firing = [labels["alertname"] for labels, _ in prometheus.query('ALERTS{alertstate="firing"}')]
    assert firing == []


@pytest.mark.parametrize("query", dashboard_queries())
def test_answers_the_queries_of_the_dashboard(prometheus: Prometheus, query: str) -> None:
    assert prometheus.call("query", query=query)["resultType"] == "vector"
