"""`kubectl kuscia` status, doctor, logs and invite, on healthy and on broken releases."""

import base64
import io
import json
import secrets
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.kuscia import domain_key
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import CHART, ROOT
from tests.e2e import messages
from tests.e2e.plugin import Said, begin, end, kuscia
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]
LINES = 8
TALKER = "talker"
KEEPS_LOGS = {"lite": {"runk": {"enableLogging": True}}}


@pytest.fixture(scope="module")
def healthy(demo: Demo, images: Path) -> Iterator[Variant]:
    """Master, bob, and alice with a separate engine namespace and engine logs."""
    with variant(demo, images, "verbs", parties=("master", "alice", "bob")) as made:
        demo.kubectl.ensure_namespace(made.namespace("engines"))
        with ThreadPoolExecutor(3) as pool:
            runs = [
                pool.submit(made.install, "master", values={"master": {"appImages": {TALKER: talker(images)}}}),
                pool.submit(made.install, "alice", "alice-engines-apart", values=KEEPS_LOGS),
                pool.submit(made.install, "bob"),
            ]
            for run in runs:
                run.result()
        yield made


def talker(images: Path) -> dict[str, Any]:
    """Return an engine that prints a line per second. It requires only a shell, which the image of the steps has."""
    image = yaml.safe_load(images.read_text())["global"]["kuscia"]["hooksImage"]
    words = f'for i in $(seq {LINES}); do echo "line $i of {LINES}"; sleep 1; done'
    container = {"name": TALKER, "command": ["sh", "-c"], "args": [words]}
    template = {"name": TALKER, "role": "", "replicas": 1, "restart_policy": "Never", "containers": [container]}
    return {"image": {"name": image["repository"], "tag": image["tag"]}, "deployTemplates": [template]}


def submit(made: Variant) -> str:
    """Create a job of the talker with alice and bob; return its ID."""
    job = f"talk-{secrets.token_hex(3)}"
    parties = [{"domain_id": name, "role": ""} for name in ("alice", "bob")]
    task = {
        "app_image": TALKER,
        "alias": "talk",
        "task_id": f"{job}-talk",
        "parties": parties,
        "task_input_config": "{}",
    }
    with kusciaapi(made.kubectl, made.release("master")) as api:
        api.call("job/create", {"job_id": job, "initiator": "alice", "max_parallelism": 1, "tasks": [task]})
    return job


def run(made: Variant, command: str, party: str, *args: str) -> Said:
    return kuscia(made.kubectl, command, *args, "-n", made.namespace(party))


def ended(made: Variant, job: str) -> bool:
    with kusciaapi(made.kubectl, made.release("master")) as api:
        return str(api.call("job/query", {"job_id": job})["status"]["state"]) in ("Succeeded", "Failed")


def engine_pods(made: Variant, namespace: str) -> list[Any]:
    return list(made.kubectl.get("pods", "-n", namespace, "-l", "kuscia.secretflow/node")["items"])


def printed_lines(said: Said, party: str) -> list[str]:
    return [line.split("| ")[1] for line in said.text.splitlines() if line.startswith(party) and "| line" in line]


ALL_LINES = [f"line {number} of {LINES}" for number in range(1, LINES + 1)]


def test_status_shows_domains_and_routes(healthy: Variant) -> None:
    said = run(healthy, "status", "master")
    assert said.code == 0, said
    for words in ("alice-kuscia-system", "bob-alice", healthy.release("bob").fullname):
        assert words in said.text
    found = json.loads(run(healthy, "status", "master", "--output", "json").text)
    assert {row["route"]: row["ready"] for row in found["routes"]} == dict.fromkeys(
        ("alice-kuscia-system", "bob-kuscia-system", "alice-bob", "bob-alice"), "True"
    )
    assert {row["domain"]: row["status"] for row in found["domains"]} == {"alice": "Ready", "bob": "Ready"}
    assert found["unknown"] == []

    lite = json.loads(run(healthy, "status", "alice", "--output", "json").text)
    assert [row["route"] for row in lite["routes"]] == ["alice-kuscia-system"]
    assert lite["domains"][0]["node"] == healthy.pod("alice")["metadata"]["name"]


def test_doctor_finds_nothing_on_healthy_releases(healthy: Variant) -> None:
    for party, domain in (("master", "kuscia-system"), ("alice", "alice"), ("bob", "bob")):
        said = run(healthy, "doctor", party)
        assert (said.code, said.text) == (0, f"{domain}: nothing found\n"), said
    left = healthy.kubectl.get("jobs", "-n", healthy.namespace("alice"), "-l", "app.kubernetes.io/component=doctor")
    assert left["items"] == []


def test_doctor_runs_without_the_plugin(healthy: Variant) -> None:
    """With kubectl only, as in docs/operations.md."""
    namespace, name = healthy.namespace("bob"), healthy.release("bob").fullname
    healthy.kubectl.run("create", "job", "doctor", f"--from=cronjob/{name}-doctor", "-n", namespace)
    healthy.kubectl.run("wait", "--for=condition=complete", "job/doctor", "-n", namespace, "--timeout=120s")
    assert healthy.kubectl.run("logs", "job/doctor", "-n", namespace) == "bob: nothing found\n"
    healthy.kubectl.run("delete", "job", "doctor", "-n", namespace)


def test_logs_shows_engines_of_the_own_domain_only(healthy: Variant) -> None:
    """First with --follow, then from the logs that the lite keeps."""
    job = submit(healthy)
    parties = ("master", "alice", "bob")
    following = [begin(healthy.kubectl, "logs", job, "--follow", "-n", healthy.namespace(party)) for party in parties]
    master, alice, bob = (end(process) for process in following)
    assert (master.code, alice.code, bob.code) == (0, 0, 0), (master, alice, bob)
    assert printed_lines(alice, "alice") == ALL_LINES
    assert printed_lines(bob, "bob") == ALL_LINES
    assert (
        printed_lines(alice, "bob")
        == printed_lines(bob, "alice")
        == printed_lines(master, "alice")
        == printed_lines(master, "bob")
        == []
    )
    assert f"kubectl kuscia logs {job} -n {healthy.namespace('alice')}" in master.text
    assert f"kubectl kuscia logs {job}" in alice.text

    eventually(lambda: ended(healthy, job), 60, "the job ends")
    for party, namespace in (("alice", healthy.namespace("engines")), ("bob", healthy.namespace("bob"))):
        eventually(lambda: not engine_pods(healthy, namespace), 60, f"{party}'s engine pod goes")  # noqa: B023
    kept = run(healthy, "logs", "alice")
    assert (kept.code, printed_lines(kept, "alice")) == (0, ALL_LINES), kept
    lost = run(healthy, "logs", "bob", job)
    assert lost.code == 1, lost
    assert "set lite.runk.enableLogging: true" in lost.text
    assert run(healthy, "logs", "bob", "nosuch").code == 2


def test_invite_prints_a_values_file(healthy: Variant, tmp_path: Path) -> None:
    said = run(healthy, "invite", "master", "carl", "--endpoint", "https://kuscia.example.com/in")
    assert said.code == 0, said
    letter = tmp_path / "invited.yaml"
    letter.write_text(said.text)
    rendered = healthy.kubectl.helm("template", "kuscia", str(CHART), "-n", "lite-carl", "-f", str(letter))
    assert "masterEndpoint: https://kuscia.example.com/in" in rendered
    key = healthy.kubectl.get("secret", "kuscia-master-domain-key", "-n", healthy.namespace("master"))["data"][
        "domain.key"
    ]
    assert key[:40] not in said.text
    assert run(healthy, "invite", "alice", "carl").code == 2


def test_doctor_has_read_permissions_only(healthy: Variant) -> None:
    namespace = healthy.namespace("alice")
    account = f"system:serviceaccount:{namespace}:{healthy.release('alice').fullname}-doctor"

    def may(verb: str, what: str, where: str) -> bool:
        resource, _, name = what.partition("/")
        attributes = {"verb": verb, "resource": resource, "name": name, "namespace": where}
        spec = {"user": account, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = healthy.kubectl.run("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])

    assert may("list", "pods", namespace)
    assert may("get", "secrets/kuscia-lite-alice-domain-key", namespace)
    assert may("list", "pods", healthy.namespace("engines"))
    for verb, what in (("create", "pods"), ("delete", "pods"), ("list", "secrets"), ("get", "secrets/other")):
        assert not may(verb, what, namespace)
        assert not may(verb, what, healthy.namespace("engines"))


def test_doctor_reports_a_changed_secret(healthy: Variant) -> None:
    """The pod uses the old key until it is restarted."""
    namespace, name = healthy.namespace("bob"), f"{healthy.release('bob').fullname}-domain-key"
    before = healthy.kubectl.get("secret", name, "-n", namespace)["data"]["domain.key"]
    try:
        healthy.secret(namespace, name, {"domain.key": domain_key.new_key().decode()})
        said = run(healthy, "doctor", "bob")
        assert said.code == 1, said
        assert messages.CHANGED_SECRET.printed_in(said.text, f"{namespace}/{name}")
        assert f"kubectl rollout restart deployment/{healthy.release('bob').fullname} -n {namespace}" in said.text
    finally:
        healthy.secret(namespace, name, {"domain.key": base64.b64decode(before).decode()})
    assert run(healthy, "doctor", "bob").code == 0


def test_recovers_when_the_role_of_runk_is_restored(healthy: Variant) -> None:
    """`prepare` keeps Kuscia from exiting. An upgrade, as doctor says, restores the Role."""
    namespace, fullname = healthy.namespace("bob"), healthy.release("bob").fullname
    healthy.kubectl.run("delete", "rolebinding", f"{fullname}-runk", "-n", namespace)
    healthy.kubectl.run("rollout", "restart", f"deployment/{fullname}", "-n", namespace)

    message = messages.RUNK_FORBIDDEN
    messages.wait_for_message(healthy, "bob", message, namespace, "get, list,", timeout=180)
    said = run(healthy, "doctor", "bob")
    assert said.code == 1, said
    fix = f"upgrade release kuscia in namespace {namespace}"
    assert messages.RUNK_FORBIDDEN.printed_in(said.text, fix)
    at_the_master = run(healthy, "doctor", "master")
    assert at_the_master.code == 1, at_the_master
    assert f"kubectl kuscia doctor -n {namespace}" in at_the_master.text

    healthy.kubectl.helm("upgrade", "kuscia", str(ROOT / "charts/kuscia"), "-n", namespace, "--reuse-values", "--wait")
    eventually(lambda: run(healthy, "doctor", "bob").code == 0, RECONNECT_SECONDS, "doctor finds nothing at bob")


BROKEN = {
    "scheme": (
        {"master": {"endpoint": "http://kuscia-master.v-verbs-master.svc.cluster.local:1080"}},
        messages.WRONG_SCHEME,
        "set lite.master.endpoint: https://kuscia-master.v-verbs-master.svc.cluster.local:1080",
    ),
    "masterless": ({}, messages.HOST_NOT_FOUND, ""),
    "stranger": (
        {"domainId": "carl", "master": {"endpoint": "https://kuscia-master.v-verbs-master.svc.cluster.local:1080"}},
        messages.UNKNOWN_DOMAIN,
        "set master.domains.carl.endpoint: ",
    ),
    "token": (
        {"master": {"endpoint": "https://kuscia-master.v-verbs-master.svc.cluster.local:1080"}},
        messages.DEPLOY_TOKEN_MISMATCH,
        "set master.domains.alice.allowRekey: true",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_doctor_explains_why_a_lite_waits(demo: Demo, images: Path, healthy: Variant, name: str) -> None:
    """Doctor names the cause and the fix. In case "token" the token was used with another key."""
    values, message, fix = BROKEN[name]
    presets = ("alice-own-token",)
    with variant(demo, images, f"verbs-{name}", parties=("alice",), presets=presets) as made:
        token = {"token": "used-by-another-key-0000000000000"}
        made.secret(made.namespace("alice"), "alice-deploy-token", token)
        made.install("alice", values={"lite": values}, wait=False)
        # The name of the Deployment contains the domain ID, which differs in case "stranger".
        selector = "app.kubernetes.io/component=lite"
        log = ("logs", "-n", made.namespace("alice"), "-l", selector, "-c", "prepare", "--tail=-1")
        eventually(lambda: message.printed_in(made.kubectl.run(*log)), 120, f"prepare prints [{message.id}]")
        said = run(made, "doctor", "alice")
        assert said.code == 1, said
        assert message.printed_in(said.text, fix)
        assert token["token"] not in said.text


def test_doctor_reports_an_image_that_cannot_be_pulled(demo: Demo, images: Path, tmp_path: Path) -> None:
    layer = yaml.safe_load(images.read_text())
    layer["master"]["image"] = {"repository": "registry.invalid/kuscia", "tag": "none"}
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(layer))
    # As a hook, `routes` would make helm wait.
    values = {"master": {"jobs": {"routes": {"hook": False}}}}
    with variant(demo, broken, "verbs-image", parties=("master",), values=values) as made:
        made.install("master", wait=False)
        eventually(lambda: "ImagePull" in json.dumps(made.pod("master")["status"]), 120, "the pull fails")
        said = run(made, "doctor", "master")
        assert said.code == 1, said
        assert messages.IMAGE_PULL.printed_in(said.text, "kubectl describe pod")


def quota(made: Variant, namespace: str) -> None:
    """Permit no further pod in a namespace."""
    made.kubectl.ensure_namespace(namespace)
    metadata = {"name": "none", "namespace": namespace}
    made.kubectl.apply(
        json.dumps({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}})
    )


def test_plugin_reports_its_rejected_job_within_seconds(healthy: Variant) -> None:
    namespace = healthy.namespace("bob")
    quota(healthy, namespace)
    try:
        begin = time.monotonic()
        said = run(healthy, "doctor", "bob")
        assert time.monotonic() - begin < 30
        assert said.code == 2, said
        assert messages.JOB_REJECTED.printed_in(said.errors, "exceeded quota: none")
        assert f"kubectl describe resourcequota -n {namespace}" in said.text
    finally:
        healthy.kubectl.run("delete", "resourcequota", "none", "-n", namespace)


def test_plugin_shows_a_release_whose_first_hook_cannot_run(demo: Demo, images: Path) -> None:
    """Helm has created no CronJob yet."""
    with variant(demo, images, "verbs-quota", parties=("alice",)) as made:
        quota(made, made.namespace("alice"))
        with pytest.raises(CommandError):
            made.install("alice", wait=False, timeout="15s")
        said = run(made, "doctor", "alice")
        assert said.code == 2, said
        assert messages.RELEASE_INCOMPLETE.printed_in(said.errors, made.namespace("alice"))
        assert "exceeded quota: none" in said.text


def test_plugin_says_that_the_image_of_the_steps_must_be_built(demo: Demo, images: Path, tmp_path: Path) -> None:
    layer = yaml.safe_load(images.read_text())
    layer["global"]["kuscia"]["hooksImage"] = {"repository": "registry.invalid/kuscia-hooks", "tag": "none"}
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(layer))
    with variant(demo, broken, "verbs-steps", parties=("alice",)) as made:
        with pytest.raises(CommandError):
            made.install("alice", wait=False, timeout="30s")
        said = run(made, "doctor", "alice")
        assert said.code == 2, said
        assert messages.RELEASE_INCOMPLETE.printed_in(said.errors)
        assert "global.kuscia.hooksImage" in said.text


def test_doctor_names_the_secret_that_a_pod_waits_for(demo: Demo, images: Path) -> None:
    """The event comes before the consequences for the steps."""
    mounted = {
        "extraVolumes": [{"name": "ca", "secret": {"secretName": "not-there"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    }
    values = {"master": mounted | {"jobs": {"routes": {"hook": False}}}}
    with variant(demo, images, "verbs-mount", parties=("master",), values=values) as made:
        made.install("master", wait=False)
        fix = f"kubectl create secret generic not-there -n {made.namespace('master')}"

        def named() -> bool:
            return messages.SECRET_NOT_FOUND.printed_in(run(made, "doctor", "master").text.partition("2. ")[0], fix)

        eventually(named, 120, "doctor names the Secret first")


def test_doctor_names_the_memory_limit_of_a_step(demo: Demo, images: Path) -> None:
    """Python alone needs more."""
    limits = {"requests": {"memory": "8Mi"}, "limits": {"memory": "12Mi"}}
    values = {"master": {"jobs": {"routes": {"hook": False}, "register": {"resources": limits}}}}
    with variant(demo, images, "verbs-memory", parties=("master",), values=values) as made:
        made.install("master", wait=False)
        fix = "set master.jobs.resources.limits.memory: "
        eventually(
            lambda: messages.OUT_OF_MEMORY.printed_in(run(made, "doctor", "master").text, fix),
            180,
            "doctor names the memory limit",
        )


def test_doctor_reports_an_engine_without_room(healthy: Variant, images: Path) -> None:
    """The AppImage requests more than the capacity of the lites."""
    app = talker(images)
    app["deployTemplates"][0]["containers"][0]["resources"] = {"requests": {"cpu": "16"}, "limits": {"cpu": "16"}}
    healthy.install("master", values={"master": {"appImages": {TALKER: app}}})
    job = submit(healthy)
    try:
        for party in ("master", "bob"):
            eventually(
                lambda: "engine-no-room" in run(healthy, "doctor", party).text,  # noqa: B023
                180,
                f"doctor of {party} reports that engines have no room",
            )
    finally:
        healthy.stop_job(job)
        healthy.install("master", values={"master": {"appImages": {TALKER: talker(images)}}})


def test_doctor_saves_a_bundle_without_secrets(healthy: Variant, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    said = run(healthy, "doctor", "alice", "--bundle", str(path))
    assert str(path) in said.text, said
    with tarfile.open(path) as tar:
        texts = {one.name: (tar.extractfile(one) or io.BytesIO()).read().decode() for one in tar.getmembers()}
    assert {"kuscia-bundle/doctor.json", "kuscia-bundle/status.json", "kuscia-bundle/release.yaml"} <= set(texts)
    name = f"{healthy.release('alice').fullname}-domain-key"
    secret = healthy.kubectl.get("secret", name, "-n", healthy.namespace("alice"))["data"]["domain.key"]
    lines = base64.b64decode(secret).decode().splitlines()[1:-1]
    for file, text in texts.items():
        assert secret[:40] not in text, file
        assert [line for line in lines if line in text] == [], file


def test_help_and_invalid_usage(demo: Demo) -> None:
    helped = kuscia(demo.kubectl, "--help")
    assert helped.code == 0
    assert "docs/operations.md" in helped.text
    assert kuscia(demo.kubectl, "operate").code == 2
    nowhere = kuscia(demo.kubectl, "status", "-n", "default")
    assert nowhere.code == 2
    assert "default" in nowhere.errors
