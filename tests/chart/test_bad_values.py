"""Validation: each invalid value is reported with the ID of its rule, its path and the value."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.core.config import hosts
from schema.rules import rules
from tests.chart.error_ids import ChartError, chart_error_ids, chart_warning_ids, parse_errors
from tests.chart.render import CHART, Object, RenderError, Scenario, find, parse, render, template_once, with_values
from tests.chart.validation import messages

LITE: Object = {
    "enabled": True,
    "domainId": "alice",
    "master": {"endpoint": "https://master.example.com:1080"},
}
SOURCE = {
    "id": "src",
    "type": "oss",
    "endpoint": "https://s3.example.com",
    "bucket": "b",
    "credentialsSecret": {"name": "s"},
}
TABLE = {"id": "t", "relativeUri": "t.csv", "columns": [{"name": "a", "type": "str"}]}
LOCAL = {"id": "default-data-source", "type": "localfs", "path": "/home/kuscia/var/storage/data"}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
URL = "https://files.example.com/a.csv"
MYSQL = {
    "type": "mysql",
    "host": "db.example.com",
    "database": "kuscia",
    "user": "kuscia",
    "existingSecret": "db",
}
OWN_MASTER = "https://kuscia-master.ns.svc.cluster.local:1080"
TWO = {"alice": {"endpoint": "https://a.example.com"}, "bob": {"endpoint": "https://b.example.com"}}


def _domains(*ids: str) -> Object:
    return {domain_id: {"endpoint": f"https://{domain_id}.example.com:1080"} for domain_id in ids}


def _master(**values: Any) -> Object:
    return {"master": values}


def _global(values: Object, **settings: Any) -> Object:
    return {**values, "global": {"kuscia": settings}}


def _together(lite: Object | None = None, **master: Any) -> Object:
    """Return a release with a master and the lite alice."""
    own = {"enabled": True, "domainId": "alice", **(lite or {})}
    return {"master": {"domains": {"alice": {"sameRelease": True}}, **master}, "lite": own}


def _proxy(**values: Any) -> Object:
    return _global({}, proxy=values)


def _lite(**values: Any) -> Object:
    return {"master": {"enabled": False}, "lite": {**LITE, **values}}


def _data(**values: Any) -> Object:
    return _lite(data={"source": SOURCE, "tables": [TABLE], **values})


def _table(**values: Any) -> Object:
    return _data(tables=[{**TABLE, **values}])


def _runp(**values: Any) -> Object:
    return _lite(runtime="runp", data={"tables": [TABLE], **values})


def _route(**values: Any) -> Object:
    return _master(domains=TWO, routes=[values])


ALICE_TO_CAROL = {"source": "alice", "destination": "carol"}
CAROL_TO_BOB = {"source": "carol", "destination": "bob"}


def _over_carol(*legs: Object) -> Object:
    domains = {**TWO, "carol": {"endpoint": "https://c.example.com"}}
    return _master(domains=domains, routes=[{"source": "alice", "destination": "bob", "transit": "carol"}, *legs])


def _engine(**values: Any) -> Object:
    good = {"image": {"name": "a/b", "tag": "1"}, "deployTemplates": [{"name": "x", "containers": [{"name": "c"}]}]}
    return _master(appImages={"mine": {**good, **values}})


def _container(**values: Any) -> Object:
    return _engine(deployTemplates=[{"name": "x", "containers": [{"name": "c", **values}]}])


def _needing(**resources: Any) -> Object:
    """Return AppImages whose engine has these resources."""
    images: Object = _container(resources=resources)["master"]["appImages"]
    return images


def _pod(*resources: Object) -> Object:
    """Return AppImages whose engine pod has a container with each of these resources."""
    containers = [{"name": f"c{number}", "resources": item} for number, item in enumerate(resources)]
    images: Object = _engine(deployTemplates=[{"name": "x", "containers": containers}])["master"]["appImages"]
    return images


NO_ESCALATION = {"allowPrivilegeEscalation": False}
PROPAGATED = {
    "extraVolumes": [{"name": "x", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "x", "mountPath": "/x", "mountPropagation": "Bidirectional"}],
}
NODE_PORT = {"enabled": True, "type": "NodePort", "nodePort": 31080}


TEMPLATE = "master.appImages.mine.deployTemplates[0]"


ENDPOINT = "master.domains.alice.endpoint"


SHORT = "host-not-fully-qualified"


def _endpoint(value: Any) -> Object:
    return _master(domains={"alice": {"endpoint": value}})


NGINX = "nginx.ingress.kubernetes.io/"


def _ingress(**values: Any) -> Object:
    return _master(ingress={"enabled": True, "host": "kuscia.example.com", **values})


# (values, path, value as printed, ID)
OURS: list[tuple[Object, str, str, str]] = [
    ({"master": None}, "master", "null", "not-a-mapping"),
    ({"lite": None}, "lite", "null", "not-a-mapping"),
    ({"mastre": {}}, "mastre", "mastre", "unknown-key"),
    (_global({}, registry="x"), "global.kuscia.registry", "registry", "unknown-key"),
    (_master(domains={"alice": {"endpiont": "x"}}), "master.domains.alice.endpiont", "endpiont", "unknown-key"),
    # Also in a component that is not enabled.
    ({"lite": {"enabel": True}}, "lite.enabel", "enabel", "unknown-key"),
    ({"lite": {"data": {"table": []}}}, "lite.data.table", "table", "unknown-key"),
    (_master(jobs={"data": {}}), "master.jobs.data", "data", "unknown-key"),
    (_master(persistence={"accessModes": []}), "master.persistence.accessModes", "[]", "missing-value"),
    (
        _global({}, caBundle={"configMap": "a", "secret": "b"}),
        "global.kuscia.caBundle.secret",
        '"b"',
        "conflicting-values",
    ),
    (
        _lite(master={**LITE["master"], "caBundle": {"configMap": "a", "secret": "b"}}),
        "lite.master.caBundle.secret",
        '"b"',
        "conflicting-values",
    ),
    (_master(podLabels={"team": "<a & b>"}), "master.podLabels.team", '"<a & b>"', "invalid-label-value"),
    *(
        (_master(jobs={block: {key: "x"}}), f"master.jobs.{block}.{key}", f'"{key}"', "hook-annotation")
        for block, key in (("podAnnotations", "helm.sh/hook"), ("annotations", "helm.sh/hook-delete-policy"))
    ),
    (_master(domainId="default"), "master.domainId", '"default"', "reserved-domain-id"),
    (_master(domainId=""), "master.domainId", '""', "invalid-domain-id"),
    (_lite(domainId="Alice"), "lite.domainId", '"Alice"', "invalid-domain-id"),
    (_lite(domainId="a.b"), "lite.domainId", '"a.b"', "invalid-domain-id"),
    (_lite(domainId="-a"), "lite.domainId", '"-a"', "invalid-domain-id"),
    (_lite(domainId="a" * 64), "lite.domainId", f'"{"a" * 64}"', "invalid-domain-id"),
    (_lite(domainId=7), "lite.domainId", "7", "text-required"),
    *(
        (values, path, "7", "text-required")
        for path, values in (
            ("global.kuscia.proxy.noProxy", _proxy(noProxy=7)),
            ("master.datastore.host", _master(datastore={**MYSQL, "host": 7})),
            ("master.datastore.user", _master(datastore={**MYSQL, "user": 7})),
            (ENDPOINT, _endpoint(7)),
            ("master.appImages.mine.image.id", _engine(image={"name": "a/b", "tag": "1", "id": 7})),
            ("master.appImages.mine.configTemplates.a", _engine(configTemplates={"a": 7})),
            (f"{TEMPLATE}.containers[0].working_dir", _container(working_dir=7)),
            (
                f"{TEMPLATE}.containers[0].config_volume_mounts[0].sub_path",
                _container(config_volume_mounts=[{"mount_path": "/a", "sub_path": 7}]),
            ),
            (f"{TEMPLATE}.containers[0].ports[0].name", _container(ports=[{"name": 7}])),
            ("master.exampleJob.appImage", _master(domains=TWO, exampleJob={"enabled": True, "appImage": 7})),
            ("master.exampleJob.initiator", _master(domains=TWO, exampleJob={"enabled": True, "initiator": 7})),
            (
                "master.exampleJob.parties[0].domain",
                _master(domains=TWO, exampleJob={"enabled": True, "parties": [{"domain": 7, "table": "t"}]}),
            ),
            ("lite.master.endpoint", _lite(master={"endpoint": 7})),
            ("lite.data.source.endpoint", _data(source={**SOURCE, "endpoint": 7})),
            ("lite.data.source.prefix", _data(source={**SOURCE, "prefix": 7})),
            ("lite.data.source.path", _runp(source={**LOCAL, "path": 7})),
            ("lite.data.tables[0].name", _table(name=7)),
            ("lite.data.tables[0].url", _table(url=7)),
            ("lite.data.tables[0].claim.path", _table(claim={"name": "c", "path": 7})),
            ("lite.data.tables[0].attributes.a", _table(attributes={"a": 7})),
        )
    ),
    (_lite(domainId="cross-domain"), "lite.domainId", '"cross-domain"', "reserved-domain-id"),
    (
        _global(_master(), imageRegistry="registry.replace-me.example/mirror"),
        "global.kuscia.imageRegistry",
        '"registry.replace-me.example/mirror"',
        "placeholder-left",
    ),
    (
        _master(extraConfig={"kusciaAPISans": ["a.example.com", "kuscia.replace-me.example"]}),
        "master.extraConfig.kusciaAPISans[1]",
        '"kuscia.replace-me.example"',
        "placeholder-left",
    ),
    (_master(extraConfig={"a": ["\x7f"]}), "master.extraConfig.a[0]", '"\x7f"', "control-character"),
    (_master(extraConfig={"a\x85": "x"}), "master.extraConfig", '"a\x85"', "control-character"),
    (_lite(extraConfig={"a": "x\u2028y"}), "lite.extraConfig.a", r'"x\u2028y"', "control-character"),
    (_lite(jobs={"podAnnotations": {"a": "\x01"}}), "lite.jobs.podAnnotations.a", r'"\u0001"', "control-character"),
    (_master(domains={"Bob": {}}), "master.domains.Bob", '"Bob"', "invalid-domain-id"),
    (
        _master(domains={"kuscia-system": {}}),
        "master.domains.kuscia-system",
        '"kuscia-system"',
        "master-as-lite-domain",
    ),
    (
        _endpoint("kuscia.example.com:1080"),
        ENDPOINT,
        '"kuscia.example.com:1080"',
        "endpoint-without-scheme",
    ),
    (_endpoint("https://a.b.svc:1080"), ENDPOINT, '"https://a.b.svc:1080"', "host-ends-in-svc"),
    (_endpoint("https://a.b.svc"), ENDPOINT, '"https://a.b.svc"', "host-ends-in-svc"),
    (_endpoint("https://alice:1080"), ENDPOINT, '"https://alice:1080"', "host-not-fully-qualified"),
    (_endpoint("https://a_b.example.com"), ENDPOINT, '"https://a_b.example.com"', "invalid-host"),
    *(
        (_endpoint(f"https://{host}"), ENDPOINT, f'"https://{host}"', error_id)
        for host, error_id in (
            ("a..example.com", "invalid-host"),
            ("a.-b.example.com", "invalid-host"),
            ("a-.example.com:1080", "invalid-host"),
            (f"{'a' * 64}.example.com", "invalid-host"),
            ("10.0.0.256", "invalid-ip"),
            ("10.0.0:1080", "invalid-ip"),
            ("10.0.0.7.1", "invalid-ip"),
        )
    ),
    (_endpoint("https://[fd00::1]:1080"), ENDPOINT, '"https://[fd00::1]:1080"', "ipv6-not-supported"),
    (_endpoint("https://fd00::1"), ENDPOINT, '"https://fd00::1"', "ipv6-not-supported"),
    (_endpoint("https://a.example.com:70000"), ENDPOINT, '"https://a.example.com:70000"', "invalid-port"),
    (_endpoint("https://a.example.com:x"), ENDPOINT, '"https://a.example.com:x"', "invalid-port"),
    (_endpoint("https://u:hunter2@a.example.com"), ENDPOINT, "(not shown)", "invalid-endpoint"),
    (_endpoint("u:hunter2@a.example.com"), ENDPOINT, "(not shown)", "endpoint-without-scheme"),
    (_endpoint("https://kuscia.lite-alice:1080"), ENDPOINT, '"https://kuscia.lite-alice:1080"', SHORT),
    (_endpoint("https://kuscia.ns"), ENDPOINT, '"https://kuscia.ns"', SHORT),
    (_endpoint("https://kuscia.n1/path"), ENDPOINT, '"https://kuscia.n1/path"', SHORT),
    (_endpoint("https://kuscia.default"), ENDPOINT, '"https://kuscia.default"', SHORT),
    (
        _endpoint("https://kuscia-master.ns.svc.cluster.local:1080"),
        ENDPOINT,
        '"https://kuscia-master.ns.svc.cluster.local:1080"',
        "endpoint-of-own-gateway",
    ),
    (
        _lite(master={"endpoint": "http://kuscia-lite-alice.ns.svc.cluster.local"}),
        "lite.master.endpoint",
        '"http://kuscia-lite-alice.ns.svc.cluster.local"',
        "endpoint-of-own-gateway",
    ),
    (
        _lite(master={"endpoint": "https://kuscia-master.kuscia-master:1080"}),
        "lite.master.endpoint",
        '"https://kuscia-master.kuscia-master:1080"',
        SHORT,
    ),
    (
        {"lite": {**LITE, "master": {"endpoint": "https://kuscia-master.ns.svc.cluster.local:1080"}}},
        "master.domains",
        "[]",
        "lite-not-in-domains",
    ),
    ({"lite": {**LITE, "master": {}}}, "master.domains", "[]", "lite-not-in-domains"),
    (_together(fullnameOverride="boss"), "lite.master.endpoint", f'"{OWN_MASTER}"', "other-name-in-release"),
    (
        _together(lite={"protocol": "NOTLS", "master": {"endpoint": OWN_MASTER}}),
        "master.domains.alice.endpoint",
        '"https://kuscia-lite-alice.ns.svc.cluster.local:1080"',
        "other-name-in-release",
    ),
    (
        _together(lite={"serviceAccount": {"name": "alice"}}),
        "master.domains.alice.reader.serviceAccount",
        '"kuscia-lite-alice"',
        "other-name-in-release",
    ),
    (
        _together(appImages=_needing(requests={"cpu": 16, "memory": "1Gi"})),
        f"{TEMPLATE}.containers[0].resources.requests.cpu",
        "16",
        "request-above-capacity",
    ),
    (
        _together(lite={"capacity": {"memory": "4Gi"}}, appImages=_needing(limits={"cpu": "2", "memory": "64Gi"})),
        f"{TEMPLATE}.containers[0].resources.limits.memory",
        "64Gi",
        "request-above-capacity",
    ),
    (
        _together(appImages=_pod({"limits": {"memory": "6Gi"}}, {"requests": {"memory": "3Gi"}})),
        f"{TEMPLATE}.containers[*].resources.requests.memory",
        "6Gi + 3Gi",
        "request-above-capacity",
    ),
    (
        _container(resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
        f"{TEMPLATE}.containers[0].resources.requests.cpu",
        "2",
        "request-above-limit",
    ),
    *(
        (
            _master(resources=resources),
            f"master.resources.requests.{name}",
            shown,
            "request-differs-from-limit",
        )
        for resources, name, shown in (
            ({"requests": {"nvidia.com/gpu": 1}}, "nvidia.com/gpu", "1"),
            ({"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}}, "nvidia.com/gpu", "1"),
            ({"requests": {"hugepages-2Mi": "4Mi"}}, "hugepages-2Mi", '"4Mi"'),
        )
    ),
    *(
        (values, f"{path}.{name}", shown, "not-a-whole-number")
        for values, path, name, shown in (
            (
                _master(resources={"limits": {"nvidia.com/gpu": 0.5}}),
                "master.resources.limits",
                "nvidia.com/gpu",
                "0.5",
            ),
            (
                _lite(jobs={"resources": {"limits": {"nvidia.com/gpu": "1.0005k"}}}),
                "lite.jobs.resources.limits",
                "nvidia.com/gpu",
                '"1.0005k"',
            ),
            (
                _master(resources={"limits": {"hugepages-2Mi": "2500k"}}),
                "master.resources.limits",
                "hugepages-2Mi",
                '"2500k"',
            ),
            (
                _container(resources={"limits": {"example.com/fpga": "500m"}}),
                f"{TEMPLATE}.containers[0].resources.limits",
                "example.com/fpga",
                '"500m"',
            ),
        )
    ),
    (
        _together({"fullnameOverride": "same"}, fullnameOverride="same"),
        "lite.fullnameOverride",
        '"same"',
        "same-value-in-release",
    ),
    (
        _together({"serviceAccount": {"name": "same"}}, serviceAccount={"name": "same"}),
        "lite.serviceAccount.name",
        '"same"',
        "same-value-in-release",
    ),
    (
        _together({"service": {"clusterIP": "10.96.0.20"}}, service={"clusterIP": "10.96.0.20"}),
        "lite.service.clusterIP",
        '"10.96.0.20"',
        "same-value-in-release",
    ),
    (
        _together({"service": {"external": NODE_PORT}}, service={"external": NODE_PORT}),
        "lite.service.external.nodePort",
        "31080",
        "same-value-in-release",
    ),
    (
        _lite(networkPolicy={"extraIngress": [{"ports": [{"port": 8443, "endPort": 80}]}]}),
        "lite.networkPolicy.extraIngress[0].ports[0].endPort",
        "80",
        "conflicting-values",
    ),
    *(
        (
            _lite(networkPolicy={"gatewayFrom": [{"ipBlock": {"cidr": cidr, "except": [part]}}]}),
            "lite.networkPolicy.gatewayFrom[0].ipBlock.except[0]",
            f'"{part}"',
            "conflicting-values",
        )
        for cidr, part in (
            ("10.0.0.0/8", "11.0.0.0/16"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8", "0.0.0.0/0"),
            ("10.0.0.0/8", "fd00::/64"),
            ("fd00::/8", "fe00::/64"),
            ("::/0", "0::/0"),
        )
    ),
    (
        _master(networkPolicy={"extraIngress": [{"from": [{"ipBlock": {"cidr": "fd00::1/64"}}]}]}),
        "master.networkPolicy.extraIngress[0].from[0].ipBlock.cidr",
        '"fd00::1/64"',
        "invalid-cidr",
    ),
    (
        _lite(service={"external": {"enabled": True, "loadBalancerSourceRanges": ["10.0.0.0/8", "10.0.0.1/8"]}}),
        "lite.service.external.loadBalancerSourceRanges[1]",
        '"10.0.0.1/8"',
        "invalid-cidr",
    ),
    (_master(service={"ipFamilies": ["IPv4", "IPv4"]}), "master.service.ipFamilies[1]", '"IPv4"', "repeated-entry"),
    *(
        (
            _lite(service={"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": policy}),
            "lite.service.ipFamilyPolicy",
            f'"{policy}"',
            "conflicting-values",
        )
        for policy in ("", "SingleStack")
    ),
    (
        _master(service={"clusterIP": "10.96.0.20", "ipFamilies": ["IPv6"]}),
        "master.service.ipFamilies[0]",
        '"IPv6"',
        "conflicting-values",
    ),
    (
        _master(persistence={"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]}),
        "master.persistence.accessModes",
        '["ReadWriteOncePod","ReadWriteOnce"]',
        "conflicting-values",
    ),
    *(
        (_ingress(path=path, pathType=kind), "master.ingress.path", f'"{path}"', "invalid-ingress-path")
        for kind in ("Prefix", "Exact")
        for path in ("/a//b", "/a/./b", "/a/..", "/a%2Fb", "/a?b", "/a#b")
    ),
    *(
        (_master(extraConfig={"kusciaAPISans": [name]}), "master.extraConfig.kusciaAPISans[0]", shown, "invalid-host")
        for name, shown in ((None, "null"), (7, "7"), ("", '""'), ("a b", '"a b"'), ("https://a", '"https://a"'))
    ),
    *(
        (_lite(extraConfig=config), f"lite.extraConfig.{path}", shown, "not-a-mapping")
        for config, path, shown in (
            ({"runk": None}, "runk", "null"),
            ({"agent": None}, "agent", "null"),
            ({"agent": {"provider": []}}, "agent.provider", "[]"),
            ({"agent": {"provider": {"k8s": "x"}}}, "agent.provider.k8s", '"x"'),
        )
    ),
    *(
        (_master(datastore={key: value}), f"master.datastore.{key}", "(not shown)", "unused-datastore-key")
        for key, value in (
            ("host", "mysql.example.com"),
            ("port", 3306),
            ("database", "kuscia"),
            ("user", "root"),
            ("existingSecret", "db"),
            ("params", {"tls": True}),
        )
    ),
    *(
        (values, f"{path}.securityContext.runAsNonRoot", "true", "root-with-run-as-non-root")
        for path, values in (
            ("master", _master(securityContext={"runAsNonRoot": True})),
            ("master", _master(podSecurityContext={"runAsNonRoot": True})),
            ("lite", _lite(rootless=True, securityContext={"runAsUser": 0})),
            ("master.jobs", _master(jobs={"securityContext": {"runAsUser": 0}})),
            (
                "lite.jobs",
                _lite(jobs={"podSecurityContext": {"runAsUser": 0}, "securityContext": {"runAsUser": 0}}),
            ),
        )
    ),
    *(
        (_lite(**{kind: [{"name": "a", "image": "b", **block}]}), f"lite.{kind}[0].{path}", shown, error_id)
        for kind, block, path, shown, error_id in (
            (
                "extraContainers",
                {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
                "lifecycle.preStop.sleep.seconds",
                "31",
                "conflicting-values",
            ),
            (
                "extraInitContainers",
                {"lifecycle": {"postStart": {"sleep": {"seconds": 1}}}},
                "lifecycle",
                '{"postStart":{"sleep":{"seconds":1}}}',
                "conflicting-values",
            ),
            (
                "extraInitContainers",
                {"readinessProbe": {"tcpSocket": {"port": 1}}, "restartPolicy": "OnFailure"},
                "readinessProbe",
                '{"tcpSocket":{"port":1}}',
                "conflicting-values",
            ),
            (
                "extraContainers",
                {"ports": [{"containerPort": 1, "name": "x"}, {"containerPort": 2, "name": "x"}]},
                "ports[1]",
                '"x"',
                "repeated-entry",
            ),
            (
                "extraInitContainers",
                {"volumeMounts": [{"name": "data", "mountPath": "/a"}, {"name": "run", "mountPath": "/a"}]},
                "volumeMounts[1]",
                '"/a"',
                "repeated-entry",
            ),
            (
                "extraContainers",
                {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}] * 2},
                "resizePolicy[1]",
                '"cpu"',
                "repeated-entry",
            ),
            (
                "extraContainers",
                {"volumeDevices": [{"name": "x", "devicePath": "/dev/x"}]},
                "volumeDevices[0].name",
                '"x"',
                "unknown-volume",
            ),
            (
                "extraContainers",
                {"resources": {"limits": {"hugepages-2Mi": "4Mi"}}},
                "resources.limits.memory",
                "false",
                "missing-value",
            ),
        )
    ),
    (
        _master(jobs={"securityContext": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}),
        "master.jobs.securityContext.allowPrivilegeEscalation",
        "false",
        "privileged-without-escalation",
    ),
    (
        _lite(jobs={"podSecurityContext": {"sysctls": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}}),
        "lite.jobs.podSecurityContext.sysctls[1]",
        '"a"',
        "repeated-entry",
    ),
    *(
        (values, f"{path}.extraVolumeMounts[0].mountPropagation", '"Bidirectional"', "conflicting-values")
        for path, values in (
            ("lite", _lite(**PROPAGATED)),
            ("lite.jobs", _lite(runtime="runc", runc={"privileged": True}, jobs=PROPAGATED)),
        )
    ),
    *(
        (_master(probes={name: {key: 2}}), f"master.probes.{name}.{key}", "2", "invalid-probe")
        for name, key in (
            ("startup", "successThreshold"),
            ("liveness", "successThreshold"),
            ("readiness", "terminationGracePeriodSeconds"),
        )
    ),
    (
        _lite(
            extraContainers=[
                {"name": "a", "image": "b", "livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}}
            ]
        ),
        "lite.extraContainers[0].livenessProbe.successThreshold",
        "2",
        "invalid-probe",
    ),
    (
        _lite(
            runtime="runp",
            data={"source": LOCAL, "tables": [{**TABLE, "claim": {"name": "c", "path": "a.csv"}}]},
            extraVolumes=[{"name": "tables-0", "emptyDir": {}}],
        ),
        "lite.extraVolumes[0]",
        '"tables-0"',
        "repeated-entry",
    ),
    (
        _master(extraVolumes=[{"name": "x", "emptyDir": {}}], extraVolumeMounts=[{"name": "x", "mountPath": "/tmp/"}]),
        "master.extraVolumeMounts[0]",
        '"/tmp"',
        "repeated-entry",
    ),
    (
        _master(domains={"alice": {"sameRelease": True}}),
        "master.domains.alice.sameRelease",
        "true",
        "same-release-without-lite",
    ),
    (
        _data(source={**SOURCE, "endpoint": "https://minio.lite-alice:9000"}),
        "lite.data.source.endpoint",
        '"https://minio.lite-alice:9000"',
        SHORT,
    ),
    (_endpoint("https://a.example.com/p?q"), ENDPOINT, '"https://a.example.com/p?q"', "invalid-endpoint"),
    (
        _endpoint("https://a.example.com/k(/|$)(.*)"),
        ENDPOINT,
        '"https://a.example.com/k(/|$)(.*)"',
        "invalid-endpoint-path",
    ),
    (_endpoint("https://a.example.com/a//b"), ENDPOINT, '"https://a.example.com/a//b"', "invalid-endpoint-path"),
    (_endpoint("https://a.example.com/a/../b"), ENDPOINT, '"https://a.example.com/a/../b"', "invalid-endpoint-path"),
    (_endpoint("https://a.example.com/a%20b"), ENDPOINT, '"https://a.example.com/a%20b"', "invalid-endpoint-path"),
    (_endpoint("https://"), ENDPOINT, '"https://"', "invalid-host"),
    (
        _master(
            service={"external": {"enabled": True, "type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}
        ),
        "master.service.external.loadBalancerSourceRanges",
        '["10.0.0.0/8"]',
        "load-balancer-only",
    ),
    (
        _lite(service={"external": {"enabled": True, "type": "NodePort", "loadBalancerClass": "x"}}),
        "lite.service.external.loadBalancerClass",
        '"x"',
        "load-balancer-only",
    ),
    (
        _master(metrics={"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}),
        "master.metrics.serviceMonitor.enabled",
        "true",
        "conflicting-values",
    ),
    (
        _lite(pdb={"minAvailable": 1, "maxUnavailable": "50%"}),
        "lite.pdb.maxUnavailable",
        '"50%"',
        "conflicting-values",
    ),
    (_ingress(host="https://k.example.com"), "master.ingress.host", '"https://k.example.com"', "invalid-ingress-host"),
    (_ingress(host="k.example.com:443"), "master.ingress.host", '"k.example.com:443"', "invalid-ingress-host"),
    (_ingress(host="K.example.com"), "master.ingress.host", '"K.example.com"', "invalid-ingress-host"),
    (_ingress(path="/k(/|$)(.*)"), "master.ingress.pathType", '"Prefix"', "ingress-regex-path-type"),
    (
        _ingress(annotations={NGINX + "rewrite-target": "/$2"}, path="/k"),
        "master.ingress.path",
        '"/k"',
        "ingress-rewrite-group-missing",
    ),
    (
        _ingress(annotations={NGINX + "backend-protocol": "HTTP"}),
        f'master.ingress.annotations["{NGINX}backend-protocol"]',
        '"HTTP"',
        "ingress-backend-protocol-mismatch",
    ),
    (
        _lite(protocol="NOTLS", ingress={"enabled": True, "annotations": {NGINX + "backend-protocol": "HTTPS"}}),
        f'lite.ingress.annotations["{NGINX}backend-protocol"]',
        '"HTTPS"',
        "ingress-backend-protocol-mismatch",
    ),
    (_master(domains={"alice": {"cert": "xyz"}}), "master.domains.alice.cert", "(not shown)", "invalid-certificate"),
    (
        _master(domains={"alice": {"cert": "-----BEGIN RSA PRIVATE KEY-----"}}),
        "master.domains.alice.cert",
        "(not shown)",
        "private-key-as-certificate",
    ),
    (
        _master(domains={"alice": {"reader": {"serviceAccount": "x"}}}),
        "master.domains.alice.reader.namespace",
        "null",
        "missing-value",
    ),
    (_master(protocol=""), "master.protocol", '""', "unsupported-value"),
    (_master(protocol="SSL"), "master.protocol", '"SSL"', "unsupported-value"),
    (_lite(protocol=True), "lite.protocol", "true", "text-required"),
    (
        _master(extraConfig={"kusciaAPI": {"x": 1}}),
        "master.extraConfig.kusciaAPI",
        "(a block)",
        "config-kuscia-api",
    ),
    (_lite(extraConfig={"kusciaAPI": None}), "lite.extraConfig.kusciaAPI", "(a block)", "config-kuscia-api"),
    (
        _master(extraConfig={"datastoreEndpoint": "x"}),
        "master.extraConfig.datastoreEndpoint",
        "(not shown)",
        "config-key-has-dedicated-secret",
    ),
    (
        _lite(extraConfig={"liteDeployToken": "x"}),
        "lite.extraConfig.liteDeployToken",
        "(not shown)",
        "config-key-has-dedicated-secret",
    ),
    (
        _master(extraConfig={"clusterToken": "hunter2"}),
        "master.extraConfig.clusterToken",
        "(not shown)",
        "secret-in-extra-config",
    ),
    (
        _lite(extraConfig={"image": {"registries": [{"password": "hunter2"}]}}),
        "lite.extraConfig.image.registries[0].password",
        "(not shown)",
        "secret-in-extra-config",
    ),
    (
        _master(extraConfig={"domainRoute": {"externalTLS": {"enableTLS": True}}}),
        "master.extraConfig.domainRoute.externalTLS",
        "(a block)",
        "config-external-tls-with-protocol",
    ),
    (
        _lite(extraConfig={"masterEndpoint": "x"}),
        "lite.extraConfig.masterEndpoint",
        '"x"',
        "config-key-has-dedicated-value",
    ),
    (
        _lite(extraConfig={"runk": {"namespace": "x"}}),
        "lite.extraConfig.runk.namespace",
        '"x"',
        "config-key-has-dedicated-value",
    ),
    (_lite(extraConfig={"runk": "x"}), "lite.extraConfig.runk", '"x"', "not-a-mapping"),
    (
        _master(extraConfig={"kusciaAPISans": "x"}),
        "master.extraConfig.kusciaAPISans",
        '"x"',
        "not-a-list",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "parties": []}),
        "master.exampleJob.parties",
        "[]",
        "too-few-parties",
    ),
    (_master(extraConfig={"mode": "lite"}), "master.extraConfig.mode", '"lite"', "config-key-has-dedicated-value"),
    (
        _master(datastore={"type": "oracle"}),
        "master.datastore.type",
        '"oracle"',
        "unsupported-value",
    ),
    (_master(datastore={**MYSQL, "host": ""}), "master.datastore.host", '""', "missing-value"),
    (
        _master(datastore={**MYSQL, "host": "mysql.db.svc"}),
        "master.datastore.host",
        '"mysql.db.svc"',
        "host-ends-in-svc",
    ),
    (_master(datastore={**MYSQL, "host": "mysql"}), "master.datastore.host", '"mysql"', "host-not-fully-qualified"),
    (_master(datastore={**MYSQL, "host": "mysql.ns"}), "master.datastore.host", '"mysql.ns"', SHORT),
    (
        _master(datastore={**MYSQL, "host": "mysql.example.com:3306"}),
        "master.datastore.host",
        '"mysql.example.com:3306"',
        "host-with-port",
    ),
    *(
        (_master(datastore={**MYSQL, "host": host}), "master.datastore.host", "(not shown)", "host-is-an-address")
        for host in (
            "root:hunter2@tcp(mysql.example.com:3306)/kuscia",
            "mysql://root:hunter2@tcp(mysql.example.com:3306)/kuscia",
            "mysql.example.com/kuscia?password=hunter2",
        )
    ),
    (
        _master(datastore={**MYSQL, "host": "db..example.com"}),
        "master.datastore.host",
        '"db..example.com"',
        "invalid-host",
    ),
    (_master(datastore={**MYSQL, "host": "10.0.0.300"}), "master.datastore.host", '"10.0.0.300"', "invalid-ip"),
    (_master(datastore={**MYSQL, "database": ""}), "master.datastore.database", '""', "missing-value"),
    (_master(datastore={**MYSQL, "user": ""}), "master.datastore.user", '""', "missing-value"),
    (
        _master(datastore={**MYSQL, "existingSecret": ""}),
        "master.datastore.existingSecret",
        '""',
        "missing-value",
    ),
    (
        _master(datastore={**MYSQL, "database": "a/b"}),
        "master.datastore.database",
        '"a/b"',
        "invalid-database-name",
    ),
    (_master(datastore={**MYSQL, "user": "a:b"}), "master.datastore.user", '"a:b"', "colon-in-mysql-user"),
    (
        _master(datastore={**MYSQL, "params": {"tls": "required"}}),
        "master.datastore.params.tls",
        '"required"',
        "unsupported-driver-option",
    ),
    (
        _master(datastore={**MYSQL, "type": "postgres", "params": {"sslmode": "verify"}}),
        "master.datastore.params.sslmode",
        '"verify"',
        "unsupported-driver-option",
    ),
    (_master(routes="some"), "master.routes", '"some"', "invalid-routes"),
    (
        _master(resources={"requests": {"memory": "8Gi"}}),
        "master.resources.requests.memory",
        '"8Gi"',
        "request-above-limit",
    ),
    (
        _lite(jobs={"data": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}}),
        "lite.jobs.data.resources.requests.cpu",
        "2",
        "request-above-limit",
    ),
    (
        _master(jobs={"securityContext": {"privileged": True}}),
        "master.jobs.securityContext.allowPrivilegeEscalation",
        "false",
        "privileged-without-escalation",
    ),
    (
        _lite(runtime="runc", runc={"privileged": True}, securityContext=NO_ESCALATION),
        "lite.securityContext.allowPrivilegeEscalation",
        "false",
        "privileged-without-escalation",
    ),
    (
        _master(metrics={"podMonitor.enabled": True}),
        "master.metrics.podMonitor.enabled",
        "podMonitor.enabled",
        "unknown-key",
    ),
    (
        _master(extraVolumeMounts=[{"name": "files", "mountPath": "/files"}]),
        "master.extraVolumeMounts[0].name",
        '"files"',
        "unknown-volume",
    ),
    (
        _lite(extraContainers=[{"name": "a", "image": "a", "volumeMounts": [{"name": "b", "mountPath": "/b"}]}]),
        "lite.extraContainers[0].volumeMounts[0].name",
        '"b"',
        "unknown-volume",
    ),
    (
        _master(extraVolumes=[{"name": "files", "emptyDir": {}}, {"name": "files", "emptyDir": {}}]),
        "master.extraVolumes[1]",
        '"files"',
        "repeated-entry",
    ),
    (_lite(extraVolumes=[{"name": "data", "emptyDir": {}}]), "lite.extraVolumes[0]", '"data"', "repeated-entry"),
    (
        _master(jobs={"extraVolumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}),
        "master.jobs.extraVolumeMounts[0]",
        '"/tmp"',
        "repeated-entry",
    ),
    (
        _master(extraInitContainers=[{"name": "prepare", "image": "a"}]),
        "master.extraInitContainers[0]",
        '"prepare"',
        "repeated-entry",
    ),
    (
        _master(topologySpreadConstraints=[SPREAD, {**SPREAD, "maxSkew": 2}]),
        "master.topologySpreadConstraints[1]",
        '"zone, ScheduleAnyway"',
        "repeated-entry",
    ),
    (_master(routes={"a": "b"}), "master.routes", '{"a":"b"}', "invalid-routes"),
    (
        _route(source="alice", destination="carol"),
        "master.routes[0].destination",
        '"carol"',
        "unlisted-domain",
    ),
    (
        _route(source="kuscia-system", destination="bob"),
        "master.routes[0].source",
        '"kuscia-system"',
        "unlisted-domain",
    ),
    (
        _route(source="alice", destination="alice"),
        "master.routes[0]",
        '"alice to alice"',
        "route-to-itself",
    ),
    (
        _route(source="alice", destination="bob", transit="x"),
        "master.routes[0].transit",
        '"x"',
        "unlisted-domain",
    ),
    (_route(source="alice", destination="bob", transit=7), "master.routes[0].transit", "7", "text-required"),
    (
        _route(source="alice", destination="bob", transit="bob"),
        "master.routes[0].transit",
        '"bob"',
        "transit-through-route-end",
    ),
    (
        _over_carol(CAROL_TO_BOB),
        "master.routes[0].transit",
        '"carol"',
        "transit-leg-missing",
    ),
    (
        _over_carol(ALICE_TO_CAROL),
        "master.routes[0].transit",
        '"carol"',
        "transit-leg-missing",
    ),
    (
        _over_carol(ALICE_TO_CAROL, {**CAROL_TO_BOB, "transit": "alice"}),
        "master.routes[0].transit",
        '"carol"',
        "transit-leg-missing",
    ),
    (
        _route(source="alice", destination="bob", bodyEncryption="DES"),
        "master.routes[0].bodyEncryption",
        '"DES"',
        "unsupported-value",
    ),
    (
        _route(source="alice", destination="bob", tokenConfig={"tokenGenMethod": "RSA"}),
        "master.routes[0].tokenConfig.tokenGenMethod",
        '"RSA"',
        "unsupported-value",
    ),
    (
        _route(source="alice", destination="bob", tokenConfig={"rollingUpdatePeriod": -1}),
        "master.routes[0].tokenConfig.rollingUpdatePeriod",
        "-1",
        "invalid-token-period",
    ),
    (
        _master(domains=TWO, routes=[{"source": "alice", "destination": "bob"}] * 2),
        "master.routes[1]",
        '"alice to bob"',
        "duplicate-route",
    ),
    (
        _master(domains=_domains("bank", "bank-a", "insurance", "a-insurance")),
        "master.routes",
        '"bank-a to insurance"',
        "colliding-route-names",
    ),
    (
        _master(
            domains=_domains("bank", "bank-a", "insurance", "a-insurance"),
            routes=[
                {"source": "bank-a", "destination": "insurance"},
                {"source": "bank", "destination": "a-insurance"},
            ],
        ),
        "master.routes[1]",
        '"bank to a-insurance"',
        "colliding-route-names",
    ),
    (
        _master(domainId="kuscia-system", domains=_domains("alice", "alice-kuscia", "system")),
        "master.routes",
        '"alice-kuscia to system"',
        "colliding-route-names",
    ),
    (_master(reconcile={"schedule": "hourly"}), "master.reconcile.schedule", '"hourly"', "invalid-schedule"),
    (_master(reconcile={"schedule": "0 * * *"}), "master.reconcile.schedule", '"0 * * *"', "invalid-schedule"),
    (
        _master(domains={"alice": {}, "bob": {}}, routes=[{"source": "alice", "destination": "bob"}]),
        "master.domains.bob.endpoint",
        "null",
        "route-without-endpoint",
    ),
    (
        _engine(image={"name": "a/b", "tag": ""}),
        "master.appImages.mine.image.tag",
        '""',
        "missing-value",
    ),
    (_engine(deployTemplates=[]), "master.appImages.mine.deployTemplates", "[]", "missing-value"),
    (
        _container(ports=[{"name": "p"}, {"name": "p"}]),
        "master.appImages.mine.deployTemplates[0]",
        '"p"',
        "duplicate-port-name",
    ),
    (_engine(image={"name": "a/b:1", "tag": "1"}), "master.appImages.mine.image.name", '"a/b:1"', "invalid-image-name"),
    (_engine(deployTemplates=[{"containers": [{"name": "c"}]}]), f"{TEMPLATE}.name", "null", "missing-value"),
    (_engine(deployTemplates=[{"name": "x"}]), f"{TEMPLATE}.containers", "null", "missing-value"),
    (_engine(deployTemplates=[{"name": "x", "spec": {}}]), f"{TEMPLATE}.spec", "spec", "unknown-key"),
    (
        _engine(deployTemplates=[{"name": "x", "restart_policy": "never", "containers": [{"name": "c"}]}]),
        f"{TEMPLATE}.restart_policy",
        '"never"',
        "unsupported-value",
    ),
    (
        _container(command=["sleep", 60]),
        f"{TEMPLATE}.containers[0].command[1]",
        "60",
        "text-required",
    ),
    (
        _container(resources={"limits": {"memory": "2 GB"}}),
        f"{TEMPLATE}.containers[0].resources.limits.memory",
        '"2 GB"',
        "invalid-quantity",
    ),
    (
        _container(resources={"requests": {"cpus": 2}}),
        f"{TEMPLATE}.containers[0].resources.requests.cpus",
        '"cpus"',
        "unknown-resource",
    ),
    (
        _engine(deployTemplates=[{"name": "x", "replicas": -1, "containers": [{"name": "c"}]}]),
        f"{TEMPLATE}.replicas",
        "-1",
        "number-out-of-range",
    ),
    (_master(resources={"claims": [{"name": "gpu"}]}), "master.resources.claims", "claims", "unknown-key"),
    (
        _lite(jobs={"data": {"resources": {"limits": {"mem": "1Gi"}}}}),
        "lite.jobs.data.resources.limits.mem",
        '"mem"',
        "unknown-resource",
    ),
    # Values that a parent chart sets for all its charts.
    ({"global": {"imageRegistry": "https://a"}}, "global.imageRegistry", '"https://a"', "invalid-image-registry"),
    ({"global": {"imageRegistry": 5000}}, "global.imageRegistry", "5000", "text-required"),
    ({"global": {"imagePullSecrets": ["a b"]}}, "global.imagePullSecrets[0]", '"a b"', "invalid-object-name"),
    ({"global": {"imagePullSecrets": [{"nam": "a"}]}}, "global.imagePullSecrets[0].name", "null", "missing-value"),
    (_container(name=""), f"{TEMPLATE}.containers[0].name", '""', "missing-value"),
    (_container(workingDir="/x"), f"{TEMPLATE}.containers[0].workingDir", "workingDir", "unknown-key"),
    (
        _container(config_volume_mounts=[{"mount_path": "/a", "sub_path": "a.conf"}]),
        f"{TEMPLATE}.containers[0].config_volume_mounts",
        '{"mount_path":"/a","sub_path":"a.conf"}',
        "unknown-config-template",
    ),
    (
        _container(ports=[{"name": "p", "protocol": "TCP"}]),
        f"{TEMPLATE}.containers[0].ports[0].protocol",
        '"TCP"',
        "unsupported-value",
    ),
    (
        _container(ports=[{"name": "p", "scope": "All"}]),
        f"{TEMPLATE}.containers[0].ports[0].scope",
        '"All"',
        "unsupported-value",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "appImage": "x"}),
        "master.exampleJob.appImage",
        '"x"',
        "unknown-app-image",
    ),
    (
        _master(exampleJob={"enabled": True}),
        "master.exampleJob.parties[1].domain",
        '"bob"',
        "unlisted-domain",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "initiator": "carol"}),
        "master.exampleJob.initiator",
        '"carol"',
        "initiator-not-a-party",
    ),
    (_master(image={"tag": ""}), "master.image.tag", '""', "image-tag-missing"),
    (_master(image={"tag": 1.1}), "master.image.tag", "1.1", "text-required"),
    (_lite(image={"tag": 20240101}), "lite.image.tag", "20240101", "text-required"),
    (_engine(image={"name": "a/b", "tag": 2}), "master.appImages.mine.image.tag", "2", "text-required"),
    (_master(enabled=False), "master.enabled, lite.enabled", "false, false", "nothing-enabled"),
    ({"lite": {**LITE, "domainId": "kuscia-system"}}, "lite.domainId", '"kuscia-system"', "same-domain-id"),
    (_lite(master={"endpoint": ""}), "lite.master.endpoint", '""', "invalid-endpoint"),
    (
        _lite(master={"endpoint": "https://kuscia-master.kuscia-master.svc:1080"}),
        "lite.master.endpoint",
        '"https://kuscia-master.kuscia-master.svc:1080"',
        "host-ends-in-svc",
    ),
    (_lite(runtime="docker"), "lite.runtime", '"docker"', "unsupported-value"),
    (_lite(runtime="runc"), "lite.runc.privileged", "false", "runc-requires-privileged"),
    (
        _lite(runtime="runc", rootless=True, runc={"privileged": True}),
        "lite.rootless",
        "true",
        "runc-requires-root",
    ),
    (_lite(capacity={"memory": None}), "lite.capacity.memory", "null", "runk-requires-capacity"),
    (_lite(capacity=None), "lite.capacity.cpu", "null", "runk-requires-capacity"),
    (
        _lite(capacity={"memory": "8 GB"}),
        "lite.capacity.memory",
        '"8 GB"',
        "invalid-quantity",
    ),
    (_lite(capacity={"storage": ""}), "lite.capacity.storage", "null", "runk-requires-capacity"),
    (_lite(capacity={"cpu": "four"}), "lite.capacity.cpu", '"four"', "invalid-quantity"),
    (_lite(capacity={"cpu": 0}), "lite.capacity.cpu", "0", "zero-quantity"),
    (_lite(capacity={"storage": "0Gi"}), "lite.capacity.storage", '"0Gi"', "zero-quantity"),
    (
        _lite(runk={"podLabels": {"kuscia.secretflow/namespace": "bob"}}),
        "lite.runk.podLabels.kuscia.secretflow/namespace",
        '"bob"',
        "reserved-engine-pod-key",
    ),
    (
        _lite(podLabels={"app.kubernetes.io/component": "kuscia"}),
        "lite.podLabels.app.kubernetes.io/component",
        '"kuscia"',
        "reserved-pod-key",
    ),
    (
        {"global": {"kuscia": {"commonLabels": {"app.kubernetes.io/instance": "x"}}}},
        "global.kuscia.commonLabels.app.kubernetes.io/instance",
        '"x"',
        "reserved-pod-key",
    ),
    (
        _lite(jobs={"podAnnotations": {"checksum/config": "x"}}),
        "lite.jobs.podAnnotations.checksum/config",
        '"x"',
        "reserved-pod-key",
    ),
    *(
        (
            _lite(jobs={"podAnnotations": {key: value}}),
            f"lite.jobs.podAnnotations.{key}",
            f'"{value}"',
            "invalid-annotation-value",
        )
        for key, value in (
            ("container.apparmor.security.beta.kubernetes.io/kuscia", "default"),
            ("seccomp.security.alpha.kubernetes.io/pod", "localhost//a"),
            ("container.seccomp.security.alpha.kubernetes.io/kuscia", ""),
            ("controller.kubernetes.io/pod-deletion-cost", "+5"),
        )
    ),
    (
        _master(podAnnotations={"kubernetes.io/config.mirror": "x"}),
        "master.podAnnotations.kubernetes.io/config.mirror",
        '"x"',
        "reserved-pod-key",
    ),
    (_lite(runk={"podLabels": {"team": 7}}), "lite.runk.podLabels.team", "7", "text-required"),
    (_lite(runk={"podLabels": {"team": "a b"}}), "lite.runk.podLabels.team", '"a b"', "invalid-label-value"),
    (_lite(runk={"podLabels": {"a team": "x"}}), "lite.runk.podLabels.a team", '"a team"', "invalid-metadata-key"),
    (
        _lite(runk={"podAnnotations": {"a/b/c": "x"}}),
        "lite.runk.podAnnotations.a/b/c",
        '"a/b/c"',
        "invalid-metadata-key",
    ),
    (
        _lite(runk={"affinity": {"nodeSelector": {"a": "b"}}}),
        "lite.runk.affinity.nodeSelector",
        '{"a":"b"}',
        "invalid-affinity",
    ),
    (
        _lite(runk={"affinity": {"nodeAffinity": []}}),
        "lite.runk.affinity.nodeAffinity",
        "[]",
        "invalid-affinity",
    ),
    (_lite(runk={"runtimeClassName": "Kata_1"}), "lite.runk.runtimeClassName", '"Kata_1"', "invalid-object-name"),
    (_data(source={}), "lite.data.source.id", "null", "missing-value"),
    (_data(source={**SOURCE, "type": "s3"}), "lite.data.source.type", '"s3"', "unsupported-value"),
    (
        _data(source={**SOURCE, "endpoint": "http://s3:9000"}),
        "lite.data.source.endpoint",
        '"http://s3:9000"',
        "host-not-fully-qualified",
    ),
    (
        _data(source={**SOURCE, "endpoint": "https://s3.example.com/alice"}),
        "lite.data.source.endpoint",
        '"https://s3.example.com/alice"',
        "store-endpoint-with-path",
    ),
    (
        _data(source={**SOURCE, "endpoint": "https://s3.example.com?x=1"}),
        "lite.data.source.endpoint",
        '"https://s3.example.com?x=1"',
        "invalid-endpoint",
    ),
    (
        _data(source={**SOURCE, "bucket": "alice/tables"}),
        "lite.data.source.bucket",
        '"alice/tables"',
        "invalid-bucket-name",
    ),
    (_data(source={**SOURCE, "bucket": ""}), "lite.data.source.bucket", '""', "missing-value"),
    (
        _data(source={**SOURCE, "credentialsSecret": {}}),
        "lite.data.source.credentialsSecret.name",
        '""',
        "missing-value",
    ),
    (
        _data(source={"id": "a", "type": "localfs", "path": "/x"}),
        "lite.data.source.type",
        '"localfs"',
        "localfs-with-runk",
    ),
    (
        _runp(source={"id": "a", "type": "localfs"}),
        "lite.data.source.path",
        "null",
        "missing-value",
    ),
    (
        _runp(source={**LOCAL, "path": "/data"}),
        "lite.data.source.path",
        '"/data"',
        "path-not-on-volume",
    ),
    (
        _runp(source={**LOCAL, "path": "/home/kuscia/var/storage/../certs"}),
        "lite.data.source.path",
        '"/home/kuscia/var/storage/../certs"',
        "path-not-on-volume",
    ),
    (
        _runp(source={**LOCAL, "bucket": "alice"}),
        "lite.data.source.bucket",
        '"alice"',
        "unused-data-source-key",
    ),
    (
        _data(source={**SOURCE, "path": "/home/kuscia/var/storage/data"}),
        "lite.data.source.path",
        '"/home/kuscia/var/storage/data"',
        "unused-data-source-key",
    ),
    (
        _runp(source=LOCAL, tables=[{**TABLE, "relativeUri": "../t.csv"}]),
        "lite.data.tables[0].relativeUri",
        '"../t.csv"',
        "invalid-relative-uri",
    ),
    *(
        (
            _table(example="alice", relativeUri=uri),
            "lite.data.tables[0].relativeUri",
            f'"{uri}"',
            "invalid-relative-uri",
        )
        for uri in (".", "/", "./", "tables/", "tables/.")
    ),
    *(
        (
            _master(datastore={**MYSQL, "params": {key: "hunter2"}}),
            f"master.datastore.params.{key}",
            "(not shown)",
            "secret-in-datastore-params",
        )
        for key in ("password", "sslpassword", "accessToken", "PWD")
    ),
    (
        _master(
            domains=TWO,
            exampleJob={
                "enabled": True,
                "parties": [
                    {"domain": "alice", "table": "t", "keys": ["id", "day"]},
                    {"domain": "bob", "table": "t", "keys": ["id"]},
                ],
            },
        ),
        "master.exampleJob.parties[1].keys",
        '["id"]',
        "different-number-of-keys",
    ),
    (
        _master(
            domains={**TWO, "carol": {}},
            exampleJob={
                "enabled": True,
                "parties": [{"domain": domain, "table": "t", "keys": ["a"]} for domain in ("alice", "bob", "carol")],
            },
        ),
        "master.exampleJob.parties",
        '["alice","bob","carol"]',
        "too-many-parties",
    ),
    (_data(tables=[{**TABLE, "id": "A"}]), "lite.data.tables[0].id", '"A"', "invalid-name"),
    (_data(tables=[TABLE, TABLE]), "lite.data.tables[1].id", '"t"', "duplicate-table-id"),
    (_data(tables=[{**TABLE, "columns": []}]), "lite.data.tables[0].columns", "[]", "columns-missing"),
    (
        _data(tables=[{**TABLE, "relativeUri": ""}]),
        "lite.data.tables[0].relativeUri",
        '""',
        "missing-value",
    ),
    (_table(url="https://x:65536/a.csv"), "lite.data.tables[0].url", "(not shown)", "invalid-url"),
    (_table(url="ftp://x/a.csv"), "lite.data.tables[0].url", "(not shown)", "invalid-url"),
    (_table(url="https://u:p@x/a.csv"), "lite.data.tables[0].url", "(not shown)", "url-with-credentials"),
    (_table(url="https://:p@x/a.csv"), "lite.data.tables[0].url", "(not shown)", "url-with-credentials"),
    (_table(url="https://u:p/w@x/a.csv"), "lite.data.tables[0].url", "(not shown)", "invalid-url"),
    (_table(url="https://x/a?b=1&token=p"), "lite.data.tables[0].url", "(not shown)", "signed-url"),
    (_table(url="https://x/a?X-Amz-Signature=1"), "lite.data.tables[0].url", "(not shown)", "signed-url"),
    (_table(url=URL, example="alice"), "lite.data.tables[0]", '["example","url"]', "several-content-sources"),
    (_table(urlSecret="s"), "lite.data.tables[0].urlSecret", '"s"', "url-secret-without-url"),
    (_table(claim={"path": "a.csv"}), "lite.data.tables[0].claim.name", "null", "missing-value"),
    (_table(claim={"name": "c", "path": "/a.csv"}), "lite.data.tables[0].claim.path", '"/a.csv"', "invalid-claim-path"),
    (
        _table(claim={"name": "c", "path": "../a.csv"}),
        "lite.data.tables[0].claim.path",
        '"../a.csv"',
        "invalid-claim-path",
    ),
    (_table(sha256="0" * 64), "lite.data.tables[0].sha256", f'"{"0" * 64}"', "nothing-to-verify"),
    (_table(url=URL, sha256="ABC"), "lite.data.tables[0].sha256", '"ABC"', "invalid-sha256"),
    (_table(columnTypes={"*": "str"}), "lite.data.tables[0].columnTypes", '{"*":"str"}', "columns-and-column-types"),
    (
        _table(columns=[], columnTypes={"true": "int"}),
        "lite.data.tables[0].columnTypes",
        '{"true":"int"}',
        "column-name-not-text",
    ),
    (
        _table(columns=[], columnTypes={"*": "str"}, relativeUri="t.orc"),
        "lite.data.tables[0].columnTypes",
        '{"*":"str"}',
        "column-types-require-csv",
    ),
    (
        _data(tables=[{**TABLE, "url": URL}, {**TABLE, "id": "u", "url": URL}]),
        "lite.data.tables[1].relativeUri",
        '"t.csv"',
        "duplicate-relative-uri",
    ),
    (
        _data(tables=[{**TABLE, "url": URL}, {**TABLE, "id": "u", "url": URL, "relativeUri": "/./t.csv"}]),
        "lite.data.tables[1].relativeUri",
        '"/./t.csv"',
        "duplicate-relative-uri",
    ),
    *(
        (
            _data(source={**SOURCE, "endpoint": f"https://{host}"}),
            "lite.data.source.virtualhost",
            "false",
            "store-requires-virtualhost",
        )
        for host in (
            "oss-cn-hangzhou.aliyuncs.com",
            "cos.x.myqcloud.com:443",
            "OBS.x.MyHuaweiCloud.com",
            "x.volces.com",
        )
    ),
    *(
        (
            _data(source={**SOURCE, **change, "virtualhost": True}),
            "lite.data.source.virtualhost",
            "true",
            "virtualhost-not-possible",
        )
        for change in ({"endpoint": "http://10.0.0.7:9000"}, {"bucket": "a.b"})
    ),
    (
        _data(
            tables=[{**TABLE, "id": "sales"}, {**TABLE, "id": "sales-eu"}],
            grants=[{"table": "sales", "domain": "eu-bank"}, {"table": "sales-eu", "domain": "bank"}],
        ),
        "lite.data.grants[1]",
        '{"domain":"bank","table":"sales-eu"}',
        "ambiguous-grants",
    ),
    (
        _runp(source=LOCAL, tables=[{**TABLE, "url": URL, "urlSecret": "s"}]),
        "lite.data.tables[0].urlSecret",
        '"s"',
        "url-secret-with-localfs",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "output": "x" * 41}),
        "master.exampleJob.output",
        f'"{"x" * 41}"',
        "invalid-output-prefix",
    ),
    (
        _data(grants=[{"table": "x", "domain": "bob"}]),
        "lite.data.grants[0].table",
        '"x"',
        "unknown-table",
    ),
    (
        _data(grants=[{"table": "t", "domain": "alice"}]),
        "lite.data.grants[0].domain",
        '"alice"',
        "grant-to-own-domain",
    ),
    *(
        (_proxy(httpsProxy=value), "global.kuscia.proxy.httpsProxy", shown, error_id)
        for value, shown, error_id in (
            ("proxy.example.com:3128", '"proxy.example.com:3128"', "invalid-proxy"),
            ("socks5://proxy.example.com:1080", '"socks5://proxy.example.com:1080"', "invalid-proxy"),
            ("http://proxy.example.com:port", '"http://proxy.example.com:port"', "invalid-proxy"),
            ("http://proxy.example.com/path", '"http://proxy.example.com/path"', "invalid-proxy"),
            ("http://", '"http://"', "invalid-proxy"),
            (3128, "3128", "text-required"),
            ("http://me:hunter2@proxy.example.com:3128", "(not shown)", "url-with-credentials"),
        )
    ),
    (
        _proxy(httpProxy="http://proxy.example.com", existingSecret="site-proxy"),
        "global.kuscia.proxy.httpProxy",
        '"http://proxy.example.com"',
        "conflicting-values",
    ),
]


def _message(values: Object) -> str:
    with pytest.raises(RenderError) as error:
        template_once(with_values("", values))
    return str(error.value)


def _errors(values: Object) -> list[ChartError]:
    return parse_errors(_message(values))


# Helm changes these values before the chart has them, so that messages() cannot validate them.
CHANGED_BY_HELM: list[Object] = [{"master": None}, {"lite": None}]


@pytest.fixture(scope="module")
def validated() -> dict[str, str]:
    """Return the messages for all values of OURS and FACTS, by these values as JSON."""
    cases = [values for values, *_ in [*OURS, *FACTS] if values not in CHANGED_BY_HELM]
    return dict(zip(map(json.dumps, cases), messages(cases), strict=True))


def _check(message: str, *expected: str) -> None:
    assert expected in [(error.id, error.path, error.value) for error in parse_errors(message)]
    assert "@" not in message.replace("@sha256:", "")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("values", "path", "value", "error_id"),
    [case for case in OURS if case[0] not in CHANGED_BY_HELM],
    ids=[f"{path}={value[:40]}" for values, path, value, _ in OURS if values not in CHANGED_BY_HELM],
)
def test_reports_id_path_and_value(
    values: Object, path: str, value: str, error_id: str, validated: dict[str, str]
) -> None:
    _check(validated[json.dumps(values)], error_id, path, value)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("values", "path", "value", "error_id"), OURS, ids=[f"{path}={value[:40]}" for _, path, value, _ in OURS]
)
def test_helm_prints_id_path_and_value(
    values: Object, path: str, value: str, error_id: str, validated: dict[str, str]
) -> None:
    """The same errors, from a rendering of the chart itself."""
    message = _message(values)
    _check(message, error_id, path, value)
    if values not in CHANGED_BY_HELM:
        assert parse_errors(message) == parse_errors(validated[json.dumps(values)])


# (values, facts that the rule has to name)
FACTS: list[tuple[Object, list[str]]] = [
    (_master(domainId="default"), ["default", "kube-system", "master", "cross-domain"]),
    (_master(datastore={**MYSQL, "host": "mysql.db"}), ["mysql.db.svc.cluster.local"]),
    (_master(datastore={**MYSQL, "host": "mysql"}), ["mysql.<namespace>.svc.cluster.local"]),
    (_master(datastore={**MYSQL, "host": "mysql.db.svc"}), ["mysql.db.svc.cluster.local"]),
    (_master(datastore={**MYSQL, "host": "mysql.example.com:3306"}), ["master.datastore.port"]),
    (_master(datastore={**MYSQL, "host": "a:b@tcp(c:1)/d"}), ["master.datastore.port"]),
    (_global(clusterDomain="k8s.example.com", values=_endpoint("https://a.b1")), ["a.b1.svc.k8s.example.com"]),
    (_over_carol(CAROL_TO_BOB), ["alice to carol"]),
    (_over_carol(ALICE_TO_CAROL), ["carol to bob"]),
    (_master(protocol="SSL"), ["TLS", "NOTLS", "MTLS"]),
    (_lite(runtime="docker"), ["runk", "runp", "runc"]),
    (_container(ports=[{"name": "p", "protocol": "TCP"}]), ["HTTP, GRPC"]),
    (_container(config_volume_mounts=[{"sub_path": "a.conf"}]), ["configTemplates"]),
    (_ingress(annotations={NGINX + "rewrite-target": "/$2"}, path="/k"), ["/$2"]),
    (_ingress(annotations={NGINX + "backend-protocol": "HTTP"}), ["HTTPS", "master.protocol"]),
    (_runp(source={**LOCAL, "path": "/data"}), ["/home/kuscia/var/storage"]),
    (_master(domains=TWO, exampleJob={"enabled": True, "appImage": "x"}), ["secretflow-image"]),
    (
        _master(domains={"alice": {}, "bob": {}}, routes=[{"source": "alice", "destination": "bob"}]),
        ["master.routes[0]"],
    ),
    (_master(domains=TWO, routes=[{"source": "alice", "destination": "bob"}] * 2), ["master.routes[0]"]),
]


@pytest.mark.parametrize(("values", "facts"), FACTS, ids=[" ".join(facts) for _, facts in FACTS])
def test_rule_names_the_facts(values: Object, facts: list[str], validated: dict[str, str]) -> None:
    (error,) = parse_errors(validated[json.dumps(values)])
    assert [fact for fact in facts if fact not in error.rule] == []


def test_every_error_id_has_a_test() -> None:
    of_rules = {rule["id"] for rule in rules().values()}  # test_value_rules.py
    assert {error_id for *_, error_id in OURS} | {TOO_OLD, NO_DEFAULTS} | of_rules == chart_error_ids()


def test_every_warning_id_has_a_test() -> None:
    suite = (CHART / "tests/notes_test.yaml").read_text()
    assert chart_warning_ids()
    assert {warning for warning in chart_warning_ids() if f"WARNING \\\\[{warning}\\\\]" not in suite} == set()


def test_error_and_warning_ids_are_distinct() -> None:
    """Each ID has one entry in docs/errors.md."""
    assert chart_error_ids() & chart_warning_ids() == set()


# Not in OURS, since it depends on the cluster.
TOO_OLD = "kubernetes-too-old"
# Not in OURS, since it depends on the files of values; test_messages.py.
NO_DEFAULTS = "default-values-missing"


@pytest.mark.parametrize(("kubernetes", "fails"), [("1.25.16", True), ("1.26.0", False), ("1.20.0", False)])
def test_requires_kubernetes_1_26(kubernetes: str, fails: bool) -> None:
    """1.20.0 is what a Helm without version stamps reports when it is not connected to a cluster."""
    if not fails:
        assert template_once(Scenario(""), kube_version=kubernetes)
        return
    with pytest.raises(RenderError) as error:
        template_once(Scenario(""), kube_version=kubernetes)
    (found,) = parse_errors(str(error.value))
    assert (found.id, found.value) == (TOO_OLD, f"v{kubernetes}")


def test_reports_what_an_extra_object_lacks() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}"
    errors = _errors({"extraObjects": [text, {}, {"apiVersion": "v1", "kind": "ConfigMap"}]})
    lacking = ["[1].apiVersion", "[1].kind", "[1].metadata", "[2].metadata"]
    assert [error.path.removeprefix("extraObjects") for error in errors] == lacking
    assert {error.id for error in errors} == {"missing-value"}


def test_helm_rejects_wrong_types() -> None:
    message = _message(
        {
            "master": {
                "rootless": "yes",
                "domainId": None,
                "image": None,
                "service": ["x"],
                "resources": "big",
                "domains": {"alice": {"endpoint": [1080]}},
                "routes": [1, {"tokenConfig": {"rollingUpdatePeriod": "300"}}],
                "jobs": {"keys": {"hook": "no"}},
                "appImages": {"mine": {"deployTemplates": [{"containers": [{"command": "sh"}]}]}},
            },
            "lite": {"runk": {"affinity": "node1", "dnsServers": "10.0.0.1"}},
            "global": {"kuscia": {"proxy": {"noProxy": ["a"], "httpProxy": ["a"]}}},
            "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 1, "labels": "a"}}],
        }
    )
    assert dict(re.findall(r"at '([^']+)': got (\w+), want", message)) == {
        "/master/rootless": "string",
        "/master/domainId": "null",
        "/master/image": "null",
        "/master/service": "array",
        "/master/resources": "string",
        "/master/domains/alice/endpoint": "array",
        "/master/routes/0": "number",
        "/master/routes/1/tokenConfig/rollingUpdatePeriod": "string",
        "/master/jobs/keys/hook": "string",
        "/master/appImages/mine/deployTemplates/0/containers/0/command": "string",
        "/lite/runk/affinity": "string",
        "/global/kuscia/proxy/noProxy": "array",
        "/global/kuscia/proxy/httpProxy": "array",
        "/lite/runk/dnsServers": "string",
        "/extraObjects/0/metadata/name": "number",
        "/extraObjects/0/metadata/labels": "string",
    }


def test_reports_all_errors_at_once() -> None:
    errors = _errors(
        {
            "master": {
                "domainId": "master",
                "domains": {"bob": None, "Carl": {"endpoint": "carl"}},
                "routes": "none",
                "image": {"pullPolicy": "always", "digest": "latest"},
                "domain": "x",
            },
            "lite": {
                **LITE,
                "domainId": "lite_1",
                "runtime": "x",
                "capacity": {"cpu": "many"},
                "data": {"table": []},
            },
            "mastre": {},
        }
    )
    assert [(error.id, error.path) for error in errors] == [
        ("unknown-key", "mastre"),
        ("unknown-key", "master.domain"),
        ("reserved-domain-id", "master.domainId"),
        ("invalid-domain-id", "master.domains.Carl"),
        ("invalid-image-digest", "master.image.digest"),
        ("unsupported-value", "master.image.pullPolicy"),
        ("endpoint-without-scheme", "master.domains.Carl.endpoint"),
        ("invalid-routes", "master.routes"),
        ("invalid-quantity", "lite.capacity.cpu"),
        ("unknown-key", "lite.data.table"),
        ("invalid-domain-id", "lite.domainId"),
        ("unsupported-value", "lite.runtime"),
    ]


def test_reports_an_error_of_both_components_once() -> None:
    values = _global({"lite": LITE}, imageRegistry="a b", hooksImage={"repository": "a:1"})
    assert [(error.id, error.path) for error in _errors(values)] == [
        ("invalid-image-name", "global.kuscia.hooksImage.repository"),
        ("invalid-image-registry", "global.kuscia.imageRegistry"),
    ]


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_null_removes_entries_of_earlier_files(helm: str, tmp_path: Path) -> None:
    """As if the entry had never been there, in every object."""
    below: Object = {
        "master": {
            "domains": {**TWO, "carol": {"endpoint": "https://c.example.com"}},
            "podLabels": {"team": "a", "tier": "b"},
            "appImages": {
                "mine": {
                    "image": {"name": "a", "tag": "1"},
                    "deployTemplates": [{"name": "a", "containers": [{"name": "c"}]}],
                }
            },
        }
    }
    (tmp_path / "below.yaml").write_text(json.dumps(below))
    nulls: Object = {"master": {"domains": {"carol": None}, "podLabels": {"tier": None}, "appImages": {"mine": None}}}
    without: Object = {"master": {"domains": TWO, "podLabels": {"team": "a"}}}
    removed = template_once(with_values("", nulls, str(tmp_path / "below")), helm)
    assert removed == template_once(with_values("", without), helm)


@pytest.mark.parametrize("secret", ["domainKeyData", "datastoreEndpoint", "liteDeployToken", "clusterToken"])
def test_does_not_print_secrets(secret: str) -> None:
    assert "hunter2" not in _message(_master(extraConfig={secret: "hunter2"}))


ENDPOINTS = [
    "https://kuscia.example.com",
    "http://10.0.0.1:1080",
    "https://kuscia.example.com:443/kuscia/alice",
    "https://kuscia-lite-alice.lite-alice.svc.cluster.local:1080",
    "https://svc.example.com",
    "https://example.com",
    "https://kuscia.cn:1080",
    "https://kuscia.io",
    "https://kuscia.xn--fiqs8s",
    "https://kuscia.bank",
    "https://kuscia.internal",
]


def test_accepts_valid_endpoints() -> None:
    domains = {f"d{number}": {"endpoint": endpoint} for number, endpoint in enumerate(ENDPOINTS)}
    text = find(render(_master(domains=domains)), "ConfigMap", "kuscia-master-domains")["data"]["domains.yaml"]
    assert [domain["endpoint"] for domain in yaml.safe_load(text)["domains"].values()] == ENDPOINTS


@pytest.mark.parametrize(
    ("host", "reader", "release", "refused"),
    [
        ("kuscia.alice", "alice", "ns", True),
        ("kuscia.alice", "", "alice", True),
        ("kuscia.alice", "", "ns", False),
        # A namespace may have the name of a common top-level domain.
        ("kuscia.dev", "dev", "dev", False),
        ("kuscia.de", "de", "ns", False),
    ],
)
def test_recognizes_namespaces_that_the_values_name(host: str, reader: str, release: str, refused: bool) -> None:
    given = _endpoint(f"https://{host}")
    if reader:
        given["master"]["domains"]["alice"]["reader"] = {"serviceAccount": "x", "namespace": reader}
    if not refused:
        assert render(given, namespace=release)
        return
    with pytest.raises(RenderError) as error:
        render(given, namespace=release)
    assert [(found.id, found.path) for found in parse_errors(str(error.value))] == [(SHORT, ENDPOINT)]


def test_steps_know_the_same_country_codes() -> None:
    assert f'"^({hosts.COUNTRY})$"' in (CHART / "charts/common/templates/_validate.tpl").read_text()


@pytest.mark.parametrize("capacity", [{"cpu": 16}, {"cpu": ""}], ids=["enough", "measured"])
def test_accepts_engines_that_fit_into_the_lite(capacity: Object) -> None:
    lite = {"runtime": "runp", "capacity": capacity}
    assert render(_together(lite=lite, appImages=_needing(requests={"cpu": "16", "memory": "8Gi"})))


def test_accepts_engine_pods_that_fit_into_the_lite() -> None:
    pod = _pod({"requests": {"cpu": "1500m"}, "limits": {"cpu": 4}}, {"limits": {"cpu": 2, "nvidia.com/gpu": 1}})
    assert render(_together(lite={"capacity": {"cpu": 3.5}}, appImages=pod))


@pytest.mark.parametrize(
    "values",
    [
        _together({"serviceAccount": {"name": "x", "create": False}}, serviceAccount={"name": "x"})
        | {"master": {"serviceAccount": {"name": "x"}, "domains": {"alice": {"reader": {"namespace": "ns"}}}}},
        _together({"service": {"external": {**NODE_PORT, "nodePort": None}}}, service={"external": NODE_PORT}),
        _master(service={"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack", "clusterIP": "fd00::7"}),
        _master(jobs={"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}),
        _lite(runtime="runc", runc={"privileged": True}, **PROPAGATED),
        _master(
            podAnnotations={
                "container.apparmor.security.beta.kubernetes.io/kuscia": "localhost/a",
                "seccomp.security.alpha.kubernetes.io/pod": "localhost/a/b.json",
                "controller.kubernetes.io/pod-deletion-cost": "-5",
            }
        ),
        _lite(securityContext={**NO_ESCALATION, "capabilities": {"add": ["SYS_ADMIN"]}}),
        _lite(
            extraContainers=[
                {
                    "name": "a",
                    "image": "b",
                    "ports": [{"containerPort": 1}, {"containerPort": 2}, {"containerPort": 3, "name": None}],
                    "lifecycle": {"preStop": {"sleep": {"seconds": 30}}, "postStart": None},
                }
            ],
            extraInitContainers=[
                {"name": "c", "image": "b", "restartPolicy": "Always", "livenessProbe": {"tcpSocket": {"port": 1}}}
            ],
        ),
        _master(resources={"limits": {"nvidia.com/gpu": "1.5k", "hugepages-2Mi": "4Mi", "hugepages-1Gi": "0"}}),
        _lite(
            networkPolicy={
                "gatewayFrom": [
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "255.255.255.255/32"]}},
                    {"ipBlock": {"cidr": "fd00::/8", "except": ["FD01::/64", "fd01:2:3:4:5:6:7:8/128"]}},
                ]
            }
        ),
        _master(jobs={"securityContext": {"runAsUser": None}, "podSecurityContext": {"runAsUser": None}}),
        _lite(rootless=True, securityContext={"runAsUser": 1001}),
        _master(extraConfig={"kusciaAPISans": ["*.Example.com", "10.0.0.7", "fd00::7", "kuscia"]}),
        _ingress(path="/kuscia(/?)(.*)", pathType="ImplementationSpecific"),
        _lite(extraConfig={"agent": {"provider": {"k8s": {"labelsToAdd": {"a": "b"}}}}}),
        _lite(runtime="runp", extraConfig={"agent": None}),
        _table(relativeUri="partitions/"),
        _master(datastore={**MYSQL, "params": {"allowCleartextPasswords": True, "sslpassword": ""}}),
    ],
    ids=json.dumps,
)
def test_accepts_values_that_only_look_like_a_conflict(values: Object) -> None:
    assert render(values)


def test_lite_may_join_another_master() -> None:
    """Only a lite that joins the master of its own release must be one of its domains."""
    assert render({"lite": LITE})


@pytest.mark.parametrize(("runtime", "more"), [("runk", {}), ("runp", {}), ("runc", {"runc": {"privileged": True}})])
def test_accepts_a_bucket_for_every_runtime(runtime: str, more: Object) -> None:
    values = _data(grants=[])
    values["lite"] |= {"runtime": runtime, **more}
    data = find(render(values), "ConfigMap", "kuscia-lite-alice-data")["data"]["data.yaml"]
    assert yaml.safe_load(data)["source"]["bucket"] == "b"


@pytest.mark.parametrize("period", [0, 30, 300, 86400, None])
def test_accepts_valid_route_options(period: int | None) -> None:
    values = _over_carol(ALICE_TO_CAROL, CAROL_TO_BOB)
    values["master"]["routes"][0] |= {"bodyEncryption": "SM4", "tokenConfig": {"rollingUpdatePeriod": period}}
    domains = find(render(values), "ConfigMap", "kuscia-master-domains")["data"]["domains.yaml"]
    route = yaml.safe_load(domains)["routes"][0]
    assert (route["transit"], route["bodyEncryption"]) == ("carol", "SM4")
    assert route["tokenConfig"].get("rollingUpdatePeriod") == period


@pytest.mark.parametrize("domain", ["a", "1", "alice", "0-0", "a" * 63])
def test_accepts_valid_domain_ids(domain: str) -> None:
    deployment = find(render(_lite(domainId=domain)), "Deployment", "kuscia-lite-*")
    assert deployment["metadata"]["labels"]["kuscia-chart/domain"] == domain


OF_A_BUCKET = {
    "endpoint": "https://s3.example.com",
    "bucket": "b",
    "prefix": "tables",
    "virtualhost": False,
    "version": "s3v4",
    "storageType": "oss",
    "createBucket": True,
    "credentialsSecret": {"name": "s"},
}


@pytest.mark.parametrize("helm", ["helm", "helm3"])
@pytest.mark.parametrize(
    ("below", "on_top", "left"),
    [
        (OF_A_BUCKET, {"type": "localfs", "path": LOCAL["path"]}, list(OF_A_BUCKET)),
        ({"path": LOCAL["path"]}, {"type": "oss", "path": LOCAL["path"], **OF_A_BUCKET}, ["path"]),
    ],
    ids=["bucket-below-files", "files-below-bucket"],
)
def test_example_removes_keys_of_an_earlier_values_file(
    helm: str, below: Object, on_top: Object, left: list[str], tmp_path: Path
) -> None:
    """Following the examples (`key: null` for each reported key) gives a configuration without these keys."""
    (tmp_path / "copy.yaml").write_text(json.dumps({"lite": {"data": {"source": below}}}))
    presets = ("alice", "alice-tables", "runp", str(tmp_path / "copy"))

    def scenario(source: Object) -> Scenario:
        return with_values("", {"lite": {"data": {"source": source}}}, *presets)

    with pytest.raises(RenderError) as error:
        template_once(scenario(on_top), helm)
    errors = parse_errors(str(error.value))
    assert {error.id for error in errors} == {"unused-data-source-key"}
    assert {error.path for error in errors} == {f"lite.data.source.{key}" for key in left}
    fix: Object = {}
    for found in errors:
        assert yaml.safe_load(found.example) == {found.path: None}
        fix[found.path.rpartition(".")[2]] = None
    objects = parse(template_once(scenario(on_top | fix), helm))
    config = yaml.safe_load(find(objects, "ConfigMap", "kuscia-lite-alice-data")["data"]["data.yaml"])
    assert not set(config["source"]) & set(left)
    assert config["source"]["type"] == on_top["type"]
