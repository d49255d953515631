"""Random values files, release names and namespaces; a seed and a number always give the same case."""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

import yaml

from schema.source import keys, read, resolve
from tests.chart.render import Scenario
from tests.chart.scenarios import ALL
from tests.fuzz import scalars
from tests.fuzz.values import Path, Tree, dump, effective, get, merge, paths, put

Schema = dict[str, Any]
SCHEMA: Schema = read()
BLOCKS: dict[str, dict[str, list[Any]]] = yaml.safe_load((File(__file__).parent / "blocks.yaml").read_text())
PASSED_THROUGH = {
    **{key.path.rpartition(".")[2]: key.node["x-kubernetes"] for key in keys(SCHEMA) if "x-kubernetes" in key.node},
    "extraObjects": "Object",
    "imagePullSecrets": "LocalObjectReference",
    "nodeSelector": "NodeSelector",
    "hostAliases": "HostAlias",
    "resources": "ResourceRequirements",
    "tls": "IngressTLS",
}
"""Keys whose value becomes part of an object of Kubernetes, with the type of the value or of its items."""
SINGLE = (
    *("Affinity", "NodeSelector", "PodDNSConfig", "PodSecurityContext", "Probe", "ResourceRequirements"),
    "SecurityContext",
)

DOMAINS = ("alice", "bob", "carol", "1", "no", "a-b", "kuscia-system")
SECRETS = ("my-secret", "a.b", "123", "no", "1e3", "a" * 253)
URLS = ("https://a.example.com:1080", "http://a.example.com", "https://k.example.com/path", "https://10.0.0.1:1080")
USUAL: dict[str, tuple[Any, ...]] = {
    "annotations": ({}, {"example.com/team": "risk"}, {"a": "1", "b": "true", "c": "a: b #c"}),
    "appImage": ("secretflow-image", "mine"),
    "args": (["-c", "echo 1"],),
    "bandwidth": ("100", 100),
    "bodyEncryption": ("AES", "SM4", None),
    "bucket": ("alice", "my-bucket", "123"),
    "cidr": ("10.0.0.0/8", "fd00::/8"),
    "className": ("nginx", "123", "my.class"),
    "clusterDomain": ("cluster.local", "example.com", "a.1"),
    "clusterIP": ("", "10.96.0.77", "None"),
    "columns": ([{"name": "id1", "type": "str"}], [{"name": "no", "type": "int", "comment": "a: b"}]),
    "columnTypes": ({"*": "str"}, {"id1": "str", "1": "float"}),
    "configMap": SECRETS,
    "cpu": ("4", 4, 0.5, "500m"),
    "dataSource": ("default-data-source", "mine"),
    "database": ("kuscia", "db1", "123", "no"),
    "destination": DOMAINS,
    "digest": ("", "sha256:" + "a" * 64, "sha256:" + "0" * 64),
    "dnsServers": ([], ["10.96.0.10"], ["10.96.0.10", "8.8.8.8"]),
    "domain": DOMAINS,
    "domainId": DOMAINS,
    "endpoint": URLS,
    "ephemeralStorage": ("50Gi",),
    "example": ("alice", "bob"),
    "existingClaim": ("", *SECRETS),
    "existingSecret": ("", *SECRETS),
    "existingSecretKey": ("password", "domain.key", "1", "no"),
    "extraConfig": ({}, {"logLevel": "DEBUG"}, {"a": {"b": ["1", 1, True, None, "no", "a: b"]}}, {"n": 1000000}),
    "host": ("db.example.com", "10.0.0.5", "mysql.db.svc.cluster.local"),
    "id": ("alice-table", "t", "default-data-source", "1", "no"),
    "imageRegistry": ("registry.example.com", "registry.example.com:5000/mirror", "", "10.0.0.1:5000"),
    "initiator": ("alice", "bob"),
    "keys": (["id1"], ["id1", "id2"]),
    "kubeconfigSecret": ("", *SECRETS),
    "loadBalancerClass": ("", "example.com/lb"),
    "loadBalancerSourceRanges": ([], ["10.0.0.0/8"], ["10.0.0.0/8", "192.168.1.1/32"]),
    "memory": ("8Gi", "1G", 1e9, "1000000000"),
    "name": ("alice.csv", "a", "alice-files", "1", "no"),
    "namespace": ("", "engines", "9999", "lite-alice"),
    "nodePort": (None, 31080),
    "output": ("psi-output", "a"),
    "path": ("/", "/kuscia", "exports/a.csv", "/home/kuscia/var/storage/data"),
    "pods": ("500", 500),
    "port": (None, 1080, 3306),
    "priorityClassName": ("", "system-cluster-critical", "123", None),
    "prefix": ("", "a/b", "no", None),
    "protocol": ("TLS", "NOTLS", "MTLS", None, "tls"),
    "reader": ({"namespace": "lite-alice"}, {"namespace": "9999", "serviceAccount": "123"}, None),
    "relativeUri": ("alice.csv", "a/b.csv", "1", "no", "a b.csv", "节点.csv"),
    "repository": ("secretflow/kuscia", "registry.example.com:5000/a/b", "kuscia"),
    "results": ([], ["alice-result"]),
    "rollingUpdatePeriod": (0, 300, 86400, 1000000),
    "routes": (
        "all",
        [],
        [{"source": "alice", "destination": "bob"}],
        [{"source": "bob", "destination": "alice", "transit": None}],
    ),
    "runId": ("", "1", "2024-01-01", "no", 7),
    "runtime": ("runk", "runp"),
    "runtimeClassName": ("", "kata", "123"),
    "schedule": ("", "0 * * * *", "*/5 1-3 * * 1,2"),
    "secret": SECRETS,
    "serviceAccount": ("default", "123", None),
    "sha256": ("", "a" * 64, "0" * 64, "1" * 64),
    "size": ("20Gi", "1Gi"),
    "source": DOMAINS,
    "storage": ("100Gi",),
    "storageClass": (None, "-", "fast", "123", "no"),
    "table": ("alice-table", "t"),
    "tag": ("1.1.0b0", "1", "1.10", "no", "2024-01-01", 1.1, 7, "1.0@sha256:" + "a" * 64),
    "tokenGenMethod": ("RSA-GEN", "UID-RSA-GEN"),
    "tokenKey": ("token", "1"),
    "tokenSecret": ("", *SECRETS),
    "transit": (None, "carol"),
    "type": ("oss", "localfs", "sqlite", "mysql", "postgres", "table", "str", "int", "NodePort", "LoadBalancer"),
    "url": ("https://files.example.com/a.csv", "https://files.example.com/a.csv?x=1&y=a%20b#c", None),
    "urlSecret": ("alice-files", "123", None),
    "user": ("kuscia", "1", "no", "a b"),
}
"""Values that users give, by key. A key can have several meanings; the chart then rejects some of them."""

BASES = ((), *(scenario.presets for scenario in ALL if scenario.presets))


@dataclass(frozen=True)
class Case:
    """Values, merged into presets, and what `helm` is called with.

    Args:
        tree: the values file, the last one of the command.
        notes: the places that were changed, such as `master.domains.*.endpoint`.
    """

    name: str
    tree: Tree = field(default_factory=dict)
    presets: tuple[str, ...] = ()
    release: str = "kuscia"
    namespace: str = "ns"
    helm: str = "helm"
    notes: tuple[str, ...] = ()

    @property
    def scenario(self) -> Scenario:
        return Scenario(self.name, self.presets, dump(self.tree), self.release, self.namespace)

    def text(self) -> str:
        """Return the values file with the call of Helm as its first line."""
        presets = "".join(f" -f values/{name}.yaml" for name in self.presets)
        names = f"{json.dumps(self.release)} charts/kuscia -n {json.dumps(self.namespace)}"
        return f"# {self.helm} template {names}{presets} -f -\n{dump(self.tree)}"


class Generator:
    """Cases from the schema of the values.

    Args:
        schema: the content of values.schema.yaml.
    """

    def __init__(self, schema: Schema | None = None) -> None:
        self.schema = schema or SCHEMA
        self._leaves: dict[int, float] = {}

    def case(self, seed: int, number: int) -> Case:
        """Return a case: a third valid, half with one unusual value, the others with several."""
        rng = random.Random(f"{seed}/{number}")
        presets = rng.choice(BASES)
        release, namespace = "kuscia", rng.choice(("ns", "ns", "ns", "kuscia-master"))
        if rng.random() < 0.15:
            release = rng.choice(scalars.RELEASES if rng.random() < 0.95 else scalars.INVALID_RELEASES)
            namespace = rng.choice(scalars.NAMESPACES)
        usual, unusual = rng.choices(
            ((rng.randint(2, 6), 0), (rng.randint(0, 2), 1), (0, rng.randint(2, 8))), (30, 55, 15)
        )[0]
        tree: Tree = {}
        notes = []
        for make in [self.usual] * usual + [self.unusual] * unusual:
            notes.append(self._change(rng, tree, presets, make))
        helm = "helm3" if number % 10 == 9 else "helm"
        return Case(f"{seed}/{number}", tree, presets, release, namespace, helm, tuple(notes))

    def _change(
        self,
        rng: random.Random,
        tree: Tree,
        presets: tuple[str, ...],
        make: Callable[[random.Random, Schema, Path, Tree], Tree],
    ) -> str:
        current = merge(effective(presets), tree)
        path, place, schema = self._place(rng, self.schema, current, (), ())
        value = make(rng, schema, path, get(current, path))
        put(tree, path, value, current)
        for end in range(1, len(path)):
            part = self.resolve(self._at(path[:end]))
            if "enabled" in part.get("properties", {}) and rng.random() < 0.8 and path != (*path[:end], "enabled"):
                parent = get(tree, path[:end])
                if isinstance(parent, dict):
                    parent.setdefault("enabled", True)
        return ".".join(place)

    def _at(self, path: Path) -> Schema:
        schema = self.schema
        for key in path:
            schema = self._child(schema, key)
        return schema

    def _child(self, schema: Schema, key: str | int) -> Schema:
        schema = self.resolve(schema)
        if isinstance(key, int):
            return _mapping(schema.get("items"))
        if key in schema.get("properties", {}):
            return _mapping(schema["properties"][key])
        return _mapping(schema.get("additionalProperties"))

    def resolve(self, schema: Schema) -> Schema:
        """Return a part of the schema with its `$ref` written out."""
        return resolve(self.schema, schema)

    def _children(self, schema: Schema, current: Tree, rng: random.Random) -> dict[str | int, Schema]:
        schema = self.resolve(schema)
        found: dict[str | int, Schema] = {name: _mapping(part) for name, part in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and (found == {} or rng.random() < 0.1):
            names = [key for key in (current or {}) if isinstance(key, str)] if isinstance(current, dict) else []
            key = rng.choice(names) if names and rng.random() < 0.6 else rng.choice((*DOMAINS, *scalars.KEYS))
            found[key] = more
        if isinstance(schema.get("items"), dict):
            count = len(current) if isinstance(current, list) else 0
            found[rng.randint(0, count)] = schema["items"]
        return found

    def _weight(self, schema: Schema, depth: int = 0) -> float:
        """Return how often a part of the schema is chosen among its neighbors: more often if it is larger."""
        if id(schema) not in self._leaves:
            parts = self.resolve(schema)
            below = [*parts.get("properties", {}).values(), parts.get("items"), parts.get("additionalProperties")]
            count = sum(
                self._weight(part, depth + 1) ** 1.25 for part in below if isinstance(part, dict) and depth < 12
            )
            self._leaves[id(schema)] = max(count, 1) ** 0.8
        return self._leaves[id(schema)]

    def _place(
        self, rng: random.Random, schema: Schema, current: Tree, path: Path, place: tuple[str, ...]
    ) -> tuple[Path, tuple[str, ...], Schema]:
        """Return a random path, its place in the schema, and the schema there.

        It ends at blocks that are passed through, and sometimes early.
        """
        children = self._children(schema, current, rng)
        through = path and path[-1] in PASSED_THROUGH
        if not children or through or (path and rng.random() < 0.05):
            return path, place, schema
        key = rng.choices(list(children), [self._weight(child) for child in children.values()])[0]
        known = key in self.resolve(schema).get("properties", {})
        sign = "[]" if isinstance(key, int) else key if known else "*"
        return self._place(rng, children[key], get(current, (key,)), (*path, key), (*place, sign))

    def usual(self, rng: random.Random, schema: Schema, path: Path, current: Tree) -> Tree:
        """Return a value that a user would give."""
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        schema = self.resolve(schema)
        if key in PASSED_THROUGH:
            return _block(rng, key, "valid")
        if schema.get("examples") and rng.random() < 0.5:
            return copy.deepcopy(rng.choice(schema["examples"]))
        if path and path[-1] in USUAL:
            return copy.deepcopy(rng.choice(USUAL[key]))
        if "enum" in schema:
            return rng.choice(schema["enum"])
        kinds = _kinds(schema)
        kind = rng.choice([name for name in kinds if name != "null"] or ["null"])
        if kind == "boolean":
            return rng.random() < 0.6
        if kind in ("integer", "number"):
            low = schema.get("minimum", 0)
            return rng.choice((low, low + 1, 60, 300, 86400))
        if kind == "object":
            names = [
                name
                for name in schema.get("properties", {})
                if rng.random() < 0.5 and name not in ("global", "enabled")
            ]
            more = schema.get("additionalProperties")
            names += rng.sample(DOMAINS, rng.randint(0, 3)) if isinstance(more, dict) else []
            return {name: self.usual(rng, self._child(schema, name), (*path, name), None) for name in names}
        if kind == "array":
            item = _mapping(schema.get("items"))
            return [self.usual(rng, item, (*path, index), None) for index in range(rng.randint(0, 2))]
        if kind == "null":
            return None
        return rng.choice(("a", "alice", "my-name", "1", "no", "1e3", "a.b"))

    def unusual(self, rng: random.Random, schema: Schema, path: Path, current: Tree) -> Tree:
        """Return a value that shows whether the chart checks and quotes it, most often of a type that it allows."""
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        kinds = _kinds(self.resolve(schema))
        if key in PASSED_THROUGH and rng.random() < 0.85:
            if rng.random() < 0.4:
                return _block(rng, key, "invalid")
            return spoil(rng, _block(rng, key, "valid"))
        if isinstance(current, dict | list) and current and rng.random() < 0.6:
            return spoil(rng, current)
        if rng.random() < 0.75:
            if "object" in kinds and rng.random() < 0.5:
                return spoil(
                    rng, self.usual(rng, {**self.resolve(schema), "type": "object"}, path, current) or {"a": "b"}
                )
            return copy.deepcopy(rng.choice(scalars.of_type(rng.choice(kinds))))
        return _anything(rng)


def _mapping(schema: Any) -> Schema:
    return schema if isinstance(schema, dict) else {}


def _kinds(schema: Schema) -> list[str]:
    kinds = schema.get("type", ["string", "number"])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    return [*kinds, "null"] if schema.get("x-null") else kinds


def _anything(rng: random.Random) -> Tree:
    pool = rng.choices(
        (
            scalars.TEXTS,
            scalars.NUMBERS,
            scalars.BIG_NUMBERS,
            scalars.FRACTIONS,
            scalars.UNQUOTED,
            scalars.EMPTY,
            (True, False),
        ),
        (40, 8, 6, 4, 16, 20, 6),
    )[0]
    return copy.deepcopy(rng.choice(pool))


def _block(rng: random.Random, key: str, quality: str) -> Tree:
    items = BLOCKS[PASSED_THROUGH[key]][quality]
    if PASSED_THROUGH[key] in SINGLE:
        return copy.deepcopy(rng.choice(items))
    return copy.deepcopy([rng.choice(items) for _ in range(rng.choice((1, 1, 2)))])


def spoil(rng: random.Random, tree: Tree) -> Tree:
    """Return a copy of a tree with one part replaced, added, removed or repeated."""
    tree = copy.deepcopy(tree)
    places = paths(tree)
    if not places:
        return _anything(rng)
    path = rng.choice(places)
    parent = get(tree, path[:-1])
    action = rng.random()
    if action < 0.6:
        parent[path[-1]] = _anything(rng)
    elif action < 0.7:
        del parent[path[-1]]
    elif action < 0.85 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[rng.randrange(len(parent))]))
    elif isinstance(parent, dict):
        parent[rng.choice(scalars.KEYS)] = rng.choice((parent[path[-1]], _anything(rng)))
    else:
        parent[path[-1]] = [parent[path[-1]]]
    return tree
