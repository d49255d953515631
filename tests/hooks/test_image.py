"""The Dockerfile of the steps."""

import json
import re

from tests.chart.render import ROOT

DOCKERFILE = (ROOT / "hooks/Dockerfile").read_text()


def instruction(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def test_entrypoint_needs_no_shell() -> None:
    (entrypoint,) = instruction("ENTRYPOINT")
    assert json.loads(entrypoint) == ["python3", "-m", "kuscia_hooks"]
    assert instruction("CMD") == []


def test_user_is_a_number() -> None:
    """`runAsNonRoot` cannot check a name."""
    assert instruction("USER")[-1] == "1000:1000"


def test_base_can_be_pinned_by_digest() -> None:
    assert instruction("FROM") == ["${PYTHON_IMAGE}"]
    assert "PYTHON_IMAGE=" in instruction("ARG")[0]


def test_packages_are_pinned_by_hash() -> None:
    assert "--require-hashes" in DOCKERFILE
