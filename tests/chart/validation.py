"""Validate many values files in one process of Helm.

A chart of our own has the templates of the real one, and applies its `validate.yaml` to each values file. Helm starts
once instead of once for each file. `test_bad_values.py` compares the errors with those of the real chart.
"""

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.chart.render import CHART, KUBE_VERSION, Object, RenderError, tool

TEMPLATE = """
{{- $validation := .Files.Get "validate.yaml" | replace "{{- fail " "{{- print " }}
{{- $common := dict "Release" .Release "Capabilities" .Capabilities }}
{{- range $path, $_ := .Files.Glob "cases/*.json" }}
{{- $values := $.Files.Get $path | fromJson }}
{{- $subcharts := dict }}
{{- range $name := list "master" "lite" }}
{{- $component := get $values $name }}
{{- if $component.enabled }}
{{- $_ := set $component "global" $values.global }}
{{- $chart := dict "Name" $name }}
{{- $_ := set $subcharts $name (merge (dict "Values" $component "Chart" $chart) $common) }}
{{- end }}
{{- end }}
{{- $context := merge (dict "Values" $values "Subcharts" $subcharts "Chart" $.Chart) $common }}
{{ $path | quote }}: {{ tpl $validation $context | b64enc | quote }}
{{- end }}
"""


def messages(cases: Sequence[Object]) -> list[str]:
    """Return the message of the validation for each values file, empty if it has no errors.

    Not for values that Helm itself rejects or changes: wrong types, and `null` in place of a component.
    """
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    with tempfile.TemporaryDirectory() as directory:
        chart = Path(directory)
        (chart / "templates").mkdir()
        (chart / "cases").mkdir()
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: kuscia, version: 1.0.0}")
        for source in CHART.glob("charts/*/templates/*.tpl"):
            shutil.copy(source, chart / "templates" / f"_{source.parts[-3]}{source.name}")
        shutil.copy(CHART / "templates/validate.yaml", chart)
        (chart / "templates/cases.yaml").write_text(TEMPLATE)
        for number, values in enumerate(cases):
            (chart / f"cases/{number:04}.json").write_text(json.dumps(_over(defaults, values)))
        command = [tool("helm"), "template", "kuscia", str(chart), "--namespace=ns", "--kube-version", KUBE_VERSION]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RenderError(done.stderr)
    found = yaml.safe_load(done.stdout)
    return [base64.b64decode(found[f"cases/{number:04}.json"]).decode().strip() for number in range(len(cases))]


def _over(defaults: Any, values: Any) -> Any:
    """Return the values of a user merged with the defaults, as Helm does: `null` removes a default."""
    if not isinstance(defaults, dict) or not isinstance(values, dict):
        return values
    merged = {key: _over(defaults[key], value) if key in defaults else value for key, value in values.items()}
    return {key: value for key, value in {**defaults, **merged}.items() if value is not None or key not in defaults}
