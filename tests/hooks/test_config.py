import pytest
import yaml

from kuscia_hooks.core import config
from kuscia_hooks.core.errors import ConfigError

COMMON = {"domainId": "alice", "namespace": "ns", "keySecret": {"name": "k", "key": "domain.key"}}
API = {"api": {"endpoint": "https://kuscia:8082", "protocol": "TLS"}}
WRITING = {**COMMON, **API, "ledger": "l", "labels": {}}
MYSQL = {
    "type": "mysql",
    "host": "db.example.com",
    "port": 3306,
    "database": "kine",
    "user": "root",
    "passwordSecret": {"name": "p", "key": "password"},
}
OSS = {
    "id": "default-data-source",
    "type": "oss",
    "endpoint": "https://oss.example.com",
    "bucket": "alice",
    "credentialsSecret": {"name": "s"},
}
MASTER = {**COMMON, "mode": "master", "datastore": {"type": "sqlite", "path": "/data"}}
LITE = {**COMMON, "mode": "lite", "master": {"endpoint": "https://master:1080"}}
ROUTES = {
    **WRITING,
    "domains": {"alice": {"endpoint": "https://a:1080"}, "bob": {"endpoint": "https://b:1080"}, "carol": {}},
    "routes": "all",
}
DATA = {**WRITING, "source": OSS, "tables": [{"id": "t", "name": "t.csv", "relativeUri": "t.csv"}]}


def parse(model, data):
    return config.parse(yaml.safe_dump(data), model, "x.yaml")


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (config.Prepare, MASTER),
        (config.Prepare, {**MASTER, "datastore": MYSQL}),
        (config.Prepare, {**MASTER, "datastore": {**MYSQL, "params": {"tls": True, "loc": "Local"}}}),
        (
            config.Prepare,
            {**MASTER, "datastore": {**MYSQL, "type": "postgres", "params": {"sslmode": "disable"}}},
        ),
        (config.Prepare, LITE),
        (
            config.Prepare,
            {**LITE, "deployToken": {"namespace": "m", "name": "t", "key": "token"}, "dnsService": "a.b"},
        ),
        (
            config.Register,
            {**WRITING, "owner": {"service": "m"}, "domains": {"alice": {"tokenSecret": "t", "cert": None}}},
        ),
        (config.Register, {**WRITING, "domains": {}}),
        (config.Routes, ROUTES),
        (config.Routes, {**ROUTES, "routes": [{"source": "alice", "destination": "bob", "transit": None}]}),
        (
            config.Routes,
            {**ROUTES, "routes": [{"source": "alice", "destination": "carol", "transit": "bob"}]},
        ),
        (config.Data, DATA),
        (config.Data, {**DATA, "source": {"id": "d", "type": "localfs", "path": "/data"}}),
        (config.Data, {**DATA, "grants": [{"table": "t", "domain": "bob"}]}),
        (
            config.Check,
            {**COMMON, **API, "mode": "master", "gateway": "https://m:1080", "routes": [["alice", "bob"]]},
        ),
    ],
)
def test_valid(model, data) -> None:
    parse(model, data)


@pytest.mark.parametrize(
    ("model", "data", "says"),
    [
        (config.Prepare, {**LITE, "domainId": "Alice"}, ["domainId", "got 'Alice'", "for example alice"]),
        (config.Prepare, {**LITE, "domainId": "alice.b"}, ["domainId", "a-z"]),
        (config.Prepare, {**LITE, "domainId": "master"}, ["domainId", "reserved"]),
        (config.Prepare, {**LITE, "surprise": 1}, ["surprise: unknown key"]),
        (
            config.Prepare,
            {**LITE, "keySecret": {"name": "k", "keyy": "x"}},
            ["keySecret.key: is missing", "keySecret.keyy"],
        ),
        (
            config.Prepare,
            {**LITE, "master": {"endpoint": "master:1080"}},
            ["master.endpoint", "http(s)://host"],
        ),
        (config.Prepare, {**LITE, "master": {"endpoint": "https://m:99999"}}, ["master.endpoint"]),
        (config.Prepare, {**LITE, "master": None}, ["master.endpoint is missing"]),
        (config.Prepare, {**MASTER, "datastore": None}, ["datastore is missing"]),
        (config.Prepare, {**MASTER, "datastore": {"type": "etcd"}}, ["datastore", "etcd"]),
        (config.Prepare, {**MASTER, "datastore": {**MYSQL, "user": "a:b"}}, ["datastore", "':'"]),
        (config.Prepare, {**MASTER, "datastore": {**MYSQL, "database": "a/b"}}, ["datastore.database"]),
        (config.Prepare, {**MASTER, "datastore": {**MYSQL, "port": 0}}, ["datastore.port"]),
        (
            config.Prepare,
            {**MASTER, "datastore": {**MYSQL, "params": {"tls": "required"}}},
            ["params.tls is 'required'", "true, false, skip-verify, preferred"],
        ),
        (
            config.Prepare,
            {**MASTER, "datastore": {**MYSQL, "type": "postgres", "params": {"sslmode": True}}},
            ["params.sslmode is 'true'", "verify-full"],
        ),
        (
            config.Register,
            {**WRITING, "domains": {}, "api": {"endpoint": "http://m:8082", "protocol": "TLS"}},
            ["api: protocol TLS needs an endpoint that begins with https://"],
        ),
        (config.Register, {**WRITING, "domains": {"alice": None}}, ["domains.alice"]),
        (config.Register, {**WRITING, "domains": {"Al_ice": {}}}, ["domains.Al_ice", "for example alice"]),
        (config.Routes, {**ROUTES, "routes": "some"}, ["routes"]),
        (
            config.Routes,
            {
                **ROUTES,
                "routes": [
                    {"source": "zoe", "destination": "carol"},
                    {"source": "bob", "destination": "bob"},
                ],
            },
            ["routes[0].source: zoe is not among domains", "domains.carol.endpoint is missing", "both bob"],
        ),
        (
            config.Routes,
            {**ROUTES, "appImages": {"x": {"image": {"name": "n"}, "deploy_templates": []}}},
            ["appImages.x"],
        ),
        (
            config.Data,
            {**DATA, "grants": [{"table": "u", "domain": "bob"}]},
            ["grants[0].table: u is not among"],
        ),
        (
            config.Data,
            {**DATA, "grants": [{"table": "t", "domain": "alice"}]},
            ["alice is this domain itself"],
        ),
        (config.Data, {**DATA, "source": {**OSS, "bucket": ""}}, ["source.bucket"]),
        (config.Data, {**DATA, "source": {**OSS, "endpoint": "https://s3.example.com/b"}}, ["source", "has no path"]),
        (
            config.Data,
            {
                **DATA,
                "tables": [{"id": "t", "name": "t", "relativeUri": "t", "example": "alice", "file": "f"}],
            },
            ["tables[0]: example and file exclude each other"],
        ),
    ],
)
def test_invalid(model, data, says: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        parse(model, data)
    for words in says:
        assert words in str(error.value)


def test_everything_wrong_at_once() -> None:
    data = {**LITE, "domainId": "Alice", "namespace": "", "keySecret": {}, "x": 1}
    with pytest.raises(ConfigError) as error:
        parse(config.Prepare, data)
    text = str(error.value)
    assert text.startswith("x.yaml has 5 errors:")
    assert [line.split(":")[0].strip() for line in text.splitlines()[1:]] == [
        "domainId",
        "namespace",
        "keySecret.name",
        "keySecret.key",
        "x",
    ]


@pytest.mark.parametrize("text", ["[]", "a: b: c", "", "just words"])
def test_no_mapping(text: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        config.parse(text, config.Prepare, "x.yaml")


def test_missing_file() -> None:
    with pytest.raises(ConfigError, match="cannot read /nowhere"):
        config.load("/nowhere", config.Prepare)


@pytest.mark.parametrize(
    "value",
    ["https://host:1080", "http://10.0.0.1", "https://host/path/below", "https://host:1080/"],
)
def test_endpoint(value: str) -> None:
    assert parse(config.Prepare, {**LITE, "master": {"endpoint": value}}).master.endpoint == value.rstrip("/")
