"""testbed/servers/prometheus.py writes the scrape jobs that the Prometheus Operator generates."""

from typing import Any

import pytest

from testbed.servers.prometheus import Target, discovered, scrape_job

POD = {
    "metadata": {
        "namespace": "lite-alice",
        "name": "kuscia-lite-alice-1",
        "labels": {"app.kubernetes.io/name": "kuscia", "kuscia-chart/domain": "alice"},
    },
    "spec": {"containers": [{"name": "lite", "ports": [{"name": "metrics", "containerPort": 9091}]}]},
    "status": {"podIP": "10.0.0.7"},
}
SERVICE = {"metadata": {"labels": {"app.kubernetes.io/name": "service"}}}


def monitor(kind: str, field: str, **endpoint: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"namespace": "lite-alice", "name": "kuscia-lite-alice"},
        "spec": {
            "selector": {"matchLabels": {}},
            "jobLabel": "app.kubernetes.io/name",
            "podTargetLabels": ["kuscia-chart/domain"],
            field: [{"port": "metrics", "path": "/metrics", **endpoint}],
        },
    }


def test_labels_targets_of_a_pod_monitor() -> None:
    job = scrape_job(monitor("PodMonitor", "podMetricsEndpoints"), [Target("10.0.0.7:9091", POD, POD)])
    assert job["job_name"] == "PodMonitor/lite-alice/kuscia-lite-alice"
    assert job["metrics_path"] == "/metrics"
    labels = {"namespace": "lite-alice", "pod": "kuscia-lite-alice-1", "job": "kuscia", "kuscia_chart_domain": "alice"}
    assert job["static_configs"] == [{"targets": ["10.0.0.7:9091"], "labels": labels}]


def test_takes_the_job_of_a_service_monitor_from_the_service() -> None:
    job = scrape_job(monitor("ServiceMonitor", "endpoints"), [Target("10.0.0.7:9091", POD, SERVICE)])
    assert job["static_configs"][0]["labels"]["job"] == "service"


def test_translates_options() -> None:
    options = {
        "interval": "5s",
        "scrapeTimeout": "2s",
        "relabelings": [{"action": "replace", "targetLabel": "team", "replacement": "a"}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "go_.*"}],
    }
    job = scrape_job(monitor("PodMonitor", "podMetricsEndpoints", **options), [])
    assert (job["scrape_interval"], job["scrape_timeout"]) == ("5s", "2s")
    assert job["relabel_configs"] == [{"action": "replace", "target_label": "team", "replacement": "a"}]
    assert job["metric_relabel_configs"] == [{"action": "drop", "source_labels": ["__name__"], "regex": "go_.*"}]


def test_rejects_unsupported_fields() -> None:
    with pytest.raises(ValueError, match="honorLabels"):
        scrape_job(monitor("PodMonitor", "podMetricsEndpoints", honorLabels=True), [])
    limited = monitor("PodMonitor", "podMetricsEndpoints")
    limited["spec"]["sampleLimit"] = 1
    with pytest.raises(ValueError, match="sampleLimit"):
        scrape_job(limited, [])


def test_discovers_ports_of_pods() -> None:
    job = discovered({"job_name": "kuscia", "kubernetes_sd_configs": [{"role": "pod"}]}, [POD])
    labels = {
        "__meta_kubernetes_namespace": "lite-alice",
        "__meta_kubernetes_pod_name": "kuscia-lite-alice-1",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "kuscia",
        "__meta_kubernetes_pod_label_kuscia_chart_domain": "alice",
        "__meta_kubernetes_pod_container_port_name": "metrics",
    }
    assert job == {"job_name": "kuscia", "static_configs": [{"targets": ["10.0.0.7:9091"], "labels": labels}]}
