"""Each wrong value, and what the user is told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import Object, RenderError, Scenario, find, parse, render, template_once, with_values

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
URL = "https://files.example.com/a.csv"
MYSQL = {
    "type": "mysql",
    "host": "db.example.com",
    "database": "kuscia",
    "user": "kuscia",
    "existingSecret": "db",
}
TWO = {"alice": {"endpoint": "https://a.example.com"}, "bob": {"endpoint": "https://b.example.com"}}


def _master(**values: Any) -> Object:
    return {"master": values}


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


TEMPLATE = "master.appImages.mine.deployTemplates[0]"


ENDPOINT = "master.domains.alice.endpoint"


def _endpoint(value: Any) -> Object:
    return _master(domains={"alice": {"endpoint": value}})


NGINX = "nginx.ingress.kubernetes.io/"


def _ingress(**values: Any) -> Object:
    return _master(ingress={"enabled": True, "host": "kuscia.example.com", **values})


# (values, path, value as it is shown, part of the rule)
OURS: list[tuple[Object, str, str, str]] = [
    (_master(domainId="default"), "master.domainId", '"default"', "Kuscia keeps for itself"),
    (_master(domainId=""), "master.domainId", '""', "1 to 63 lower-case"),
    (_master(domainId=None), "master.domainId", "null", "a domain ID is text"),
    (_lite(domainId="Alice"), "lite.domainId", '"Alice"', "1 to 63 lower-case"),
    (_lite(domainId="a.b"), "lite.domainId", '"a.b"', "1 to 63 lower-case"),
    (_lite(domainId="-a"), "lite.domainId", '"-a"', "begins and ends with"),
    (_lite(domainId="a" * 64), "lite.domainId", f'"{"a" * 64}"', "1 to 63"),
    (_lite(domainId=7), "lite.domainId", "7", "quote it"),
    (_lite(domainId="cross-domain"), "lite.domainId", '"cross-domain"', "keeps for itself"),
    (_master(domains={"alice": None}), "master.domains.alice", "null", "which may be empty: {}"),
    (_master(domains={"Bob": {}}), "master.domains.Bob", '"Bob"', "1 to 63 lower-case"),
    (
        _master(domains={"kuscia-system": {}}),
        "master.domains.kuscia-system",
        '"kuscia-system"',
        "no lite domain",
    ),
    (
        _endpoint("kuscia.example.com:1080"),
        ENDPOINT,
        '"kuscia.example.com:1080"',
        "begins with http:// or https://",
    ),
    (_endpoint("https://a.b.svc:1080"), ENDPOINT, '"https://a.b.svc:1080"', "end in '.svc'"),
    (_endpoint("https://a.b.svc"), ENDPOINT, '"https://a.b.svc"', "end in '.svc'"),
    (_endpoint("https://alice:1080"), ENDPOINT, '"https://alice:1080"', "short names"),
    (_endpoint("https://a_b.example.com"), ENDPOINT, '"https://a_b.example.com"', "no underscore"),
    (_endpoint("https://[fd00::1]:1080"), ENDPOINT, '"https://[fd00::1]:1080"', "IPv6"),
    (_endpoint("https://fd00::1"), ENDPOINT, '"https://fd00::1"', "IPv6"),
    (_endpoint("https://a.example.com:70000"), ENDPOINT, '"https://a.example.com:70000"', "1 to 65535"),
    (_endpoint("https://a.example.com:x"), ENDPOINT, '"https://a.example.com:x"', "1 to 65535"),
    (_endpoint("https://u@a.example.com"), ENDPOINT, '"https://u@a.example.com"', "without user"),
    (_endpoint("https://a.example.com/p?q"), ENDPOINT, '"https://a.example.com/p?q"', "without user"),
    (
        _endpoint("https://a.example.com/k(/|$)(.*)"),
        ENDPOINT,
        '"https://a.example.com/k(/|$)(.*)"',
        "regular expression",
    ),
    (_endpoint("https://a.example.com/a//b"), ENDPOINT, '"https://a.example.com/a//b"', "between single '/'"),
    (_endpoint("https://a.example.com/a/../b"), ENDPOINT, '"https://a.example.com/a/../b"', "between single '/'"),
    (_endpoint("https://a.example.com/a%20b"), ENDPOINT, '"https://a.example.com/a%20b"', "put before that of each"),
    (_endpoint("https://"), ENDPOINT, '"https://"', "no host name"),
    (
        _master(
            service={"external": {"enabled": True, "type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}
        ),
        "master.service.external.loadBalancerSourceRanges",
        '["10.0.0.0/8"]',
        "only a load balancer",
    ),
    (
        _lite(service={"external": {"enabled": True, "type": "NodePort", "loadBalancerClass": "x"}}),
        "lite.service.external.loadBalancerClass",
        '"x"',
        "only a load balancer",
    ),
    (_ingress(host="https://k.example.com"), "master.ingress.host", '"https://k.example.com"', "a host name alone"),
    (_ingress(host="k.example.com:443"), "master.ingress.host", '"k.example.com:443"', "without scheme, port or path"),
    (_ingress(host="K.example.com"), "master.ingress.host", '"K.example.com"', "in lower case"),
    (_ingress(path="/k(/|$)(.*)"), "master.ingress.pathType", '"Prefix"', "for the controller to understand"),
    (
        _ingress(annotations={NGINX + "rewrite-target": "/$2"}, path="/k"),
        "master.ingress.path",
        '"/k"',
        "takes group $2 of the path, which has 0",
    ),
    (
        _ingress(annotations={NGINX + "backend-protocol": "HTTP"}),
        f'master.ingress.annotations["{NGINX}backend-protocol"]',
        '"HTTP"',
        "the gateway speaks https, as master.protocol says",
    ),
    (
        _lite(protocol="NOTLS", ingress={"enabled": True, "annotations": {NGINX + "backend-protocol": "HTTPS"}}),
        f'lite.ingress.annotations["{NGINX}backend-protocol"]',
        '"HTTPS"',
        "the gateway speaks http, as lite.protocol says",
    ),
    (_endpoint(1080), ENDPOINT, "1080", "an endpoint is needed"),
    (_master(domains={"alice": {"cert": "xyz"}}), "master.domains.alice.cert", '"xyz"', "PEM text"),
    (
        _master(domains={"alice": {"cert": "-----BEGIN RSA PRIVATE KEY-----"}}),
        "master.domains.alice.cert",
        "(not shown: a private key)",
        "private key has to stay",
    ),
    (
        _master(domains={"alice": {"reader": {"serviceAccount": "x"}}}),
        "master.domains.alice.reader.namespace",
        "null",
        "found by its namespace",
    ),
    (_master(protocol=""), "master.protocol", '""', "one of TLS, NOTLS, MTLS"),
    (_master(protocol="SSL"), "master.protocol", '"SSL"', "one of TLS, NOTLS, MTLS"),
    (_lite(protocol=True), "lite.protocol", "true", "one of TLS, NOTLS, MTLS"),
    (
        _master(extraConfig={"kusciaAPI": {"x": 1}}),
        "master.extraConfig.kusciaAPI",
        "(a block)",
        "Kuscia crashes",
    ),
    (_lite(extraConfig={"kusciaAPI": None}), "lite.extraConfig.kusciaAPI", "(a block)", "Kuscia crashes"),
    (
        _master(extraConfig={"datastoreEndpoint": "x"}),
        "master.extraConfig.datastoreEndpoint",
        "(not shown)",
        "secrets stay",
    ),
    (
        _lite(extraConfig={"liteDeployToken": "x"}),
        "lite.extraConfig.liteDeployToken",
        "(not shown)",
        "secrets stay",
    ),
    (
        _master(extraConfig={"clusterToken": "hunter2"}),
        "master.extraConfig.clusterToken",
        "(not shown)",
        "this looks like a secret, and extraConfig is kept in a ConfigMap",
    ),
    (
        _lite(extraConfig={"image": {"registries": [{"password": "hunter2"}]}}),
        "lite.extraConfig.image.registries[0].password",
        "(not shown)",
        "put it into a kuscia.yaml in a Secret",
    ),
    (
        _master(extraConfig={"domainRoute": {"externalTLS": {"enableTLS": True}}}),
        "master.extraConfig.domainRoute.externalTLS",
        "(a block)",
        "with a protocol set, Kuscia takes a certificate that it makes itself",
    ),
    (
        _lite(extraConfig={"masterEndpoint": "x"}),
        "lite.extraConfig.masterEndpoint",
        '"x"',
        "a value of its own",
    ),
    (
        _lite(extraConfig={"runk": {"namespace": "x"}}),
        "lite.extraConfig.runk.namespace",
        '"x"',
        "a value of its own",
    ),
    (_lite(extraConfig={"runk": "x"}), "lite.extraConfig.runk", '"x"', "runk is a block"),
    (
        _master(extraConfig={"kusciaAPISans": "x"}),
        "master.extraConfig.kusciaAPISans",
        '"x"',
        "a list of names",
    ),
    (_master(routes=[1]), "master.routes[0]", "1", "a source and a destination"),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "parties": []}),
        "master.exampleJob.parties",
        "[]",
        "two different domains",
    ),
    (_master(extraConfig={"mode": "lite"}), "master.extraConfig.mode", '"lite"', "a value of its own"),
    (
        _master(datastore={"type": "oracle"}),
        "master.datastore.type",
        '"oracle"',
        "one of sqlite, mysql, postgres",
    ),
    (_master(datastore={**MYSQL, "host": ""}), "master.datastore.host", '""', "a host name is needed"),
    (
        _master(datastore={**MYSQL, "host": "mysql.db.svc"}),
        "master.datastore.host",
        '"mysql.db.svc"',
        "end in '.svc'",
    ),
    (_master(datastore={**MYSQL, "host": "mysql"}), "master.datastore.host", '"mysql"', "short names"),
    (_master(datastore={**MYSQL, "database": ""}), "master.datastore.database", '""', "mysql needs it"),
    (_master(datastore={**MYSQL, "user": ""}), "master.datastore.user", '""', "mysql needs it"),
    (
        _master(datastore={**MYSQL, "existingSecret": ""}),
        "master.datastore.existingSecret",
        '""',
        "the password",
    ),
    (
        _master(datastore={**MYSQL, "database": "a/b"}),
        "master.datastore.database",
        '"a/b"',
        "name of a database",
    ),
    (_master(datastore={**MYSQL, "user": "a:b"}), "master.datastore.user", '"a:b"', "cannot take a ':'"),
    (
        _master(datastore={**MYSQL, "params": {"tls": "required"}}),
        "master.datastore.params.tls",
        '"required"',
        "one of true, false, skip-verify, preferred",
    ),
    (
        _master(datastore={**MYSQL, "type": "postgres", "params": {"sslmode": "verify"}}),
        "master.datastore.params.sslmode",
        '"verify"',
        "one of disable, allow, prefer, require, verify-ca, verify-full",
    ),
    (_master(routes="some"), "master.routes", '"some"', "'all', or a list"),
    (_master(routes={"a": "b"}), "master.routes", '{"a":"b"}', "'all', or a list"),
    (
        _route(source="alice", destination="carol"),
        "master.routes[0].destination",
        '"carol"',
        "joins two domains",
    ),
    (
        _route(source="kuscia-system", destination="bob"),
        "master.routes[0].source",
        '"kuscia-system"',
        "Kuscia makes itself",
    ),
    (
        _route(source="alice", destination="alice"),
        "master.routes[0]",
        '"alice to alice"',
        "to another domain",
    ),
    (
        _route(source="alice", destination="bob", transit="x"),
        "master.routes[0].transit",
        '"x"',
        "pass through a domain",
    ),
    (_route(source="alice", destination="bob", transit=7), "master.routes[0].transit", "7", "the ID of the domain"),
    (
        _route(source="alice", destination="bob", transit="bob"),
        "master.routes[0].transit",
        '"bob"',
        "a third domain, not one of the two ends",
    ),
    (
        _over_carol(CAROL_TO_BOB),
        "master.routes[0].transit",
        '"carol"',
        "two routes without transit; alice to carol is not in master.routes",
    ),
    (
        _over_carol(ALICE_TO_CAROL),
        "master.routes[0].transit",
        '"carol"',
        "carol to bob is not in master.routes",
    ),
    (
        _over_carol(ALICE_TO_CAROL, {**CAROL_TO_BOB, "transit": "alice"}),
        "master.routes[0].transit",
        '"carol"',
        "carol to bob is not in master.routes",
    ),
    (
        _route(source="alice", destination="bob", bodyEncryption="DES"),
        "master.routes[0].bodyEncryption",
        '"DES"',
        "one of AES, SM4",
    ),
    (
        _route(source="alice", destination="bob", tokenConfig={"tokenGenMethod": "RSA"}),
        "master.routes[0].tokenConfig.tokenGenMethod",
        '"RSA"',
        "one of RSA-GEN, UID-RSA-GEN",
    ),
    *(
        (
            _route(source="alice", destination="bob", tokenConfig={"rollingUpdatePeriod": period}),
            "master.routes[0].tokenConfig.rollingUpdatePeriod",
            shown,
            "seconds after which a token is replaced, 300 or more; 0 keeps it for ever",
        )
        for period, shown in ((-1, "-1"), (0.5, "0.5"), ("1h", '"1h"'), ("300", '"300"'))
    ),
    (
        _master(domains=TWO, routes=[{"source": "alice", "destination": "bob"}] * 2),
        "master.routes[1]",
        '"alice to bob"',
        "one route for each direction",
    ),
    (
        _master(domains={"alice": {}, "bob": {}}, routes=[{"source": "alice", "destination": "bob"}]),
        "master.domains.bob.endpoint",
        "null",
        "leads there",
    ),
    (
        _engine(image={"name": "a/b", "tag": ""}),
        "master.appImages.mine.image",
        '{"name":"a/b","tag":""}',
        "name and the tag",
    ),
    (_engine(deployTemplates=[]), "master.appImages.mine.deployTemplates", "[]", "at least one template"),
    (
        _container(ports=[{"name": "p"}, {"name": "p"}]),
        "master.appImages.mine.deployTemplates[0]",
        '"p"',
        "occurs once",
    ),
    (_engine(image={"name": "a/b:1", "tag": "1"}), "master.appImages.mine.image.name", '"a/b:1"', "without tag and"),
    (_engine(deployTemplates=[{"containers": [{"name": "c"}]}]), f"{TEMPLATE}.name", "null", "a template has a name"),
    (_engine(deployTemplates=[{"name": "x"}]), f"{TEMPLATE}.containers", "null", "at least one container"),
    (_engine(deployTemplates=[{"name": "x", "spec": {}}]), TEMPLATE, "spec", "ignore keys other than name, role"),
    (
        _engine(deployTemplates=[{"name": "x", "restart_policy": "never", "containers": [{"name": "c"}]}]),
        f"{TEMPLATE}.restart_policy",
        '"never"',
        "one of Always, OnFailure, Never",
    ),
    (_container(name=""), f"{TEMPLATE}.containers[0].name", '""', "a container has a name"),
    (_container(workingDir="/x"), f"{TEMPLATE}.containers[0]", "workingDir", "ignore keys other than name, command"),
    (_container(command="sh"), f"{TEMPLATE}.containers[0].command", '"sh"', "this is a list"),
    (
        _container(config_volume_mounts=[{"mount_path": "/a", "sub_path": "a.conf"}]),
        f"{TEMPLATE}.containers[0].config_volume_mounts",
        '{"mount_path":"/a","sub_path":"a.conf"}',
        "one of configTemplates: there are none",
    ),
    (
        _container(ports=[{"name": "p", "protocol": "TCP"}]),
        f"{TEMPLATE}.containers[0].ports",
        '"TCP"',
        "the protocol of port p: one of HTTP, GRPC",
    ),
    (
        _container(ports=[{"name": "p", "scope": "All"}]),
        f"{TEMPLATE}.containers[0].ports",
        '"All"',
        "the scope of port p: one of Cluster, Domain, Local",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "appImage": "x"}),
        "master.exampleJob.appImage",
        '"x"',
        "one of master.appImages: secretflow-image",
    ),
    (
        _master(exampleJob={"enabled": True}),
        "master.exampleJob.parties[1].domain",
        '"bob"',
        "a party is a domain",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "initiator": "carol"}),
        "master.exampleJob.initiator",
        '"carol"',
        "one of the parties",
    ),
    (_master(image={"tag": ""}), "master.image.tag", '""', "a tag or a digest"),
    (_master(image={"tag": 1.1}), "master.image.tag", "1.1", "quote it"),
    (_lite(image={"tag": 20240101}), "lite.image.tag", "20240101", "quote it"),
    (_engine(image={"name": "a/b", "tag": 2}), "master.appImages.mine.image.tag", "2", "quote it"),
    (_master(enabled=False), "master.enabled, lite.enabled", "false, false", "a master, a lite, or both"),
    (_lite(master={"endpoint": ""}), "lite.master.endpoint", '""', "an endpoint is needed"),
    (
        _lite(master={"endpoint": "https://kuscia-master.kuscia-master.svc:1080"}),
        "lite.master.endpoint",
        '"https://kuscia-master.kuscia-master.svc:1080"',
        "end in '.svc'",
    ),
    (_lite(runtime="docker"), "lite.runtime", '"docker"', "one of runk, runp, runc"),
    (_lite(runtime=None), "lite.runtime", "null", "one of runk, runp, runc"),
    (_lite(runtime="runc"), "lite.runc.privileged", "false", "a privileged container only"),
    (
        _lite(runtime="runc", rootless=True, runc={"privileged": True}),
        "lite.rootless",
        "true",
        "runk and runp work rootless",
    ),
    (_lite(capacity={"memory": None}), "lite.capacity.memory", "null", "RunK needs cpu, memory and storage"),
    (_lite(capacity=None), "lite.capacity.cpu", "null", "RunK needs cpu, memory and storage"),
    (
        _lite(capacity={"memory": "8 GB"}),
        "lite.capacity.memory",
        '"8 GB"',
        "an amount as Kubernetes writes it",
    ),
    (_lite(capacity={"storage": ""}), "lite.capacity.storage", "null", "RunK needs cpu, memory and storage"),
    (_lite(capacity={"cpu": "four"}), "lite.capacity.cpu", '"four"', "an amount as Kubernetes writes it"),
    (_lite(capacity={"cpu": 0}), "lite.capacity.cpu", "0", "more than nothing"),
    (_lite(capacity={"storage": "0Gi"}), "lite.capacity.storage", '"0Gi"', "more than nothing"),
    (
        _lite(runk={"podLabels": {"kuscia.secretflow/namespace": "bob"}}),
        "lite.runk.podLabels.kuscia.secretflow/namespace",
        '"bob"',
        "Kuscia finds its engine pods by",
    ),
    (
        _lite(podLabels={"app.kubernetes.io/component": "kuscia"}),
        "lite.podLabels.app.kubernetes.io/component",
        '"kuscia"',
        "the chart sets this one itself",
    ),
    (
        _lite(jobs={"podAnnotations": {"checksum/config": "x"}}),
        "lite.jobs.podAnnotations.checksum/config",
        '"x"',
        "the chart sets this one itself",
    ),
    (_lite(runk={"podLabels": {"team": 7}}), "lite.runk.podLabels.team", "7", "a label is text"),
    (_lite(runk={"podLabels": {"team": "a b"}}), "lite.runk.podLabels.team", '"a b"', "a label is text"),
    (_lite(runk={"podLabels": {"a team": "x"}}), "lite.runk.podLabels.a team", '"x"', "a key is [prefix/]name"),
    (_lite(runk={"podAnnotations": {"a/b/c": "x"}}), "lite.runk.podAnnotations.a/b/c", '"x"', "a key is [prefix/]name"),
    (_lite(runk={"affinity": "node1"}), "lite.runk.affinity", '"node1"', "a pod's affinity is a block"),
    (
        _lite(runk={"affinity": {"nodeSelector": {"a": "b"}}}),
        "lite.runk.affinity.nodeSelector",
        '{"a":"b"}',
        "Kuscia drops what it does not know",
    ),
    (
        _lite(runk={"affinity": {"nodeAffinity": []}}),
        "lite.runk.affinity.nodeAffinity",
        "[]",
        "has the blocks nodeAffinity",
    ),
    (_lite(runk={"runtimeClassName": "Kata_1"}), "lite.runk.runtimeClassName", '"Kata_1"', "a RuntimeClass"),
    (_data(source={}), "lite.data.source.id", "null", "a data source, which has an ID"),
    (_data(source={**SOURCE, "type": "s3"}), "lite.data.source.type", '"s3"', "one of oss, localfs"),
    (
        _data(source={**SOURCE, "endpoint": "http://s3:9000"}),
        "lite.data.source.endpoint",
        '"http://s3:9000"',
        "short names",
    ),
    (
        _data(source={**SOURCE, "endpoint": "https://s3.example.com/alice"}),
        "lite.data.source.endpoint",
        '"https://s3.example.com/alice"',
        "the endpoint of a store has no path",
    ),
    (
        _data(source={**SOURCE, "endpoint": "https://s3.example.com?x=1"}),
        "lite.data.source.endpoint",
        '"https://s3.example.com?x=1"',
        "is http(s)://host[:port], without user",
    ),
    (_data(source={**SOURCE, "bucket": ""}), "lite.data.source.bucket", '""', "needs a bucket"),
    (
        _data(source={**SOURCE, "credentialsSecret": {}}),
        "lite.data.source.credentialsSecret.name",
        '""',
        "access key",
    ),
    (
        _data(source={"id": "a", "type": "localfs", "path": "/x"}),
        "lite.data.source.type",
        '"localfs"',
        "cannot see files",
    ),
    (
        _runp(source={"id": "a", "type": "localfs"}),
        "lite.data.source.path",
        "null",
        "a path in the lite's pod",
    ),
    (
        _runp(source={**LOCAL, "path": "/data"}),
        "lite.data.source.path",
        '"/data"',
        "a path below /home/kuscia/var/storage",
    ),
    (
        _runp(source={**LOCAL, "path": "/home/kuscia/var/storage/../certs"}),
        "lite.data.source.path",
        '"/home/kuscia/var/storage/../certs"',
        "on a volume only",
    ),
    (
        _runp(source={**LOCAL, "bucket": "alice"}),
        "lite.data.source.bucket",
        '"alice"',
        "a data source of type localfs has none",
    ),
    (
        _data(source={**SOURCE, "path": "/home/kuscia/var/storage/data"}),
        "lite.data.source.path",
        '"/home/kuscia/var/storage/data"',
        "a data source of type oss has none",
    ),
    (
        _runp(source=LOCAL, tables=[{**TABLE, "relativeUri": "../t.csv"}]),
        "lite.data.tables[0].relativeUri",
        '"../t.csv"',
        "without '..'",
    ),
    (_data(tables=[{**TABLE, "id": "A"}]), "lite.data.tables[0].id", '"A"', "1 to 63 lower-case"),
    (_data(tables=[TABLE, TABLE]), "lite.data.tables[1].id", '"t"', "occurs once"),
    (_data(tables=[{**TABLE, "columns": []}]), "lite.data.tables[0].columns", "[]", "told the columns"),
    (
        _data(tables=[{**TABLE, "relativeUri": ""}]),
        "lite.data.tables[0].relativeUri",
        '""',
        "below the data source",
    ),
    (_table(url="ftp://x/a.csv"), "lite.data.tables[0].url", "(not shown)", "a user and a password go into the Secret"),
    (_table(url="https://u:p@x/a.csv"), "lite.data.tables[0].url", "(not shown)", "the Secret that urlSecret names"),
    (_table(url="https://x/a?X-Amz-Signature=1"), "lite.data.tables[0].url", "(not shown)", "is a credential"),
    (_table(url=URL, example="alice"), "lite.data.tables[0]", '["example","url"]', "from one place"),
    (_table(urlSecret="s"), "lite.data.tables[0].urlSecret", '"s"', "what the server of `url` asks for"),
    (_table(claim={"path": "a.csv"}), "lite.data.tables[0].claim.name", "null", "PersistentVolumeClaim"),
    (_table(claim={"name": "c", "path": "/a.csv"}), "lite.data.tables[0].claim.path", '"/a.csv"', "leading slash"),
    (_table(claim={"name": "c", "path": "../a.csv"}), "lite.data.tables[0].claim.path", '"../a.csv"', "without '..'"),
    (_table(sha256="0" * 64), "lite.data.tables[0].sha256", f'"{"0" * 64}"', "of what a url or a claim brings"),
    (_table(url=URL, sha256="ABC"), "lite.data.tables[0].sha256", '"ABC"', "64 lower-case hex digits"),
    (_table(columnTypes={"*": "str"}), "lite.data.tables[0].columnTypes", '{"*":"str"}', "either the columns"),
    (
        _table(columns=[], columnTypes={"true": "int"}),
        "lite.data.tables[0].columnTypes",
        '{"true":"int"}',
        "quote them",
    ),
    (
        _table(columns=[], columnTypes={"*": "str"}, relativeUri="t.orc"),
        "lite.data.tables[0].columnTypes",
        '{"*":"str"}',
        "only the header of a CSV file",
    ),
    (
        _data(tables=[{**TABLE, "url": URL}, {**TABLE, "id": "u", "url": URL}]),
        "lite.data.tables[1].relativeUri",
        '"t.csv"',
        "another table's content",
    ),
    (
        _runp(source=LOCAL, tables=[{**TABLE, "url": URL, "urlSecret": "s"}]),
        "lite.data.tables[0].urlSecret",
        '"s"',
        "reads no Secrets of yours",
    ),
    (
        _master(domains=TWO, exampleJob={"enabled": True, "output": "x" * 41}),
        "master.exampleJob.output",
        f'"{"x" * 41}"',
        "1 to 40 lower-case",
    ),
    (
        _data(grants=[{"table": "x", "domain": "bob"}]),
        "lite.data.grants[0].table",
        '"x"',
        "one of lite.data.tables",
    ),
    (
        _data(grants=[{"table": "t", "domain": "alice"}]),
        "lite.data.grants[0].domain",
        '"alice"',
        "another domain",
    ),
]


def _told(values: Object) -> str:
    with pytest.raises(RenderError) as error:
        render(values)
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "path", "value", "rule"), OURS, ids=[f"{path}={value[:40]}" for _, path, value, _ in OURS]
)
def test_our_own_rules(values: Object, path: str, value: str, rule: str) -> None:
    told = _told(values)
    lines = (rf"\d+\. {re.escape(path)}", f"value:   {re.escape(value)}", f"rule:    .*{re.escape(rule)}.*")
    pattern = r"\n     ".join([*lines, r"example: .*\S"])
    assert re.search(pattern, told), told


# (values, what the schema says)
SCHEMA: list[tuple[Object, str]] = [
    ({"mastre": {}}, "additional properties 'mastre' not allowed"),
    ({"master": {"domain": "x"}}, "at '/master': additional properties 'domain' not allowed"),
    ({"lite": {"data": {"table": []}}}, "at '/lite/data': additional properties 'table' not allowed"),
    (
        {"global": {"kuscia": {"registry": "x"}}},
        "at '/global/kuscia': additional properties 'registry' not allowed",
    ),
    (
        _master(domains={"alice": {"endpiont": "x"}}),
        "at '/master/domains/alice': additional properties 'endpiont'",
    ),
    (_master(domains=["alice"]), "at '/master/domains': got array, want object"),
    (_master(enabled="yes"), "at '/master/enabled': got string, want boolean"),
    (_master(image={"digest": "latest"}), "at '/master/image/digest'"),
    (_master(image={"pullPolicy": "always"}), "at '/master/image/pullPolicy'"),
    (_master(jobs={"keys": {"hook": "no"}}), "at '/master/jobs/keys/hook': got string, want boolean"),
    (_master(jobs={"data": {}}), "at '/master/jobs': additional properties 'data' not allowed"),
    (_master(resources="big"), "at '/master/resources': got string, want"),
    (_master(service={"external": {"type": "ClusterIP"}}), "at '/master/service/external/type'"),
    (_master(datastore={"port": 0}), "at '/master/datastore/port'"),
    (_lite(runk={"dnsServers": "10.0.0.1"}), "at '/lite/runk/dnsServers': got string, want array"),
]


@pytest.mark.parametrize(("values", "message"), SCHEMA, ids=[message for _, message in SCHEMA])
def test_types_and_unknown_keys(values: Object, message: str) -> None:
    assert message in _told(values)


def test_all_errors_at_once() -> None:
    told = _told(
        {
            "master": {
                "domainId": "master",
                "domains": {"bob": None, "Carl": {"endpoint": "carl"}},
                "routes": "none",
            },
            "lite": {**LITE, "domainId": "lite_1", "runtime": "x", "capacity": {"cpu": "many"}},
        }
    )
    assert "8 errors in the values" in told
    paths = re.findall(r"^ *\d+\. (\S+)", told, re.M)
    assert paths == [
        "master.domainId",
        "master.domains.Carl",
        "master.domains.Carl.endpoint",
        "master.domains.bob",
        "master.routes",
        "lite.domainId",
        "lite.runtime",
        "lite.capacity.cpu",
    ]


@pytest.mark.parametrize("secret", ["domainKeyData", "datastoreEndpoint", "liteDeployToken", "clusterToken"])
def test_secrets_are_not_repeated(secret: str) -> None:
    assert "hunter2" not in _told(_master(extraConfig={secret: "hunter2"}))


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://kuscia.example.com",
        "http://10.0.0.1:1080",
        "https://kuscia.example.com:443/kuscia/alice",
        "https://kuscia-lite-alice.lite-alice.svc.cluster.local:1080",
        "https://svc.example.com",
    ],
)
def test_right_endpoints_are_taken(endpoint: str) -> None:
    assert render(_endpoint(endpoint))


@pytest.mark.parametrize(("runtime", "more"), [("runk", {}), ("runp", {}), ("runc", {"runc": {"privileged": True}})])
def test_a_bucket_is_right_for_every_runtime(runtime: str, more: Object) -> None:
    values = _data(grants=[])
    values["lite"] |= {"runtime": runtime, **more}
    assert render(values)


@pytest.mark.parametrize("period", [0, 30, 300, 86400, None])
def test_right_routes_are_taken(period: int | None) -> None:
    values = _over_carol(ALICE_TO_CAROL, CAROL_TO_BOB)
    values["master"]["routes"][0] |= {"bodyEncryption": "SM4", "tokenConfig": {"rollingUpdatePeriod": period}}
    assert render(values)


@pytest.mark.parametrize("domain", ["a", "1", "alice", "0-0", "a" * 63])
def test_right_domain_ids_are_taken(domain: str) -> None:
    assert render(_lite(domainId=domain))


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
def test_what_another_file_left_is_taken_away_as_the_example_says(
    helm: str, below: Object, on_top: Object, left: list[str], tmp_path: Path
) -> None:
    """null in the file on top, for each key that the message names; the steps then get none of them."""
    (tmp_path / "copy.yaml").write_text(json.dumps({"lite": {"data": {"source": below}}}))
    presets = ("alice", "runp", str(tmp_path / "copy"))

    def scenario(source: Object) -> Scenario:
        return with_values("", {"lite": {"data": {"source": source}}}, *presets)

    with pytest.raises(RenderError) as error:
        template_once(scenario(on_top), helm)
    examples = re.findall(r"example: (lite\.data\.source\.(\w+): null)$", str(error.value), re.MULTILINE)
    assert {key for _, key in examples} == set(left)
    mended = on_top | {key: yaml.safe_load(text)[f"lite.data.source.{key}"] for text, key in examples}
    objects = parse(template_once(scenario(mended), helm))
    config = yaml.safe_load(find(objects, "ConfigMap", "kuscia-lite-alice-data")["data"]["data.yaml"])
    assert not set(config["source"]) & set(left)
    assert config["source"]["type"] == on_top["type"]
