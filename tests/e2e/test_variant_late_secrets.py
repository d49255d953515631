"""Secrets that arrive after the release, as those of external-secrets do; wrong ones that are corrected later."""

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kuscia_hooks.kuscia import domain_key
from testbed.demo.demo import Demo
from testbed.servers import s3
from testbed.servers.databases import MARIADB
from tests.e2e import datastores, messages, parties
from tests.e2e.backups import step_log
from tests.e2e.messages import Message
from tests.e2e.variants import Variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

KEY, TOKEN, STORE = "late-key", "alice-deploy-token", "alice-oss"
PARTIES = ("master", "alice")
STEP_SECONDS = 600


def wait_for_step(made: Variant, party: str, step: str, message: Message, *facts: str) -> None:
    """Wait until a step prints a message with all facts."""
    what = f"{step} of {party} prints [{message.id}]"
    eventually(lambda: message.printed_in(step_log(made, party, step), *facts), STEP_SECONDS, what)


def failed_steps(made: Variant, party: str) -> dict[str, int]:
    """Return how often containers of steps failed: name -> restarts."""
    found = {}
    for pod in made.kubectl.get("pods", "-n", made.namespace(party))["items"]:
        for status in (*pod["status"].get("initContainerStatuses", []), *pod["status"]["containerStatuses"]):
            if status["name"] not in ("master", "lite") and status["restartCount"]:
                found[status["name"]] = status["restartCount"]
    return found


def data_of(made: Variant, party: str, secret: str) -> dict[str, str]:
    found = made.kubectl.get("secret", secret, "-n", made.namespace(party))["data"]
    return {key: base64.b64decode(value).decode() for key, value in found.items()}


@pytest.mark.timeout(1800)  # each step reports two errors before it continues
@pytest.mark.parametrize("presets", [(), ("no-hooks",)], ids=["hooks", "jobs"])
def test_every_step_waits_for_its_secret(
    demo: Demo, images: Path, image_refs: dict[str, str], presets: tuple[str, ...]
) -> None:
    """Domain key, database password, deploy token, keys of the object store: each is missing first, and then wrong.

    No step fails. With hooks, helm waits too. With Jobs, it ends at once. Wrong keys of the object store are left out
    with hooks: `data` as a hook fails at once.
    """
    name, hooks = f"late-{'jobs' if presets else 'hooks'}", not presets
    server = replace(MARIADB, namespace=f"v-{name}-mariadb")
    with (
        datastores.running(demo, server),
        datastores.master(demo, images, server, "kuscia", name, PARTIES) as master,
    ):
        account = s3.Account("alice", master.made.namespace("alice"), STORE)
        s3.ensure(demo.kubectl, image_refs["versitygw"], (account,))
        made = replace(master.made, presets=(*master.made.presets, "alice-own-token", *presets), tables=True)
        store = data_of(made, "alice", STORE)
        made.kubectl.run("delete", "secret", STORE, "-n", made.namespace("alice"))
        made.kubectl.run("delete", "secret", master.secret_name, "-n", made.namespace("master"))
        master.make_user()
        master.make_database()

        key = {"key": {"existingSecret": KEY, "existingSecretKey": "key.pem"}}
        data = parties.values(made, "alice")["lite"]["data"] | {"grants": []}
        values = {
            "master": {"master": {"domains": {"alice": {"reader": None}}}},
            "alice": {"lite": {**key, "data": data, "jobs": {"data": {"hook": hooks}}}},
        }
        with ThreadPoolExecutor(len(PARTIES)) as pool:
            runs = [
                pool.submit(made.install, party, values=values[party], wait=hooks, timeout="15m") for party in PARTIES
            ]
            wait_for_step(made, "alice", "keys", messages.EXISTING_SECRET_NOT_FOUND, KEY)
            made.secret(made.namespace("alice"), KEY, {"key.pem": "not a key"})
            wait_for_step(made, "alice", "keys", messages.DOMAIN_KEY_INVALID, KEY)
            made.secret(made.namespace("alice"), KEY, {"key.pem": domain_key.new_key().decode()})

            messages.wait_for_message(
                made, "master", messages.SECRET_NOT_FOUND, master.secret_name, timeout=STEP_SECONDS
            )
            master.set_secret("wrong")
            messages.wait_for_message(made, "master", messages.DATABASE_LOGIN, master.secret_name, timeout=STEP_SECONDS)
            master.set_secret(master.password)

            messages.wait_for_message(made, "alice", messages.SECRET_NOT_FOUND, TOKEN, timeout=STEP_SECONDS)
            made.secret(made.namespace("alice"), TOKEN, {"token": "not-the-token"})
            messages.wait_for_message(made, "alice", messages.DEPLOY_TOKEN_MISMATCH, TOKEN, timeout=STEP_SECONDS)
            made.secret(made.namespace("alice"), TOKEN, data_of(made, "master", "kuscia-deploy-token-alice"))

            wait_for_step(made, "alice", "data", messages.SECRET_NOT_FOUND, STORE)
            if not hooks:
                made.secret(made.namespace("alice"), STORE, store | {"access_key_secret": "wrong"})
                wait_for_step(made, "alice", "data", messages.S3_CREDENTIALS_REJECTED, STORE)
            made.secret(made.namespace("alice"), STORE, store)
            for run in runs:
                run.result()

        for party in PARTIES:
            namespace, fullname = ("-n", made.namespace(party)), made.release(party).fullname
            made.kubectl.run("rollout", "status", f"deploy/{fullname}", *namespace, "--timeout=5m", timeout=320)
            complete = ("wait", "jobs", "--all", "--for=condition=Complete", "--timeout=5m")
            made.kubectl.run(*complete, *namespace, timeout=320)
            assert failed_steps(made, party) == {}
        made.wait_for_node("alice")
        log = made.test()
        assert messages.passed(log, messages.DATA_SOURCE)
        assert messages.failures(log) == []
