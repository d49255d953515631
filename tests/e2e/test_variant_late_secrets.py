"""Secrets that arrive after the release, as those of external-secrets or sealed-secrets do."""

from pathlib import Path

import pytest

from kuscia_hooks.kuscia import domain_key
from testbed.demo.demo import Demo
from tests.e2e.variants import variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

KEY = "late-key"


@pytest.mark.parametrize("hook", [True, False], ids=["hooks", "jobs"])
def test_waits_for_a_domain_key(demo: Demo, images: Path, hook: bool) -> None:
    """Neither the hooks of Helm nor the pod of the lite fail; the lite starts without another upgrade."""
    with variant(demo, images, f"late-{'hook' if hook else 'job'}") as made:
        made.install("master")
        namespace, fullname = made.namespace("alice"), made.release("alice").fullname
        key = {"existingSecret": KEY, "existingSecretKey": "key.pem"}
        values = {"lite": {"key": key, "jobs": {"keys": {"hook": hook}}}}
        made.install("alice", values=values, wait=False)
        job = made.kubectl.get("jobs", "-n", namespace, "-l", "app.kubernetes.io/component=keys")["items"][0]
        name = f"job/{job['metadata']['name']}"
        logs = ("logs", name, "-n", namespace, "--tail=20")
        eventually(lambda: "[existing-secret-not-found]" in made.kubectl.run(*logs), 120, "keys waits for the Secret")
        made.secret(namespace, KEY, {"key.pem": domain_key.new_key().decode()})
        rollout = ("rollout", "status", f"deploy/{fullname}", "-n", namespace, "--timeout=5m")
        made.kubectl.run(*rollout, timeout=320)
        made.wait_for_node("alice")
        made.kubectl.run("wait", name, "--for=condition=complete", "-n", namespace, "--timeout=60s")
        made.kubectl.get("configmap", f"{fullname}-domain-cert", "-n", namespace)
