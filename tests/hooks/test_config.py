from pathlib import Path

import pytest
import yaml

from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.core.config import files
from kuscia_hooks.core.config.check import Check
from kuscia_hooks.core.config.data import Data, Seed
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.errors import ConfigError
from tests.chart.error_ids import chart_error_ids

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
    return files.parse(yaml.safe_dump(data), model, "x.yaml")


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Prepare, MASTER),
        (Prepare, {**MASTER, "datastore": MYSQL}),
        (Prepare, {**MASTER, "datastore": {**MYSQL, "params": {"tls": True, "loc": "Local"}}}),
        (
            Prepare,
            {**MASTER, "datastore": {**MYSQL, "type": "postgres", "params": {"sslmode": "disable"}}},
        ),
        (Prepare, LITE),
        (
            Prepare,
            {**LITE, "deployToken": {"namespace": "m", "name": "t", "key": "token"}, "dnsService": "a.b"},
        ),
        (
            Register,
            {**WRITING, "owner": {"service": "m"}, "domains": {"alice": {"tokenSecret": "t", "cert": None}}},
        ),
        (Register, {**WRITING, "domains": {}}),
        (Routes, ROUTES),
        (Routes, {**ROUTES, "routes": [{"source": "alice", "destination": "bob", "transit": None}]}),
        (
            Routes,
            {**ROUTES, "routes": [{"source": "alice", "destination": "carol", "transit": "bob"}]},
        ),
        (Data, DATA),
        (Data, {**DATA, "source": {"id": "d", "type": "localfs", "path": "/data"}}),
        (Data, {**DATA, "grants": [{"table": "t", "domain": "bob"}]}),
        (
            Check,
            {**COMMON, **API, "mode": "master", "gateway": "https://m:1080", "routes": "all"},
        ),
    ],
)
def test_accepts_valid_configurations(model, data) -> None:
    parse(model, data)


INVALID = [
    (Prepare, {**LITE, "domainId": "Alice"}, {("invalid-domain-id", "domainId", '"Alice"')}),
    (Prepare, {**LITE, "domainId": "alice.b"}, {("invalid-domain-id", "domainId", '"alice.b"')}),
    (Prepare, {**LITE, "domainId": "master"}, {("reserved-domain-id", "domainId", '"master"')}),
    (Prepare, {**LITE, "domainId": 7}, {("wrong-type", "domainId", "7")}),
    (Prepare, {**LITE, "surprise": 1}, {("unknown-config-file-key", "surprise", "")}),
    (Prepare, {**LITE, "rootless": "maybe"}, {("wrong-type", "rootless", '"maybe"')}),
    (Prepare, {**LITE, "mode": "both"}, {("unsupported-value", "mode", '"both"')}),
    (
        Prepare,
        {**LITE, "keySecret": {"name": "k", "keyy": "x"}},
        {("missing-value", "keySecret.key", ""), ("unknown-config-file-key", "keySecret.keyy", "")},
    ),
    (Prepare, {**LITE, "keySecret": "k"}, {("not-a-mapping", "keySecret", '"k"')}),
    (
        Prepare,
        {**LITE, "master": {"endpoint": "master:1080"}},
        {("endpoint-without-scheme", "master.endpoint", '"master:1080"')},
    ),
    (
        Prepare,
        {**LITE, "master": {"endpoint": "https://u@m?q"}},
        {("invalid-endpoint", "master.endpoint", "(not shown)")},
    ),
    *(
        (
            Prepare,
            {**LITE, "master": {"endpoint": f"https://m:{port}"}},
            {("invalid-port", "master.endpoint", f'"https://m:{port}"')},
        )
        for port in (0, 99999, "x")
    ),
    *(
        (
            Prepare,
            {**LITE, "master": {"endpoint": f"https://{host}:1080"}},
            {(error_id, "master.endpoint", f'"https://{host}:1080"')},
        )
        for host, error_id in (
            ("a.b.svc", "host-ends-in-svc"),
            ("kuscia-master.kuscia-master", "host-not-fully-qualified"),
            ("[fd00::1]", "ipv6-not-supported"),
            ("a..example.com", "invalid-host"),
            ("a-.example.com", "invalid-host"),
            ("10.0.0.256", "invalid-ip"),
        )
    ),
    *(
        (Prepare, {**MASTER, "datastore": {**MYSQL, "host": host}}, {(error_id, "datastore.host", shown)})
        for host, error_id, shown in (
            ("mysql.ns", "host-not-fully-qualified", '"mysql.ns"'),
            ("mysql.ns.svc", "host-ends-in-svc", '"mysql.ns.svc"'),
            ("fd00::1", "ipv6-not-supported", '"fd00::1"'),
            ("mysql.example.com:3306", "host-with-port", '"mysql.example.com:3306"'),
            ("root:hunter2@tcp(mysql.example.com:3306)/kuscia", "host-is-an-address", "(not shown)"),
            ("mysql://mysql.example.com", "host-is-an-address", "(not shown)"),
            ("root@mysql.example.com", "host-is-an-address", "(not shown)"),
        )
    ),
    (Prepare, {**LITE, "master": None}, {("missing-value", "master.endpoint", "")}),
    (Prepare, {**MASTER, "datastore": None}, {("missing-value", "datastore", "")}),
    (Prepare, {**MASTER, "datastore": {"type": "etcd"}}, {("unsupported-value", "datastore", "")}),
    (Prepare, {**MASTER, "datastore": {}}, {("missing-value", "datastore", "")}),
    (
        Prepare,
        {**MASTER, "datastore": {**MYSQL, "user": "a:b"}},
        {("colon-in-mysql-user", "datastore.user", '"a:b"')},
    ),
    (
        Prepare,
        {**MASTER, "datastore": {**MYSQL, "database": "a/b"}},
        {("invalid-database-name", "datastore.database", '"a/b"')},
    ),
    (Prepare, {**MASTER, "datastore": {**MYSQL, "port": 0}}, {("number-out-of-range", "datastore.port", "0")}),
    (Prepare, {**MASTER, "datastore": {**MYSQL, "port": "x"}}, {("wrong-type", "datastore.port", '"x"')}),
    (
        Prepare,
        {**MASTER, "datastore": {**MYSQL, "params": {"tls": "required"}}},
        {("unsupported-driver-option", "datastore.params.tls", '"required"')},
    ),
    (
        Prepare,
        {**MASTER, "datastore": {**MYSQL, "type": "postgres", "params": {"sslmode": True}}},
        {("unsupported-driver-option", "datastore.params.sslmode", '"true"')},
    ),
    (
        Register,
        {**WRITING, "domains": {}, "api": {"endpoint": "http://m:8082", "protocol": "TLS"}},
        {("endpoint-protocol-mismatch", "api.endpoint", '"http://m:8082"')},
    ),
    (Register, {**WRITING, "domains": {"alice": None}}, {("not-a-mapping", "domains.alice", "null")}),
    (
        Register,
        {**WRITING, "domains": {"Al_ice": {}}},
        {("invalid-domain-id", "domains.Al_ice", '"Al_ice"')},
    ),
    (
        Routes,
        {
            **ROUTES,
            "routes": [
                {"source": "zoe", "destination": "carol"},
                {"source": "bob", "destination": "bob"},
                {"source": "alice", "destination": "bob", "transit": "bob"},
            ],
        },
        {
            ("unlisted-domain", "routes[0].source", '"zoe"'),
            ("route-without-endpoint", "domains.carol.endpoint", ""),
            ("route-to-itself", "routes[1].destination", '"bob"'),
            ("transit-through-route-end", "routes[2].transit", '"bob"'),
        },
    ),
    (
        Routes,
        {**ROUTES, "domains": {name: {"endpoint": "https://x:1080"} for name in ("a", "a-b", "c", "b-c")}},
        {("colliding-route-names", "routes", '"a-b to c"')},
    ),
    (
        Routes,
        {
            **ROUTES,
            "domainId": "kuscia-system",
            "domains": {name: {"endpoint": "https://x:1080"} for name in ("a", "a-kuscia", "system")},
            "routes": [{"source": "a-kuscia", "destination": "system"}, {"source": "a", "destination": "system"}],
        },
        {("colliding-route-names", "routes[0]", '"a-kuscia to system"')},
    ),
    (
        Routes,
        {**ROUTES, "appImages": {"x": {"image": {"name": "n"}, "deploy_templates": []}}},
        {("missing-value", "appImages.x.image.tag", ""), ("missing-value", "appImages.x.deploy_templates", "")},
    ),
    (
        Data,
        {**DATA, "grants": [{"table": "u", "domain": "bob"}]},
        {("unknown-table", "grants[0].table", '"u"')},
    ),
    (
        Data,
        {**DATA, "grants": [{"table": "t", "domain": "alice"}]},
        {("grant-to-own-domain", "grants[0].domain", '"alice"')},
    ),
    (Data, {**DATA, "tables": DATA["tables"] * 2}, {("duplicate-table-id", "tables", "")}),
    (Data, {**DATA, "source": {**OSS, "bucket": ""}}, {("missing-value", "source.bucket", '""')}),
    (
        Data,
        {**DATA, "source": {**OSS, "endpoint": "https://s3.example.com/b"}},
        {("store-endpoint-with-path", "source.endpoint", '"https://s3.example.com/b"')},
    ),
    *(
        (Data, {**DATA, "tables": [{**DATA["tables"][0], **fields}]}, {(rule, path, value)})
        for fields, rule, path, value in (
            ({"example": "alice", "file": "f"}, "several-content-sources", "tables[0]", ""),
            ({"urlCredentialsSecret": {"name": "s"}}, "url-secret-without-url", "tables[0]", ""),
            ({"size": 1}, "nothing-to-verify", "tables[0]", ""),
            ({"file": "f", "size": -1}, "number-out-of-range", "tables[0].size", "-1"),
            ({"file": "f", "sha256": "abc"}, "invalid-sha256", "tables[0].sha256", '"abc"'),
            ({"id": "T"}, "invalid-name", "tables[0].id", '"T"'),
            ({"url": "ftp://x"}, "invalid-url", "tables[0].url", '"ftp://x"'),
            ({"url": "https://u:p@x/a"}, "url-with-credentials", "tables[0].url", "(not shown)"),
            ({"url": "https://:p@x/a"}, "url-with-credentials", "tables[0].url", "(not shown)"),
            ({"url": "https://u@x/a"}, "url-with-credentials", "tables[0].url", "(not shown)"),
            ({"url": "https://u:p/w@x/a"}, "invalid-url", "tables[0].url", "(not shown)"),
            ({"url": "https://x/a?b=1&Token=p"}, "signed-url", "tables[0].url", '"https://x/a?…"'),
            ({"url": "ftp://x/a?token=p"}, "signed-url", "tables[0].url", '"ftp://x/a?…"'),
        )
    ),
    (
        Data,
        {**DATA, "source": {**OSS, "bucket": "alice/tables"}},
        {("invalid-bucket-name", "source.bucket", '"alice/tables"')},
    ),
    (
        Data,
        {**DATA, "source": {**OSS, "endpoint": "https://:p@s3.example.com"}},
        {("invalid-endpoint", "source.endpoint", "(not shown)")},
    ),
    *(
        (
            Data,
            {**DATA, "source": {**OSS, "endpoint": f"https://{host}", "virtualhost": style}},
            {(rule, "source.virtualhost", str(style).lower())},
        )
        for host, style, rule in (
            ("oss-cn-hangzhou.aliyuncs.com", False, "store-requires-virtualhost"),
            ("cos.ap-guangzhou.myqcloud.com", False, "store-requires-virtualhost"),
            ("obs.cn-south-1.myhuaweicloud.com", False, "store-requires-virtualhost"),
            ("10.0.0.7:9000", True, "virtualhost-not-possible"),
        )
    ),
    (
        Data,
        {**DATA, "source": {**OSS, "bucket": "a.b", "virtualhost": True}},
        {("virtualhost-not-possible", "source.virtualhost", "true")},
    ),
    (
        Data,
        {
            **DATA,
            "tables": [{**DATA["tables"][0], "id": name} for name in ("sales", "sales-eu")],
            "grants": [{"table": "sales", "domain": "eu-bank"}, {"table": "sales-eu", "domain": "bank"}],
        },
        {("ambiguous-grants", "grants[1]", '"sales-eu to bank"')},
    ),
    (
        Data,
        {
            **DATA,
            "tables": [
                {**DATA["tables"][0], "id": name, "relativeUri": uri, "example": "alice"}
                for name, uri in (("a", "d/t.csv"), ("b", "/d//./t.csv"))
            ],
        },
        {("duplicate-relative-uri", "tables[1].relativeUri", '"/d//./t.csv"')},
    ),
    (Data, {**DATA, "tables": "t"}, {("not-a-list", "tables", '"t"')}),
    (Seed, {"path": "data", "tables": []}, {("invalid-path", "path", '"data"')}),
    (
        Seed,
        {"path": "/data", "tables": [{"id": "t", "name": "t", "relativeUri": "a/", "example": "alice"}]},
        {("invalid-relative-uri", "tables[0].relativeUri", '"a/"')},
    ),
    (
        Seed,
        {"path": "/data", "tables": [{"id": "t", "name": "t", "relativeUri": "../t"}]},
        {("invalid-relative-uri", "tables[0].relativeUri", '"../t"')},
    ),
]


@pytest.mark.parametrize(("model", "data", "problems"), INVALID)
def test_reports_id_path_and_value_of_each_wrong_value(model, data, problems: set[tuple[str, str, str]]) -> None:
    with pytest.raises(ConfigError) as error:
        parse(model, data)
    assert error.value.id == "invalid-config"
    assert {(problem.id, problem.path, problem.value) for problem in error.value.problems} == problems
    for rule, path, value in problems:
        (line,) = [line for line in str(error.value).splitlines() if line.startswith(f"  - [{rule}] {path}: ")]
        assert value in line


def test_every_rule_has_an_id_of_the_chart_or_the_catalog() -> None:
    known = chart_error_ids() | set(CATALOG)
    used = {rule for _, _, problems in INVALID for rule, _, _ in problems}
    assert used <= known


def test_routes_must_be_a_list_or_all() -> None:
    with pytest.raises(ConfigError) as error:
        parse(Routes, {**ROUTES, "routes": "some"})
    assert {problem.path for problem in error.value.problems} == {"routes"}


def test_reports_all_wrong_values_at_once() -> None:
    data = {**LITE, "domainId": "Alice", "namespace": "", "keySecret": {}, "x": 1}
    with pytest.raises(ConfigError) as error:
        parse(Prepare, data)
    assert error.value.message.startswith("x.yaml has 5 ")
    paths = [problem.path for problem in error.value.problems]
    assert paths == ["domainId", "namespace", "keySecret.name", "keySecret.key", "x"]


def test_long_values_are_shortened() -> None:
    with pytest.raises(ConfigError) as error:
        parse(Prepare, {**LITE, "domainId": "A" * 500})
    assert len(error.value.problems[0].value) == 80


@pytest.mark.parametrize("text", ["[]", "a: b: c", "", "just words"])
def test_rejects_a_file_that_is_not_a_mapping(text: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml") as error:
        files.parse(text, Prepare, "x.yaml")
    assert error.value.id == "invalid-config"


def test_reports_a_missing_file() -> None:
    with pytest.raises(ConfigError, match="/nowhere") as error:
        files.load("/nowhere", Prepare)
    assert error.value.id == "invalid-config"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory with the file domains.yaml of a master with all routes between alice and bob."""
    domains = {
        "alice": {"endpoint": "https://a:1080", "namespace": "lite-alice", "tokenSecret": "tok"},
        "bob": {"endpoint": "https://b:1080", "cert": "PEM", "allowRekey": True},
    }
    (tmp_path / "domains.yaml").write_text(yaml.safe_dump({"domains": domains, "routes": "all"}))
    return tmp_path


def load(directory: Path, model, data):
    path = directory / "step.yaml"
    path.write_text(yaml.safe_dump(data))
    return files.load(str(path), model)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Register, WRITING),
        (Routes, WRITING),
        (Check, {**COMMON, **API, "mode": "master", "gateway": "https://m:1080"}),
    ],
)
def test_steps_share_one_file_with_the_domains(shared: Path, model, data) -> None:
    found = load(shared, model, {**data, "domainsFile": "domains.yaml"})
    assert found.domains["alice"].endpoint == "https://a:1080"
    assert found.domains["alice"].token_secret == "tok"
    assert found.domains["bob"].cert == "PEM"
    assert found.domains["bob"].allow_rekey
    if model is not Register:
        assert found.pairs() == [("alice", "bob"), ("bob", "alice")]


def test_register_reads_the_certificates_next_to_its_file(shared: Path) -> None:
    domains = {"alice": {"certFile": "alice.crt"}, "bob": {"tokenSecret": "tok"}}
    (shared / "domains.yaml").write_text(yaml.safe_dump({"domains": domains}))
    (shared / "alice.crt").write_text("PEM")
    (shared / "register.yaml").write_text(yaml.safe_dump({**WRITING, "domainsFile": "domains.yaml"}))
    found = files.load_register(str(shared / "register.yaml")).domains
    assert (found["alice"].cert, found["bob"].cert) == ("PEM", None)


@pytest.mark.parametrize("name", ["alice.crt", "../alice.crt"])
def test_register_reports_a_certificate_that_it_cannot_read(shared: Path, name: str) -> None:
    (shared / "domains.yaml").write_text(yaml.safe_dump({"domains": {"alice": {"certFile": name}}}))
    (shared / "register.yaml").write_text(yaml.safe_dump({**WRITING, "domainsFile": "domains.yaml"}))
    with pytest.raises(ConfigError, match=r"alice"):
        files.load_register(str(shared / "register.yaml"))


def test_domains_of_the_own_file_take_precedence(shared: Path) -> None:
    assert load(shared, Register, {**WRITING, "domainsFile": "domains.yaml", "domains": {}}).domains == {}


def test_reports_a_missing_file_with_the_domains(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml") as error:
        load(tmp_path, Register, {**WRITING, "domainsFile": "nowhere.yaml"})
    assert error.value.id == "invalid-config"


def test_reports_wrong_values_of_the_file_with_the_domains(shared: Path) -> None:
    (shared / "domains.yaml").write_text("domains: {alice: {endpoint: x}}\nroutes: some\n")
    with pytest.raises(ConfigError, match=r"domains\.yaml") as error:
        load(shared, Register, {**WRITING, "domainsFile": "domains.yaml"})
    assert [problem.path for problem in error.value.problems] == ["domains.alice.endpoint", "routes", "routes"]


def test_all_routes_lead_to_the_domains_with_an_endpoint() -> None:
    assert parse(Routes, ROUTES).pairs() == [("alice", "bob"), ("bob", "alice"), ("carol", "alice"), ("carol", "bob")]
    listed = [{"source": "carol", "destination": "bob"}]
    assert parse(Routes, {**ROUTES, "routes": listed}).pairs() == [("carol", "bob")]


@pytest.mark.parametrize(
    "value",
    ["https://host:1080", "http://10.0.0.1", "https://host/path/below", "https://host:1080/"],
)
def test_trailing_slash_of_an_endpoint_is_removed(value: str) -> None:
    assert parse(Prepare, {**LITE, "master": {"endpoint": value}}).master.endpoint == value.rstrip("/")


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Data, {**DATA, "tables": [{**DATA["tables"][0], "url": "https://me:hunter2@x/a"}]}),
        (Data, {**DATA, "tables": [{**DATA["tables"][0], "url": "https://me:hun@hunter2/ter@x/a"}]}),
        (Data, {**DATA, "tables": [{**DATA["tables"][0], "url": "https://x/a?token=hunter2"}]}),
        (Data, {**DATA, "tables": [{**DATA["tables"][0], "url": "ftp://x/a?sig=hunter2"}]}),
        (Data, {**DATA, "source": {**OSS, "endpoint": "https://me:hunter2@x"}}),
        (Data, {**DATA, "source": {**OSS, "endpoint": "https://x?token=hunter2"}}),
        (Prepare, {**LITE, "master": {"endpoint": "https://:hunter2@x"}}),
    ],
)
def test_does_not_show_credentials_in_a_url(model, data) -> None:
    with pytest.raises(ConfigError) as error:
        parse(model, data)
    assert "hunter2" not in str(error.value)


def test_repeated_grant_is_accepted() -> None:
    grants = [{"table": "t", "domain": "bob"}] * 2
    assert len(parse(Data, {**DATA, "grants": grants}).grants) == 2


def test_scoped_name_in_a_path_is_no_credential() -> None:
    url = "https://files.example.com/@team/a.csv?version=2"
    assert parse(Data, {**DATA, "tables": [{**DATA["tables"][0], "url": url}]}).tables[0].url == url
