"""The bundle of `doctor` and its JSON output."""

import base64
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.inspect import bundle, doctor
from kuscia_hooks.inspect.finding import Finding
from kuscia_hooks.inspect.snapshot import ContainerState, PodState, Snapshot, WarningEvent
from kuscia_hooks.kuscia.api import KusciaAPI
from tests.hooks.builders import SQLITE, lite_release, master_release
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.secret_texts import SECRETS, WORD

pytestmark = pytest.mark.usefixtures("gateways")


def unpacked(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        found = {one.name: tar.extractfile(one) for one in tar.getmembers()}
        return {name.removeprefix("kuscia-bundle/"): file.read().decode() for name, file in found.items() if file}


def test_contains_no_secret_in_any_file() -> None:
    """Whatever the steps read is masked by its value, whatever else there is by its name."""
    hide("hidden-value")
    log = f"hidden-value {base64.b64encode(b'hidden-value').decode()} password={WORD}\x1b[31m\n"
    container = ContainerState("master", log=log, previous=log, message=log, termination=log)
    pod = PodState("ns", "../m 1", "master", "Running", log, (container,), log)
    snapshot = Snapshot(node=pod, steps=(pod,), engines=(pod,), warnings=(WarningEvent("ns", "Pod", "m", "r", log),))
    result = {"findings": [{"cause": log}]}
    found = bundle.files(
        master_release(), snapshot, result, {"unknown": [log]}, {"kuscia.yaml": f"token: {WORD}\n{log}"}
    )
    contents = unpacked(bundle.archive(found))
    assert contents == found
    assert set(contents) == {
        "doctor.json",
        "status.json",
        "release.yaml",
        "events.txt",
        "pods.json",
        "start-record.json",
        "configuration/kuscia.yaml",
        "logs/ns_.._m_1_master.log",
        "logs/ns_.._m_1_master.previous.log",
    }
    for name, text in contents.items():
        for secret in (WORD, "hidden-value", base64.b64encode(b"hidden-value").decode()):
            assert secret not in text, name
        assert "\x1b" not in text, name


@pytest.mark.parametrize("text", SECRETS)
def test_json_in_the_bundle_stays_json(text: str) -> None:
    for message in (text, f'{{"message": "{text}", "reason": "x"}}'):
        container = ContainerState("master", message=message, termination=message)
        node = PodState("ns", "m", "master", "Running", containers=(container,))
        found = bundle.files(master_release(), Snapshot(node=node), {"cause": message}, {"unknown": [message]}, {})
        for name in ("doctor.json", "status.json", "pods.json"):
            assert json.loads(found[name])
            if "\n" not in text:
                assert WORD not in found[name]
        (pod,) = json.loads(found["pods.json"])
        assert (pod["name"], pod["containers"][0]["end_reason"]) == ("m", "")


def test_saves_file_or_prints_it(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy.put("configmaps", "ns", "kuscia-master-config", data={"kuscia.yaml": "mode: master\n"})
    path = tmp_path / "bundle.tar.gz"
    assert doctor.attempt(SQLITE, kube, lambda: master, bundle_file=str(path)) == 0
    saved = unpacked(path.read_bytes())
    assert path.stat().st_mode & 0o077 == 0
    assert saved["configuration/kuscia.yaml"] == "mode: master\n"
    assert saved["logs/ns_m-1_master.log"] == "Kuscia started success\n"
    assert yaml.safe_load(saved["release.yaml"])["domainId"] == "kuscia-system"
    capsys.readouterr()

    assert doctor.attempt(SQLITE, kube, lambda: master, bundle_file="-") == 0
    printed = capsys.readouterr().out
    before, _, rest = printed.partition(f"{bundle.BEGIN}\n")
    assert before == "kuscia-system: nothing found\n"
    encoded, _, after = rest.partition(bundle.END)
    assert (set(unpacked(base64.b64decode(encoded))), after) == (set(saved), "\n")


def test_bundle_has_no_key_of_the_release(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, key_pem: bytes, tmp_path: Path
) -> None:
    lines = key_pem.decode().splitlines()
    healthy.logs["ns", "m-1", "master", False] = key_pem + f"\nkey is {lines[3]}\n".encode()
    path = tmp_path / "bundle.tar.gz"
    doctor.attempt(SQLITE, kube, lambda: master, bundle_file=str(path))
    for name, text in unpacked(path.read_bytes()).items():
        assert [line for line in lines[1:-1] if line in text] == [], name


def test_reports_file_that_cannot_be_written(healthy: FakeCore, kube: Kube, master: KusciaAPI, tmp_path: Path) -> None:
    with fails("bundle-not-saved"):
        doctor.attempt(SQLITE, kube, lambda: master, bundle_file=str(tmp_path / "no/bundle.tar.gz"))


def test_json_has_all_fields(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is printed, also with a bundle."""
    healthy.pods["ns"] = []
    file = str(tmp_path / "bundle.tar.gz")
    assert doctor.attempt(SQLITE, kube, lambda: master, as_json=True, bundle_file=file) == 1
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    finding = printed.pop("findings")[0]
    assert set(finding) == {"id", "cause", "fix", "seen"}
    assert finding["id"] == "no-pod"
    assert printed == {
        "schema": 1,
        "domain": "kuscia-system",
        "mode": "master",
        "release": "kuscia",
        "namespace": "ns",
        "notChecked": [],
    }


def test_json_lists_what_could_not_be_checked() -> None:
    seen = replace(Snapshot(), unread=("events of ns: denied",))
    found = doctor.as_object(lite_release(), [Finding("a", "b", "c", "d")], seen)
    assert found["notChecked"] == ["events of ns: denied"]
    assert found["findings"] == [{"id": "a", "cause": "b", "fix": "c", "seen": "d"}]
