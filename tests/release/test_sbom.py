"""The bill of materials of the image of the steps."""

from pathlib import Path

import pytest

from release import sbom


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("sbom") / "bill.json"
    sbom.write(path)
    return path


def test_lists_the_lock_file_with_hashes(bill: Path) -> None:
    assert sbom.mismatches(sbom.read(bill)) == []


def test_two_bills_have_the_same_bytes(bill: Path, tmp_path: Path) -> None:
    sbom.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == bill.read_bytes()


def test_reports_missing_changed_and_unknown_packages(bill: Path) -> None:
    content = sbom.read(bill)
    first, second, third, *_ = content["components"]
    content["components"].remove(first)
    second["version"] = "0"
    third["externalReferences"] = []
    content["components"].append({**second, "name": "unknown"})
    found = {mismatch.found.split()[0] for mismatch in sbom.mismatches(content)}
    assert found == {first["name"], second["name"], third["name"], "unknown"}
