"""Releases that a controller reconciles: retries, drift and its repair as Flux does them; `kubectl apply`."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually
from tests.gitops.examples import pruning

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PARTIES = ("master", "alice", "bob")
# As helm-controller: server-side apply that takes over all fields, waiting for Jobs.
OPTIONS = ("--server-side=true", "--force-conflicts", "--wait-for-jobs", "--take-ownership")
# A field manager other than Helm's, which would delete what Helm adds to the manifest.
MANAGER = ("--server-side", "--force-conflicts", "--field-manager=drift")
RETRY_SECONDS = 5
CONVERGE_SECONDS = 400


def reconcile(made: Variant, party: str, timeout: str = "5m") -> int:
    """Upgrade a release until it succeeds, with the strategy RetryOnFailure; return the number of attempts.

    Raises:
        CommandError: the last attempt failed after CONVERGE_SECONDS.
    """
    deadline = time.monotonic() + CONVERGE_SECONDS
    for attempt in itertools.count(1):
        try:
            made.install(party, timeout=timeout, options=OPTIONS)
            return attempt
        except CommandError:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
    raise AssertionError


def manifest(made: Variant, party: str) -> str:
    release = made.release(party)
    return made.kubectl.helm("get", "manifest", release.name, "-n", release.namespace)


def drift(made: Variant, party: str) -> str:
    """Return how the cluster differs from the release, empty if it does not."""
    namespace = made.namespace(party)
    try:
        return made.kubectl.run("diff", *MANAGER, "-n", namespace, "-f", "-", stdin=manifest(made, party))
    except CommandError as error:
        return str(error)


def repair(made: Variant, party: str) -> None:
    """Restore what differs from the release."""
    made.kubectl.run("apply", *MANAGER, "-n", made.namespace(party), "-f", "-", stdin=manifest(made, party))


def state(made: Variant, party: str) -> dict[str, Any]:
    """Return the generation of each object of the release, and the UID of its pod."""
    namespace = made.namespace(party)
    found = {"pod": made.pod(party)["metadata"]["uid"]}
    for item in yaml.safe_load_all(manifest(made, party)):
        if item:
            live = made.kubectl.get(
                item["kind"], item["metadata"]["name"], "-n", item["metadata"].get("namespace", namespace)
            )
            found[f"{item['kind']}/{item['metadata']['name']}"] = live["metadata"].get("generation")
    return found


def revisions(made: Variant, party: str) -> int:
    release = made.release(party)
    try:
        history = made.kubectl.helm("history", release.name, "-n", release.namespace, "--output", "yaml")
    except CommandError:
        return 0
    return len(yaml.safe_load(history))


def test_reconciler_converges_without_drift(demo: Demo, images: Path) -> None:
    """Three releases at once; nothing changes afterwards, and changes of others are found and repaired."""
    with variant(demo, images, "gitops", parties=PARTIES, bare=True) as made:
        with ThreadPoolExecutor(len(PARTIES)) as pool:
            list(pool.map(lambda party: reconcile(made, party), PARTIES))
        assert {party: drift(made, party) for party in PARTIES} == dict.fromkeys(PARTIES, "")

        before = {party: state(made, party) for party in PARTIES}
        with ThreadPoolExecutor(len(PARTIES)) as pool:
            assert set(pool.map(lambda party: reconcile(made, party), PARTIES)) == {1}
        assert {party: state(made, party) for party in PARTIES} == before

        namespace = made.namespace("alice")
        made.kubectl.run("delete", "networkpolicy,service", "--all", "-n", namespace)
        made.kubectl.run("label", "configmap", "kuscia-lite-alice-config", "-n", namespace, "--overwrite",
                         "app.kubernetes.io/component=none")  # fmt: skip
        found = drift(made, "alice")
        assert all(kind in found for kind in ("NetworkPolicy", "Service", "ConfigMap"))
        repair(made, "alice")
        assert drift(made, "alice") == ""
        eventually(lambda: "Succeeded" in made.test("master"), RECONNECT_SECONDS, "helm test of the master")


def test_lite_becomes_ready_after_failed_attempts(demo: Demo, images: Path) -> None:
    """Its master arrives after several time-outs; the pod is the first one."""
    with variant(demo, images, "gitops-late", parties=("master", "alice"), bare=True) as made:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(reconcile, made, "alice", "45s")
            eventually(lambda: revisions(made, "alice") > 2, 400, "two failed attempts")
            pod = made.pod("alice")["metadata"]["uid"]
            made.install("master")
            assert waiting.result() > 2
        assert made.pod("alice")["metadata"]["uid"] == pod
        assert drift(made, "alice") == ""


def jobs(made: Variant, party: str) -> dict[str, bool]:
    """Return the Jobs of a party, and whether each is complete."""
    found = made.kubectl.get("jobs", "-n", made.namespace(party))["items"]
    return {item["metadata"]["name"]: bool(item["status"].get("succeeded")) for item in found}


def apply(made: Variant, party: str, side: str, values: dict[str, Any]) -> set[str]:
    """Apply a party as docs/gitops.md describes; return the names of its Jobs."""
    text = made.template(party, "--skip-tests", values=values)
    namespace = made.namespace(party)
    made.kubectl.ensure_namespace(namespace)
    if side == "server":
        selector = ("-l", "app.kubernetes.io/instance=kuscia", "--field-selector", "status.successful=1")
        made.kubectl.run("delete", "jobs", "-n", namespace, *selector)
        made.kubectl.run("apply", "-n", namespace, "--server-side", "-f", "-", stdin=text)
    else:
        made.kubectl.run("apply", "-n", namespace, "-f", "-", *pruning(), stdin=text)
    return {item["metadata"]["name"] for item in yaml.safe_load_all(text) if item and item["kind"] == "Job"}


def check_passes(made: Variant, party: str) -> bool:
    """Run the test of a party without a release; return whether it succeeded."""
    component = "master" if party == "master" else "lite"
    namespace, pod = made.namespace(party), f"{made.release(party).fullname}-check"
    text = made.template(party, "--show-only", f"charts/{component}/templates/check-pod.yaml")
    made.kubectl.run("replace", "--force", "-n", namespace, "-f", "-", stdin=text)

    def ended() -> str:
        phase = made.kubectl.get("pod", pod, "-n", namespace)["status"]["phase"]
        return str(phase) if phase in ("Succeeded", "Failed") else ""

    eventually(ended, RECONNECT_SECONDS, f"the end of {pod}")
    return ended() == "Succeeded"


@pytest.mark.parametrize("side", ["client", "server"])
def test_kubectl_applies_another_image_and_prunes_jobs(
    demo: Demo, images: Path, image_refs: dict[str, str], next_kuscia: str, side: str
) -> None:
    parties = ("master", "alice")
    changed = {"jobs": {"resources": {"limits": {"memory": "600Mi"}}}}
    next_images = demo.image_values(image_refs | {"kuscia": next_kuscia})
    with variant(demo, images, f"apply-{side}", parties=parties, presets=("no-hooks",), bare=True) as made:

        def complete(names: dict[str, set[str]]) -> bool:
            return all(jobs(made, party) == dict.fromkeys(names[party], True) for party in parties)

        first = {party: apply(made, party, side, {}) for party in parties}
        eventually(lambda: complete(first), 400, "the Jobs")
        keys = {party: made.key(party).private_numbers() for party in parties}
        assert {party: apply(made, party, side, {}) for party in parties} == first
        eventually(lambda: complete(first), 400, "the same Jobs")

        after = replace(made, images=next_images)
        second = {party: apply(after, party, side, {"master": changed, "lite": changed}) for party in parties}
        assert not any(first[party] & second[party] for party in parties)
        eventually(lambda: complete(second), 400, "exactly the Jobs of the new values")
        assert {party: made.key(party).private_numbers() for party in parties} == keys
        for party in parties:
            assert made.pod(party)["spec"]["containers"][0]["image"] == next_kuscia
            eventually(partial(check_passes, after, party), RECONNECT_SECONDS, f"the test of {party}")
