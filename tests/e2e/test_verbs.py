"""status, doctor, logs and invite, as a person runs them: on a cluster that is well, and on broken installs."""

import base64
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.kuscia import domain_key
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import CHART, ROOT
from tests.e2e.plugin import Said, begin, end, kuscia
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]
LINES = 8
TALKER = "talker"
KEEPS_LOGS = {"lite": {"runk": {"enableLogging": True}}}


@pytest.fixture(scope="module")
def well(demo: Demo, images: Path) -> Iterator[Variant]:
    """Master, alice whose engines run apart and whose logs are kept, and bob."""
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
    """An engine that prints a line a second; it needs no more than a shell, which the image of the steps has."""
    image = yaml.safe_load(images.read_text())["global"]["kuscia"]["hooksImage"]
    words = f'for i in $(seq {LINES}); do echo "line $i of {LINES}"; sleep 1; done'
    container = {"name": TALKER, "command": ["sh", "-c"], "args": [words]}
    template = {"name": TALKER, "role": "", "replicas": 1, "restart_policy": "Never", "containers": [container]}
    return {"image": {"name": image["repository"], "tag": image["tag"]}, "deployTemplates": [template]}


def submit(made: Variant) -> str:
    """A job of the talker with alice and bob; returns its id."""
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


def run(made: Variant, verb: str, party: str, *args: str) -> Said:
    return kuscia(made.kubectl, verb, *args, "-n", made.namespace(party))


def ended(made: Variant, job: str) -> bool:
    with kusciaapi(made.kubectl, made.release("master")) as api:
        return str(api.call("job/query", {"job_id": job})["status"]["state"]) in ("Succeeded", "Failed")


def engine_pods(made: Variant, namespace: str) -> list[Any]:
    return list(made.kubectl.get("pods", "-n", namespace, "-l", "kuscia.secretflow/node")["items"])


def talk(said: Said, party: str) -> list[str]:
    return [line.split("| ")[1] for line in said.text.splitlines() if line.startswith(party) and "| line" in line]


ALL_LINES = [f"line {number} of {LINES}" for number in range(1, LINES + 1)]


def test_status(well: Variant) -> None:
    said = run(well, "status", "master")
    assert said.code == 0, said
    for words in ("alice-kuscia-system", "bob-alice", well.release("bob").fullname):
        assert words in said.text
    found = json.loads(run(well, "status", "master", "--json").text)
    assert {row["route"]: row["ready"] for row in found["routes"]} == dict.fromkeys(
        ("alice-kuscia-system", "bob-kuscia-system", "alice-bob", "bob-alice"), "True"
    )
    assert {row["domain"]: row["status"] for row in found["domains"]} == {"alice": "Ready", "bob": "Ready"}
    assert found["unknown"] == []

    lite = json.loads(run(well, "status", "alice", "--json").text)
    assert [row["route"] for row in lite["routes"]] == ["alice-kuscia-system"]
    assert lite["domains"][0]["node"] == well.pod("alice")["metadata"]["name"]


def test_doctor_of_what_is_well(well: Variant) -> None:
    for party, domain in (("master", "kuscia-system"), ("alice", "alice"), ("bob", "bob")):
        said = run(well, "doctor", party)
        assert (said.code, said.text) == (0, f"{domain}: nothing found\n"), said
    left = well.kubectl.get("jobs", "-n", well.namespace("alice"), "-l", "app.kubernetes.io/component=doctor")
    assert left["items"] == []


def test_doctor_without_the_plugin(well: Variant) -> None:
    """As docs/operations.md says it: kubectl alone."""
    namespace, name = well.namespace("bob"), well.release("bob").fullname
    well.kubectl.run("create", "job", "doctor", f"--from=cronjob/{name}-doctor", "-n", namespace)
    well.kubectl.run("wait", "--for=condition=complete", "job/doctor", "-n", namespace, "--timeout=120s")
    assert well.kubectl.run("logs", "job/doctor", "-n", namespace) == "bob: nothing found\n"
    well.kubectl.run("delete", "job", "doctor", "-n", namespace)


def test_logs_of_every_party(well: Variant) -> None:
    """Followed while they run; afterwards what the lite kept, or who can help."""
    job = submit(well)
    parties = ("master", "alice", "bob")
    following = [begin(well.kubectl, "logs", job, "--follow", "-n", well.namespace(party)) for party in parties]
    master, alice, bob = (end(process) for process in following)
    assert (master.code, alice.code, bob.code) == (0, 0, 0), (master, alice, bob)
    assert talk(alice, "alice") == ALL_LINES
    assert talk(bob, "bob") == ALL_LINES
    assert talk(alice, "bob") == talk(bob, "alice") == talk(master, "alice") == talk(master, "bob") == []
    assert f"kubectl kuscia logs {job} -n {well.namespace('alice')}" in master.text
    assert f"only bob may read its engine's log. There: kubectl kuscia logs {job}" in alice.text

    eventually(lambda: ended(well, job), 60, "the job ends")
    for party, namespace in (("alice", well.namespace("engines")), ("bob", well.namespace("bob"))):
        eventually(lambda: not engine_pods(well, namespace), 60, f"{party}'s engine pod goes")  # noqa: B023
    kept = run(well, "logs", "alice")
    assert (kept.code, talk(kept, "alice")) == (0, ALL_LINES), kept
    lost = run(well, "logs", "bob", job)
    assert lost.code == 1, lost
    assert "--set lite.runk.enableLogging=true" in lost.text
    assert run(well, "logs", "bob", "nosuch").code == 2


def test_invitation_is_a_values_file(well: Variant, tmp_path: Path) -> None:
    said = run(well, "invite", "master", "carl", "--endpoint", "https://kuscia.example.com/in")
    assert said.code == 0, said
    letter = tmp_path / "invited.yaml"
    letter.write_text(said.text)
    rendered = well.kubectl.helm("template", "kuscia", str(CHART), "-n", "lite-carl", "-f", str(letter))
    assert "masterEndpoint: https://kuscia.example.com/in" in rendered
    key = well.kubectl.get("secret", "kuscia-master-domain-key", "-n", well.namespace("master"))["data"]["domain.key"]
    assert key[:40] not in said.text
    assert run(well, "invite", "alice", "carl").code == 2


def test_doctor_may_only_look(well: Variant) -> None:
    namespace = well.namespace("alice")
    account = f"system:serviceaccount:{namespace}:{well.release('alice').fullname}-doctor"

    def may(verb: str, what: str, where: str) -> bool:
        resource, _, name = what.partition("/")
        attributes = {"verb": verb, "resource": resource, "name": name, "namespace": where}
        spec = {"user": account, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = well.kubectl.run("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])

    assert may("list", "pods", namespace)
    assert may("get", "secrets/kuscia-lite-alice-domain-key", namespace)
    assert may("list", "pods", well.namespace("engines"))
    for verb, what in (("create", "pods"), ("delete", "pods"), ("list", "secrets"), ("get", "secrets/other")):
        assert not may(verb, what, namespace)
        assert not may(verb, what, well.namespace("engines"))


def test_secret_that_was_changed(well: Variant) -> None:
    """The pod goes on with the former key until it is restarted; the cure names that command."""
    namespace, name = well.namespace("bob"), f"{well.release('bob').fullname}-domain-key"
    before = well.kubectl.get("secret", name, "-n", namespace)["data"]["domain.key"]
    try:
        well.secret(namespace, name, {"domain.key": domain_key.new_key().decode()})
        said = run(well, "doctor", "bob")
        assert said.code == 1, said
        assert f"Secret {namespace}/{name} was changed after the pod started" in said.text
        assert f"kubectl rollout restart deployment/{well.release('bob').fullname} -n {namespace}" in said.text
    finally:
        well.secret(namespace, name, {"domain.key": base64.b64decode(before).decode()})
    assert run(well, "doctor", "bob").code == 0


def test_runk_without_its_role(well: Variant) -> None:
    """`prepare` keeps Kuscia from giving up, and what doctor says mends it."""
    namespace, fullname = well.namespace("bob"), well.release("bob").fullname
    well.kubectl.run("delete", "rolebinding", f"{fullname}-runk", "-n", namespace)
    well.kubectl.run("rollout", "restart", f"deployment/{fullname}", "-n", namespace)

    words = f"the API server refuses what RunK does in {namespace}: this lite's ServiceAccount may not get, list,"
    eventually(lambda: words in well.log("bob", "prepare"), 180, f"prepare says {words!r}")
    said = run(well, "doctor", "bob")
    assert said.code == 1, said
    assert f"RunK may not make engine pods in {namespace}" in said.text
    assert f"cure: helm upgrade kuscia ./charts/kuscia -n {namespace} --reuse-values" in said.text
    at_the_master = run(well, "doctor", "master")
    assert at_the_master.code == 1, at_the_master
    assert f"kubectl kuscia doctor -n {namespace}" in at_the_master.text

    well.kubectl.helm("upgrade", "kuscia", str(ROOT / "charts/kuscia"), "-n", namespace, "--reuse-values", "--wait")
    eventually(lambda: run(well, "doctor", "bob").code == 0, 180, "bob is well")


BROKEN = {
    "scheme": (
        {"master": {"endpoint": "http://kuscia-master.v-verbs-master.svc.cluster.local:1080"}},
        "has the wrong scheme",
        "--set lite.master.endpoint=https://kuscia-master.v-verbs-master.svc.cluster.local:1080",
    ),
    "masterless": ({}, "no Kuscia gateway answers at", "is the master installed"),
    "stranger": (
        {"domainId": "carl", "master": {"endpoint": "https://kuscia-master.v-verbs-master.svc.cluster.local:1080"}},
        "does not know",
        "--set master.domains.carl.endpoint=",
    ),
    "token": (
        {"master": {"endpoint": "https://kuscia-master.v-verbs-master.svc.cluster.local:1080"}},
        "is not the domain's unused one",
        "--set master.domains.alice.allowRekey=true",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_install(demo: Demo, images: Path, well: Variant, name: str) -> None:
    """A lite that waits: doctor gives the cause and the command. The last has a token that was used by another key."""
    values, cause, cure = BROKEN[name]
    presets = ("alice-own-token",)
    with variant(demo, images, f"verbs-{name}", parties=("alice",), presets=presets) as made:
        token = {"token": "used-by-another-key-0000000000000"}
        made.secret(made.namespace("alice"), "alice-deploy-token", token)
        made.install("alice", values={"lite": values}, wait=False)
        selector = "app.kubernetes.io/component=lite"
        log = ("logs", "-n", made.namespace("alice"), "-l", selector, "-c", "prepare", "--tail=-1")
        eventually(lambda: cause in made.kubectl.run(*log), 120, f"prepare says {cause!r}")
        said = run(made, "doctor", "alice")
        assert said.code == 1, said
        assert cause in said.text
        assert cure in said.text
        assert token["token"] not in said.text


def test_image_that_cannot_be_pulled(demo: Demo, images: Path, tmp_path: Path) -> None:
    layer = yaml.safe_load(images.read_text())
    layer["master"]["image"] = {"repository": "registry.invalid/kuscia", "tag": "none"}
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(layer))
    # As a hook, `routes` would keep helm waiting.
    values = {"master": {"jobs": {"routes": {"hook": False}}}}
    with variant(demo, broken, "verbs-image", parties=("master",), values=values) as made:
        made.install("master", wait=False)
        eventually(lambda: "ImagePull" in json.dumps(made.pod("master")["status"]), 120, "the image is not found")
        said = run(made, "doctor", "master")
        assert said.code == 1, said
        assert "the image cannot be pulled" in said.text
        assert "kubectl describe pod" in said.text


def test_help_and_wrong_use(demo: Demo) -> None:
    helped = kuscia(demo.kubectl, "--help")
    assert helped.code == 0
    assert "docs/operations.md" in helped.text
    assert kuscia(demo.kubectl, "operate").code == 2
    nowhere = kuscia(demo.kubectl, "status", "-n", "default")
    assert nowhere.code == 2
    assert "no release of Kuscia" in nowhere.errors
