"""kubeconform: objects match the JSON schemas of their kinds."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chart.render import tool


def write(directory: Path, schemas: Mapping[str, dict[str, Any]]) -> str:
    """Write the schema of each kind to a file, and return the -schema-location of these files."""
    for kind, schema in schemas.items():
        (directory / f"{kind.lower()}.json").write_text(json.dumps(schema))
    return str(directory / "{{ .ResourceKind }}.json")


def check(objects: str | Path, *locations: str, skip: str = "") -> str:
    """Assert that objects match their schemas, and return the summary.

    Args:
        objects: YAML text, or the path of a file or of a directory of files.
        locations: one -schema-location or several.
        skip: a kind that is not checked. An object of another kind without a schema is an error.
    """
    path, text = (str(objects), None) if isinstance(objects, Path) else ("-", objects)
    command = [tool("kubeconform"), "-strict", "-summary", "-skip", skip]
    for location in locations:
        command += ["-schema-location", location]
    done = subprocess.run([*command, path], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
