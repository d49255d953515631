"""The ways to install the chart that the general tests cover."""

import pytest

from tests.chart.render import Scenario, with_values

_S3 = {
    "id": "src",
    "type": "oss",
    "endpoint": "https://s3.example.com",
    "bucket": "b",
    "credentialsSecret": {"name": "s"},
}
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
_MASTER = {"endpoint": "https://master.example.com:1080"}
_MONITOR = {
    "enabled": True,
    "labels": {"release": "prometheus"},
    "annotations": {"a": "b"},
    "interval": "1m30s",
    "scrapeTimeout": "10s",
    "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "go_.*", "action": "drop"}],
}
_MONITORED = {
    "metrics": {"podMonitor": _MONITOR},
    "pdb": {"enabled": True},
    "service": {"grpc": {"enabled": True}},
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
}
# The files of a lite whose tables are in an object store.
ALICE_TABLES = ("alice", "object-store", "alice-tables")
BOB_TABLES = ("bob", "object-store", "bob-tables")
REGISTRY = {"global": {"kuscia": {"imageRegistry": "registry.example.com/mirror", "imagePullSecrets": ["registry"]}}}

PRESETS = (
    Scenario("default"),
    Scenario("master", ("master",), namespace="kuscia-master"),
    Scenario("alice", ("alice",), namespace="lite-alice"),
    Scenario("bob", ("bob",), namespace="lite-bob"),
    Scenario("alice-site", ("site", "alice"), namespace="lite-alice"),
    Scenario("alice-tables", ALICE_TABLES, namespace="lite-alice"),
    Scenario("bob-tables", BOB_TABLES, namespace="lite-bob"),
    Scenario("alice-runp", ("alice", "alice-tables", "runp"), namespace="lite-alice"),
    Scenario("bob-runp", ("bob", "bob-tables", "runp"), namespace="lite-bob"),
    Scenario("bob-runp-rootless", ("bob", "bob-tables", "runp", "rootless"), namespace="lite-bob"),
    Scenario("alice-runc", ("alice", "alice-tables", "alice-runc"), namespace="lite-alice"),
    Scenario("master-mysql", ("master", "master-mysql"), namespace="kuscia-master"),
    Scenario("master-postgres", ("master", "master-postgres"), namespace="kuscia-master"),
    Scenario("master-rootless", ("master", "rootless"), namespace="kuscia-master"),
    Scenario("alice-rootless", ("alice", "rootless"), namespace="lite-alice"),
    Scenario("master-notls", ("master", "notls"), namespace="kuscia-master"),
    Scenario("alice-notls", ("alice", "notls"), namespace="lite-alice"),
    Scenario("master-mtls", ("master", "mtls"), namespace="kuscia-master"),
    Scenario("alice-mtls", ("alice", "mtls"), namespace="lite-alice"),
    Scenario("master-protocol-default", ("master", "protocol-default"), namespace="kuscia-master"),
    Scenario("alice-protocol-default", ("alice", "protocol-default"), namespace="lite-alice"),
    Scenario("master-by-certificate", ("master", "by-certificate"), namespace="kuscia-master"),
    Scenario("alice-by-certificate", ("alice", "by-certificate"), namespace="lite-alice"),
    Scenario("alice-own-token", ("alice", "alice-own-token"), namespace="lite-alice"),
    Scenario("alice-engines-apart", ("alice", "alice-engines-apart"), namespace="lite-alice"),
    Scenario("alice-engine-pods", ("alice", "alice-engine-pods"), namespace="lite-alice"),
    Scenario("alice-kubeconfig", ("alice", "alice-kubeconfig"), namespace="lite-alice"),
    Scenario("master-and-alice", ("master-and-alice",), namespace="kuscia"),
    Scenario("master-partner-nodeport", ("master", "partner", "nodeport"), namespace="kuscia-master"),
    Scenario("master-loadbalancer", ("master", "loadbalancer"), namespace="kuscia-master"),
    Scenario("master-ingress-nginx", ("master", "ingress-nginx"), namespace="kuscia-master"),
    Scenario("alice-ingress-nginx", ("alice", "ingress-nginx"), namespace="lite-alice"),
    Scenario("bob-partner-nodeport", ("bob", "partner", "nodeport"), namespace="lite-bob"),
    Scenario("master-extra-config", ("master", "extra-config"), namespace="kuscia-master"),
    Scenario("alice-extra-config", ("alice", "extra-config"), namespace="lite-alice"),
    Scenario("master-gateway-certificate", ("master", "gateway-certificate"), namespace="kuscia-master"),
    Scenario("master-route-options", ("master", "route-options"), namespace="kuscia-master"),
    Scenario("master-no-hooks", ("master", "no-hooks"), namespace="kuscia-master"),
    Scenario("alice-no-hooks", ("alice", "no-hooks"), namespace="lite-alice"),
)

VARIANTS = (
    with_values("notls", {"master": {"protocol": "NOTLS", "networkPolicy": {"enabled": False}}}, "master"),
    with_values("mtls", {"master": {"protocol": "mtls"}}, "master"),
    with_values("protocol-absent", {"master": {"protocol": None}, "lite": {"protocol": None}}, "master-and-alice"),
    with_values(
        "steps-as-jobs",
        {"master": {"jobs": {"keys": {"hook": False}, "routes": {"hook": False}}}},
        "master",
    ),
    with_values(
        "steps-as-hooks",
        {"master": {"enabled": False}, "lite": {"jobs": {"data": {"hook": True}, "keys": {"hook": False}}}},
        *ALICE_TABLES,
    ),
    with_values(
        "example-job",
        {"master": {"exampleJob": {"enabled": True}, "routes": [{"source": "alice", "destination": "bob"}]}},
        "master",
    ),
    with_values(
        "exposed",
        {
            "master": {
                "service": {"external": {"enabled": True, "type": "NodePort", "nodePort": 31080}},
                "ingress": {
                    "enabled": True,
                    "className": "nginx",
                    "host": "kuscia.example.com",
                    "path": "/kuscia",
                },
                "networkPolicy": {"metricsFrom": [{"podSelector": {}}], "apiFrom": [{"podSelector": {}}]},
            }
        },
        "master",
    ),
    with_values(
        "site",
        {
            "global": {
                "kuscia": {
                    "caBundle": {"secret": "site-ca"},
                    "proxy": {"httpsProxy": "http://proxy.example.com:3128", "noProxy": "10.0.0.0/8,.example.com"},
                }
            }
        },
        "master-and-alice",
    ),
    with_values("monitored", dict.fromkeys(("master", "lite"), _MONITORED), "master-and-alice"),
    with_values(
        "service-monitor",
        {
            "master": {
                "metrics": {"serviceMonitor": {**_MONITOR, "relabelings": [{"action": "labeldrop", "regex": "pod"}]}},
                "pdb": {"enabled": True, "maxUnavailable": "50%"},
            }
        },
        "master",
    ),
    with_values(
        "certificates",
        {
            "master": {
                "domains": {
                    "alice": {"cert": _CERTIFICATE},
                    "bob": {"cert": _CERTIFICATE, "reader": {"namespace": "b"}},
                }
            }
        },
    ),
    with_values("ingress-for-any-host", {"master": {"ingress": {"enabled": True, "path": "/kuscia"}}}, "master"),
    with_values(
        "runk-apart",
        {
            "master": {"enabled": False},
            "lite": {
                "enabled": True,
                "domainId": "alice",
                "master": {**_MASTER, "tokenSecret": "mine"},
                "runk": {"namespace": "engines", "enableLogging": True, "dnsServers": ["10.96.0.10"]},
                "key": {"existingSecret": "my-key", "existingSecretKey": "key.pem"},
            },
        },
    ),
    with_values(
        "runc",
        {
            "master": {"enabled": False},
            "lite": {
                "enabled": True,
                "domainId": "alice",
                "master": _MASTER,
                "runtime": "runc",
                "runc": {"privileged": True},
            },
        },
    ),
    with_values(
        "kubeconfig",
        {
            "master": {"enabled": False},
            "lite": {
                "enabled": True,
                "domainId": "alice",
                "master": _MASTER,
                "runk": {"kubeconfigSecret": "kc"},
                "data": {
                    "source": _S3,
                    "tables": [{"id": "t", "relativeUri": "t.csv", "columns": [{"name": "a", "type": "str"}]}],
                },
            },
        },
    ),
    with_values("master-registry", REGISTRY, "master"),
    with_values("alice-registry", REGISTRY, *ALICE_TABLES),
    with_values("ca-bundle", {"lite": {"master": {"caBundle": {"configMap": "gateway-ca"}}}}, "alice"),
    with_values("ca-secret", {"lite": {"master": {"caBundle": {"secret": "gateway-ca", "key": "tls.crt"}}}}, "alice"),
    with_values("long-name", {}, "alice", release="a-rather-long-release-name-of-fifty-three-characters"),
    with_values("long-name-of-a-master", {}, "master", release="a-rather-long-release-name-of-fifty-three-characters"),
    with_values(
        "long-domain",
        {"lite": {"domainId": "a" + "-123456789" * 6 + "-b", "data": {"tables": [], "grants": []}}},
        "alice",
    ),
)

ALL = PRESETS + VARIANTS

# Tests that render every scenario once more do so for these in `make unit`, and for the others in `make exhaustive`.
SAMPLE = tuple(one for one in ALL if one.name in ("master-and-alice", "alice-tables", "exposed", "monitored"))
AGAIN = [
    pytest.param(scenario, id=scenario.name, marks=[] if scenario in SAMPLE else [pytest.mark.exhaustive])
    for scenario in ALL
]
