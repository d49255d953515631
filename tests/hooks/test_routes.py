import copy
import json
import math
from contextlib import nullcontext
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import Report, reports
from kuscia_hooks.core.config.common import valid_remote_endpoint
from kuscia_hooks.core.config.rules import RuleError
from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError
from kuscia_hooks.core.plan import Plan, Summary
from kuscia_hooks.kuscia.app_images import normal_app_image, wanted_app_image
from kuscia_hooks.kuscia.batches import BATCH
from kuscia_hooks.kuscia.concurrency import START
from kuscia_hooks.kuscia.routes import RouteKey, normal_route, plan_routes, wanted_routes
from kuscia_hooks.steps import routes
from tests.hooks.builders import APP_IMAGE, context, routes_config, run_step, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia, Reply
from tests.hooks.recordings import recordings

A_B, B_A = RouteKey("alice", "bob"), RouteKey("bob", "alice")


def test_all_wants_every_pair() -> None:
    domains = {name: {"endpoint": f"https://{name}:1080"} for name in ("alice", "bob", "carol")}
    assert len(wanted_routes(routes_config(domains=domains))) == 6


def test_domain_without_endpoint_is_not_a_destination() -> None:
    wanted = wanted_routes(routes_config(domains={"alice": {"endpoint": "https://a:1"}, "bob": {"endpoint": None}}))
    assert set(wanted) == {B_A}


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("https://h:1080", "h", {"port": 1080, "isTLS": True, "path_prefix": ""}),
        ("http://h", "h", {"port": 80, "isTLS": False, "path_prefix": ""}),
        ("https://h", "h", {"port": 443, "isTLS": True, "path_prefix": ""}),
        ("https://h/gate/way/", "h", {"port": 443, "isTLS": True, "path_prefix": "/gate/way"}),
        ("http://10.1.2.3:30080", "10.1.2.3", {"port": 30080, "isTLS": False, "path_prefix": ""}),
    ],
)
def test_endpoint_in_the_body(endpoint: str, host: str, port: dict[str, Any]) -> None:
    wanted = wanted_routes(routes_config(domains={"alice": {}, "bob": {"endpoint": endpoint}}))
    assert wanted[A_B]["endpoint"] == {"host": host, "ports": [{"name": "http", "protocol": "HTTP", **port}]}


def test_options_in_the_body() -> None:
    listed = [
        {
            "source": "alice",
            "destination": "bob",
            "transit": "carol",
            "bodyEncryption": "SM4",
            "tokenConfig": {"rollingUpdatePeriod": 3600},
        }
    ]
    body = wanted_routes(routes_config(domains={"alice": {}, "bob": {}, "carol": {}}, routes=listed))[A_B]
    assert body["transit"] == {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": "carol"}}
    assert body["body_encryption"] == {"algorithm": "SM4"}
    assert body["token_config"] == {"token_gen_method": "RSA-GEN", "rolling_update_period": 3600}
    assert "endpoint" not in body


def test_null_options_are_ignored() -> None:
    ends = {"source": "alice", "destination": "bob"}
    options = {"transit": None, "bodyEncryption": None, "tokenConfig": {"rollingUpdatePeriod": None}}
    assert wanted_routes(routes_config(routes=[{**ends, **options}])) == wanted_routes(routes_config(routes=[ends]))
    assert wanted_routes(routes_config(routes=[{**ends, "tokenConfig": None}])) == wanted_routes(
        routes_config(routes=[ends])
    )


@pytest.mark.parametrize(
    "options",
    [
        {"transit": "carol"},
        {"bodyEncryption": "AES"},
        {"tokenConfig": {"rollingUpdatePeriod": 300}},
        {"tokenConfig": {"tokenGenMethod": "UID-RSA-GEN"}},
    ],
    ids=str,
)
def test_changed_option_recreates_the_route(kube: Kube, kuscia: Kuscia, endpoint: str, options: dict[str, Any]) -> None:
    """Other routes and a second run are not affected."""
    kuscia.do_domain_create({"domain_id": "carol"})
    domains = {name: {"endpoint": f"https://{name}.example.com"} for name in ("alice", "bob", "carol")}
    ends = {"source": "alice", "destination": "bob"}
    other = {"source": "bob", "destination": "alice"}
    attempt(endpoint, kube, domains=domains, routes=[ends, other])
    for listed in ([{**ends, **options}, other], [ends, other]):
        for writes in (["route/delete", "route/create"], []):
            kuscia.asked.clear()
            attempt(endpoint, kube, domains=domains, routes=listed)
            assert kuscia.paths(writes=True) == writes


def test_recorded_response_equals_its_request() -> None:
    lines = recordings("api-transcript")
    sent = json.loads(next(line for line in lines if line["note"] == "route create alice->bob")["request"]["body"])
    got = next(line for line in lines if line["note"] == "route query alice->bob (no certs yet)")
    assert normal_route(sent) == normal_route(got["response"]["json"]["data"])


def test_recorded_app_image_equals_its_request() -> None:
    lines = recordings("api-transcript")
    sent = json.loads(next(line for line in lines if line["note"] == "appimage create")["request"]["body"])
    got = {
        line["note"]: line["response"]["json"]["data"]
        for line in lines
        if line["request"]["path"].endswith("appimage/query")
    }
    assert normal_app_image(sent) == normal_app_image(got["appimage query"])
    changed = {**sent, "image": {**sent["image"], "tag": "2"}}
    assert normal_app_image(changed) != normal_app_image(got["appimage query"])


def test_app_images_are_equal_despite_defaults_and_canonical_quantities() -> None:

    def image(port: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
        container = {"name": "c", "ports": [{"name": "p", **port}], "resources": {"limits": limits}}
        return normal_app_image({"deploy_templates": [{"name": "t", "replicas": 1, "containers": [container]}]})

    given = image({}, {"cpu": "0.5", "memory": "1024Mi"})
    assert image({"protocol": "HTTP", "scope": "Local"}, {"cpu": "500m", "memory": "1Gi"}) == given
    assert image({"protocol": "GRPC"}, {"cpu": "0.5", "memory": "1Gi"}) != given
    assert image({"scope": "Cluster"}, {"cpu": "0.5", "memory": "1Gi"}) != given
    assert image({}, {"cpu": "0.5", "memory": "1G"}) != given
    assert image({}, {"cpu": "no amount"}) != image({}, {})


CREATE, RECREATE, ADOPT = (
    ["create DomainRoute alice-bob"],
    ["recreate DomainRoute alice-bob (changed)"],
    ["recreate DomainRoute alice-bob (adopted)"],
)


@pytest.mark.parametrize("adopt", [False, True], ids=["", "adopt"])
@pytest.mark.parametrize(
    ("owned", "present", "actions", "adopted"),
    [
        (False, None, CREATE, CREATE),
        (True, None, CREATE, CREATE),
        (False, True, [], []),
        (True, True, [], []),
        (False, False, [], ADOPT),
        (True, False, RECREATE, RECREATE),
    ],
)
def test_plan_changes_a_different_route_only_if_it_is_owned_or_adopted(
    owned: bool, present: bool | None, actions: list[str], adopted: list[str], adopt: bool
) -> None:
    plan = plan_routes({A_B: {}}, {A_B: present}, {"alice/bob"} if owned else set(), adopt=adopt)
    assert [str(action) for action in plan.actions] == (adopted if adopt else actions)
    assert plan.foreign == (("alice-bob",) if present is False and not owned and not adopt else ())
    assert plan.unchanged == (1 if present else 0)
    assert plan.kept == (("alice/bob",) if present and (owned or adopt) else ())


def test_plan_assumes_that_a_route_in_the_ledger_is_as_recorded() -> None:
    assert plan_routes({A_B: {}}, {}, {"alice/bob"}) == Plan(unchanged=1)


def test_plan_deletes_only_routes_in_the_ledger_and_only_with_prune() -> None:
    assert plan_routes({}, {}, {"alice/bob"}) == Plan(leftover=("alice-bob",))
    assert plan_routes({}, {A_B: None}, {"alice/bob"}) == Plan(gone=("alice/bob",))
    assert plan_routes({}, {A_B: True}, set(), prune=True) == Plan()
    plan = plan_routes({B_A: {}}, {B_A: None}, {"alice/bob"}, prune=True)
    assert [(action.verb, action.entry) for action in plan.actions] == [
        ("delete", "alice/bob"),
        ("create", "bob/alice"),
    ]


@pytest.fixture(autouse=True)
def ready(core: FakeCore, kuscia: Kuscia, key_pem: bytes) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    for name in ("alice", "bob"):
        kuscia.do_domain_create({"domain_id": name})


def attempt(endpoint: str, kube: Kube, verify: bool = False, **fields: Any) -> Summary:
    return run_step(routes.attempt, routes_config(endpoint, **fields), kube, verify=verify)


def test_creates_routes_and_app_images(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.unchanged, summary.failed) == (3, 0, 0)
    assert set(kuscia.routes) == {("alice", "bob"), ("bob", "alice")}
    assert kuscia.app_images["psi"]["image"] == APP_IMAGE["image"]
    ledger = core.data("configmaps", "ns", "ledger")
    assert {source: set(ends) for source, ends in json.loads(ledger["routes"]).items()} == {
        "alice": {"bob"},
        "bob": {"alice"},
    }


def test_second_run_needs_three_requests(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.asked.clear()
    core.calls.clear()
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.unchanged) == (0, 3)
    assert kuscia.paths() == ["healthZ", "appimage/batchQuery", "route/status/batchQuery"]
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_changed_endpoint_recreates_the_route(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.asked.clear()
    summary = attempt(
        endpoint,
        kube,
        domains={"alice": {"endpoint": "https://a2"}, "bob": {"endpoint": "http://b.example.com"}},
    )
    assert (summary.updated, summary.unchanged) == (1, 2)
    assert kuscia.paths(writes=True) == ["route/delete", "route/create"]
    assert kuscia.routes["bob", "alice"]["endpoint"]["host"] == "a2"
    assert (
        attempt(
            endpoint,
            kube,
            domains={"alice": {"endpoint": "https://a2"}, "bob": {"endpoint": "http://b.example.com"}},
        ).unchanged
        == 3
    )


def make_foreign(kuscia: Kuscia) -> tuple[dict[str, Any], dict[str, Any]]:
    """Create the objects of the default configuration; the route from bob and the AppImage have other content."""
    wanted = wanted_routes(routes_config())
    other = {"host": "old", "ports": [{"name": "http", "protocol": "HTTP", "port": 1, "isTLS": False}]}
    kuscia.do_route_create(wanted[A_B])
    kuscia.do_route_create({**wanted[B_A], "endpoint": other})
    image = wanted_app_image("psi", routes_config().app_images["psi"])
    kuscia.do_appimage_create({**image, "image": {"name": "theirs", "tag": "1"}})
    return copy.deepcopy(kuscia.routes), copy.deepcopy(kuscia.app_images)


def test_leaves_foreign_objects_alone(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """Neither while they are in the values nor when they leave them."""
    before = make_foreign(kuscia)
    for verify in (False, True):
        summary = attempt(endpoint, kube, verify=verify)
        assert (summary.created, summary.updated, summary.unchanged, summary.foreign) == (0, 0, 1, 2)
    assert reports(kube, "ns", "ledger") == {"routes": Report(("bob-alice",)), "appImages": Report(("psi",))}
    everything = {"routes": True, "appImages": True}
    attempt(endpoint, kube, routes=[], appImages={}, prune=everything)
    assert (kuscia.routes, kuscia.app_images) == before
    assert kuscia.paths(writes=True) == []
    assert reports(kube, "ns", "ledger") == {}


def test_adopts_foreign_objects(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    make_foreign(kuscia)
    everything = {"routes": True, "appImages": True}
    summary = attempt(endpoint, kube, adopt=everything)
    assert (summary.updated, summary.unchanged, summary.foreign) == (2, 1, 0)
    assert kuscia.routes["bob", "alice"]["endpoint"]["host"] == "a.example.com"
    assert kuscia.app_images["psi"]["image"] == APP_IMAGE["image"]
    attempt(endpoint, kube, routes=[], appImages={}, prune=everything)
    assert (kuscia.routes, kuscia.app_images) == ({}, {})


def test_adopts_each_kind_by_itself(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    make_foreign(kuscia)
    assert attempt(endpoint, kube, adopt={"appImages": True}).foreign == 1
    assert kuscia.routes["bob", "alice"]["endpoint"]["host"] == "old"
    assert kuscia.app_images["psi"]["image"] == APP_IMAGE["image"]


def test_objects_listed_by_an_earlier_release_belong_to_this_one(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    make_foreign(kuscia)
    former = {
        "routes": '{"alice/bob":"0123456789ab","bob/alice":"0123456789ab"}',
        "appImages": '{"psi":"0123456789ab"}',
    }
    core.put("configmaps", "ns", "ledger", data=former)
    summary = attempt(endpoint, kube)
    assert (summary.updated, summary.unchanged, summary.foreign) == (2, 1, 0)


def test_recreates_everything_after_the_database_of_the_master_was_lost(
    kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    attempt(endpoint, kube)
    kuscia.routes.clear()
    kuscia.app_images.clear()
    assert attempt(endpoint, kube).created == 3
    assert len(kuscia.routes) == 2


def test_recreates_a_deleted_route(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    del kuscia.routes["alice", "bob"]
    assert attempt(endpoint, kube).created == 1


def test_verify_finds_a_changed_route(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.routes["alice", "bob"]["endpoint"] = {"host": "evil", "ports": []}
    assert attempt(endpoint, kube).unchanged == 3
    assert attempt(endpoint, kube, verify=True).updated == 1
    assert kuscia.routes["alice", "bob"]["endpoint"]["host"] == "b.example.com"


ONE: dict[str, Any] = {"routes": [{"source": "alice", "destination": "bob"}], "appImages": {}}
PRUNE = {"routes": True, "appImages": True}


def test_reports_leftovers_by_default(
    kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    attempt(endpoint, kube)
    kuscia.asked.clear()
    for _ in range(2):
        summary = attempt(endpoint, kube, **ONE)
        assert (summary.deleted, summary.unchanged, summary.leftover) == (0, 1, 2)
    assert kuscia.paths(writes=True) == []
    assert reports(kube, "ns", "ledger") == {"routes": Report((), ("bob-alice",)), "appImages": Report((), ("psi",))}
    out = capsys.readouterr().out
    assert out.count("leftover-object") == 4
    assert "set master.prune.routes: true" in out
    assert "set master.prune.appImages: true" in out


def test_prune_deletes_only_what_the_release_created(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.routes["alice", "zoe"] = {"made": "by another hand"}
    summary = attempt(endpoint, kube, **ONE, prune=PRUNE)
    assert (summary.deleted, summary.unchanged, summary.leftover) == (2, 1, 0)
    assert set(kuscia.routes) == {("alice", "bob"), ("alice", "zoe")}
    assert kuscia.app_images == {}
    assert json.loads(core.data("configmaps", "ns", "ledger")["appImages"]) == {}


def test_prunes_each_kind_by_itself(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    summary = attempt(endpoint, kube, **ONE, prune={"routes": True})
    assert (summary.deleted, summary.leftover) == (1, 1)
    assert set(kuscia.app_images) == {"psi"}


@pytest.mark.parametrize("prune", [{}, PRUNE], ids=["", "prune"])
def test_forgets_leftovers_that_were_deleted(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, prune: dict[str, bool]
) -> None:
    attempt(endpoint, kube)
    kuscia.routes.clear()
    kuscia.app_images.clear()
    summary = attempt(endpoint, kube, routes=[], appImages={}, prune=prune)
    assert (summary.deleted, summary.leftover) == (0, 0)
    assert json.loads(core.data("configmaps", "ns", "ledger")["routes"]) == {}


def test_updates_a_changed_app_image(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    newer = {**APP_IMAGE, "image": {"name": "docker.io/local/engine", "tag": "2"}}
    assert attempt(endpoint, kube, appImages={"psi": newer}).updated == 1
    assert kuscia.app_images["psi"]["image"]["tag"] == "2"
    assert attempt(endpoint, kube, appImages={"psi": newer}).updated == 0


def test_always_sends_replicas(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """Without them Kuscia stores 0 (Kuscia facts 7.4)."""
    app = {**APP_IMAGE, "deploy_templates": [{"name": "psi", "containers": [{"name": "psi"}]}]}
    attempt(endpoint, kube, appImages={"psi": app})
    assert kuscia.app_images["psi"]["deploy_templates"][0]["replicas"] == 1


NAMES = [f"lite-{number}" for number in range(12)]
TWELVE: dict[str, Any] = {"domains": {name: {"endpoint": f"https://{name}"} for name in NAMES}, "appImages": {}}


@pytest.fixture
def twelve(kuscia: Kuscia) -> Kuscia:
    """A master with twelve more domains."""
    for name in NAMES:
        kuscia.do_domain_create({"domain_id": name})
    return kuscia


@pytest.mark.parametrize(
    "lost",
    [[0], [111], list(range(100, 132)), [3, 50, 99, 100, 131], list(range(132))],
    ids=["first", "beyond-the-first-batch", "last-batch", "scattered", "all"],
)
def test_creates_lost_routes_wherever_they_are(kube: Kube, twelve: Kuscia, endpoint: str, lost: list[int]) -> None:
    """Only these are created, and no route is read."""
    attempt(endpoint, kube, **TWELVE)
    keys = list(twelve.routes)
    for position in lost:
        del twelve.routes[keys[position]]
    twelve.asked.clear()
    summary = attempt(endpoint, kube, **TWELVE)
    assert (summary.created, summary.unchanged) == (len(lost), 132 - len(lost))
    assert twelve.paths(writes=True) == ["route/create"] * len(lost)
    assert "route/query" not in twelve.paths()
    assert len(twelve.routes) == 132


def test_queries_do_not_raise_the_limit_of_writes(kube: Kube, twelve: Kuscia, endpoint: str) -> None:
    """A master answers many queries at a time, and leaves as many writes unanswered (Kuscia facts 16.3)."""
    limits = context(kube)
    at_first_write: list[int] = []

    def create(body: dict[str, Any]) -> Reply:
        at_first_write.append(limits.concurrency.allowed)
        return twelve.do_route_create(body)

    twelve.replies["route/create"] = create
    routes.attempt(routes_config(endpoint, **TWELVE), limits)
    assert at_first_write[0] == START
    assert limits.reads is not limits.concurrency


def test_missing_domain_blocks_only_its_routes(kube: Kube, twelve: Kuscia, endpoint: str) -> None:
    """After the deadline the missing domains are named."""
    del twelve.domains["lite-3"], twelve.domains["lite-11"]
    summary = Summary()
    settings = routes_config(endpoint, **{**TWELVE, "appImages": {"psi": APP_IMAGE}})
    with pytest.raises(DeadlineExceeded) as error:
        routes.attempt(settings, context(kube, summary=summary))
    assert error.value.id == "domains-not-registered"
    assert "lite-11, lite-3" in error.value.message
    assert "component=register" in error.value.see
    assert set(twelve.app_images) == {"psi"}
    assert len(twelve.routes) == 10 * 9
    assert not any("lite-3" in key or "lite-11" in key for key in twelve.routes)


def test_creates_routes_of_a_domain_once_it_is_registered(kube: Kube, twelve: Kuscia, endpoint: str) -> None:
    """Its routes are created in the same attempt, and nothing is read again."""
    late = [twelve.domains.pop("lite-3"), twelve.domains.pop("lite-11")]
    known: list[int] = []

    def batch_query(body: dict[str, Any]) -> Reply:
        if len(body["domain_ids"]) == 1 and late and len(twelve.routes) == 130 - 20 * len(late):
            domain = late.pop()
            twelve.domains[domain["domain_id"]] = domain
            known.append(len(twelve.routes))
        return twelve.do_domain_batchQuery(body)

    twelve.replies["domain/batchQuery"] = batch_query
    assert attempt(endpoint, kube, **TWELVE).created == 132
    assert known == [90, 110]
    assert twelve.paths().count("route/query") == 132


def test_invalid_routes_are_reported_with_the_missing_domains(kube: Kube, twelve: Kuscia, endpoint: str) -> None:
    del twelve.domains["lite-3"]

    def create(body: dict[str, Any]) -> Reply:
        bad = body["endpoint"]["host"] in ("lite-1", "lite-2")
        return (11400, "spec.endpoint.host is invalid", None) if bad else twelve.do_route_create(body)

    twelve.replies["route/create"] = create
    with fails("several-errors") as error:
        attempt(endpoint, kube, **TWELVE)
    for part in ("domains-not-registered", "to domain lite-1 ", "to domain lite-2 "):
        assert part in error.value.message
    assert len(twelve.routes) == 11 * 10 - 20


def test_retries_before_it_fails_for_good(kube: Kube, twelve: Kuscia, endpoint: str) -> None:
    """A hook ends at a permanent error; the routes that were busy are created by the next attempt first."""
    replies: list[Reply] = [(11400, "the server is currently unable to handle the request: too many requests", None)]

    def create(body: dict[str, Any]) -> Reply:
        if body["destination"] == "lite-1":
            return 11400, "spec.endpoint.host is invalid", None
        return replies[-1] if body["destination"] == "lite-2" else twelve.do_route_create(body)

    twelve.replies["route/create"] = create
    with fails("several-retryable"):
        attempt(endpoint, kube, **TWELVE)
    replies.append((0, "success", None))
    with fails("kusciaapi-rejected"):
        attempt(endpoint, kube, **TWELVE)


def test_waits_only_for_the_domains_of_its_routes(kube: Kube, endpoint: str) -> None:
    domains = {name: {"endpoint": f"https://{name}"} for name in ("alice", "bob", "carol")}
    assert attempt(endpoint, kube, domains=domains, **ONE).created == 1


def domains_of_routes_with_one_name(kuscia: Kuscia) -> dict[str, Any]:
    """Create domains and return their configuration; Kuscia calls the routes a → b-c and a-b → c `a-b-c`."""
    names = ("a", "b-c", "a-b", "c")
    for name in names:
        kuscia.do_domain_create({"domain_id": name})
    return {"domains": {name: {"endpoint": f"https://{name}"} for name in names}, "appImages": {}}


@pytest.mark.parametrize("prune", [{}, {"routes": True}], ids=["", "prune"])
def test_route_with_the_name_of_a_former_one_replaces_it(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, prune: dict[str, bool]
) -> None:
    """Kuscia has one object `a-b-c` for both (Kuscia facts 6.2)."""
    fields = domains_of_routes_with_one_name(kuscia)
    attempt(endpoint, kube, routes=[{"source": "a", "destination": "b-c"}], **fields)
    summary = attempt(endpoint, kube, routes=[{"source": "a-b", "destination": "c"}], prune=prune, **fields)
    assert (summary.updated, summary.deleted, summary.leftover, summary.foreign) == (1, 0, 0, 0)
    assert set(kuscia.routes) == {("a-b", "c")}
    assert set(json.loads((core.data("configmaps", "ns", "ledger") or {})["routes"])) == {"a-b"}


def test_route_with_the_name_of_a_former_one_stays_in_the_ledger_if_it_is_rejected(
    kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    fields = domains_of_routes_with_one_name(kuscia)
    former, wrong = {"source": "a", "destination": "b-c"}, {"source": "a-b", "destination": "c"}
    attempt(endpoint, kube, routes=[former], **fields)

    def create(body: dict[str, Any]) -> Reply:
        return (11400, "it is invalid", None) if body["source"] == "a-b" else kuscia.do_route_create(body)

    kuscia.replies["route/create"] = create
    with pytest.raises(PermanentError):
        attempt(endpoint, kube, routes=[wrong], **fields)
    assert set(kuscia.routes) == {("a", "b-c")}
    assert attempt(endpoint, kube, routes=[former], **fields).foreign == 0
    assert attempt(endpoint, kube, routes=[], prune={"routes": True}, **fields).deleted == 1
    assert kuscia.routes == {}


def test_prune_keeps_a_foreign_route_with_the_name_of_one_that_is_gone(
    kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    fields = domains_of_routes_with_one_name(kuscia)
    attempt(endpoint, kube, routes=[{"source": "a", "destination": "b-c"}], **fields)
    kuscia.routes[("a-b", "c")] = {**kuscia.routes.pop(("a", "b-c")), "source": "a-b", "destination": "c"}
    assert attempt(endpoint, kube, routes=[], prune={"routes": True}, **fields).deleted == 0
    assert set(kuscia.routes) == {("a-b", "c")}


CHANGED: dict[str, Any] = {
    "domains": {"alice": {"endpoint": "https://a.example.com:1080"}, "bob": {"endpoint": "https://new"}},
}


def test_rejected_replacement_keeps_the_former_route(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    before = copy.deepcopy(kuscia.routes)

    def create(body: dict[str, Any]) -> Reply:
        bad = body["endpoint"]["host"] == "new"
        return (11400, "spec.endpoint.host is invalid", None) if bad else kuscia.do_route_create(body)

    kuscia.replies["route/create"] = create
    for _ in range(2):
        with fails("kusciaapi-rejected"):
            attempt(endpoint, kube, **CHANGED)
        assert kuscia.routes == before
    del kuscia.replies["route/create"]
    assert attempt(endpoint, kube, **CHANGED).updated == 1


def test_replacement_waits_for_its_domains(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    before = copy.deepcopy(kuscia.routes)
    del kuscia.domains["bob"]
    with pytest.raises(DeadlineExceeded):
        attempt(endpoint, kube, **CHANGED)
    assert kuscia.routes == before


def test_the_values_accept_the_recorded_endpoints_that_kuscia_accepts() -> None:
    lines = [line for line in recordings("api-transcript") if line["request"]["path"].endswith("route/create")]
    of_the_endpoint = ("endpoint port should be", "spec.endpoint.host")
    outcomes = []
    for line in lines:
        sent, status = json.loads(line["request"]["body"]), line["response"]["json"]["status"]
        rejected = any(text in status["message"] for text in of_the_endpoint)
        if status["code"] and not rejected:
            continue
        outcomes.append(rejected)
        expected = pytest.raises(RuleError) if rejected else nullcontext()
        with expected:
            valid_remote_endpoint(f"http://{sent['endpoint']['host']}:{sent['endpoint']['ports'][0]['port']}")
    assert outcomes.count(True) >= 3
    assert outcomes.count(False) >= 8


@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_recovers_from_a_failed_request(kube: Kube, core: FakeCore, kuscia: Kuscia, endpoint: str, fault: str) -> None:
    for position in range(8):
        kuscia.routes.clear()
        kuscia.app_images.clear()
        core.objects.pop(("configmaps", "ns", "ledger"), None)
        kuscia.faults = [""] * position + [fault]
        attempt(endpoint, kube)
        kuscia.faults.clear()
        assert len(kuscia.routes) == 2
        assert attempt(endpoint, kube).unchanged == 3


def test_makes_other_changes_if_one_fails(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.do_domain_create({"domain_id": "carol"})
    bad = {
        "domains": {
            "alice": {"endpoint": "https://a"},
            "bob": {"endpoint": "https://b"},
            "carol": {"endpoint": "https://c"},
        }
    }

    def create(body: dict[str, Any]) -> Reply:
        if body["endpoint"]["host"] == "c":
            return 11400, "spec.endpoint.host is invalid", None
        return kuscia.do_route_create(body)

    kuscia.replies["route/create"] = create
    summary = Summary()
    with fails("kusciaapi-rejected"):
        routes.attempt(routes_config(endpoint, **bad), context(kube, summary=summary))
    assert (summary.created, summary.failed) == (5, 2)
    del kuscia.replies["route/create"]
    assert attempt(endpoint, kube, **bad).created == 2


@pytest.mark.exhaustive
def test_second_run_asks_for_870_routes_in_batches(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    names = [f"lite-{number}" for number in range(30)]
    for name in names:
        kuscia.do_domain_create({"domain_id": name})
    domains = {name: {"endpoint": f"https://{name}"} for name in names}
    assert attempt(endpoint, kube, domains=domains).created == 871
    kuscia.asked.clear()
    assert attempt(endpoint, kube, domains=domains).unchanged == 871
    assert len(kuscia.asked) == 2 + math.ceil(870 / BATCH)


def test_dry_run_changes_nothing(
    kube: Kube, core: FakeCore, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.attempt(routes_config(endpoint), context(kube, dry_run=True))
    assert kuscia.paths(writes=True) == []
    assert ("configmaps", "ns", "ledger") not in core.objects
    out = capsys.readouterr().out
    assert "create DomainRoute alice-bob" in out
    assert "create AppImage psi" in out
