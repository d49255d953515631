"""Decide whether the chart handles a case: objects that the cluster and the steps accept, or an error that helps."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import yaml

from kuscia_hooks.core.config.files import parse
from kuscia_hooks.core.errors import ConfigError
from tests.chart.error_ids import parse_errors
from tests.chart.models import MODELS
from tests.chart.render import RenderError, template_once
from tests.fuzz import scalars
from tests.fuzz.api_server import Client
from tests.fuzz.generator import Case

RENDERED, BY_CHART, BY_SCHEMA, BY_HELM, FAULT = "rendered", "chart", "schema", "helm", "fault"
EXTRA_OBJECT = "extra object"

_SCHEMA = "values don't meet the specifications of the schema"
_RELEASE = "invalid release name"
# Helm reads `master: text` before the schema; a chart has no influence on its message.
_SUBCHART = re.compile(r"type mismatch on (common|master|lite)\b")
# The kinds of extra objects, and the templates in them, are those of the user: Helm and the API server judge them.
_EXTRA_OBJECTS = "kuscia/templates/extra-objects.yaml"
_GO = re.compile(
    r"nil pointer|error calling|YAML parse error|wrong type for value|can't evaluate field|can't give argument|"
    r"executing \"|%!\w?\(|<nil>|map\[|interface \{\}|\[\]interface|float64|"
    r"runtime error|goroutine|invalid value; expected"
)


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        outcome: RENDERED, BY_CHART, BY_SCHEMA, BY_HELM, EXTRA_OBJECT (rejected by Helm or the API server) or FAULT.
        kind: for a fault, what it has in common with others: the message without values.
        detail: the message.
    """

    outcome: str
    kind: str = ""
    detail: str = ""


class Judge:
    """Judge cases. Objects and configurations that were accepted once are not sent again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._accepted: set[bytes] = set()

    def verdict(self, case: Case) -> Verdict:
        try:
            text = template_once(case.scenario, case.helm)
        except RenderError as error:
            return refusal(case, str(error))
        return self._rendered(case, text)

    def _rendered(self, case: Case, text: str) -> Verdict:
        if case.release in scalars.INVALID_RELEASES:
            return Verdict(FAULT, "helm accepts an invalid release name", case.release)
        documents = [
            document
            for document in re.split(r"^---\s*$", text, flags=re.MULTILINE)
            if not all(line.startswith("#") for line in document.strip().splitlines())
        ]
        for document in documents:
            key = hashlib.sha256(f"{case.namespace}\n{document}".encode()).digest()
            if key in self._accepted:
                continue
            found = self._problem(case, document)
            if found and f"# Source: {_EXTRA_OBJECTS}\n" in document:
                return Verdict(EXTRA_OBJECT, detail=found)
            if found:
                source = next((line for line in document.splitlines() if line.startswith("# Source:")), "")
                where = source.rpartition("/charts/")[2] or source
                return Verdict(FAULT, f"{where}: {_general(found)}", found)
            self._accepted.add(key)
        found = _config_problem([load(document) for document in documents if "\nkind: ConfigMap\n" in document])
        return Verdict(FAULT, _general(found), found) if found else Verdict(RENDERED)

    def _problem(self, case: Case, document: str) -> str:
        try:
            item = load(document)
        except yaml.YAMLError as error:
            return f"not YAML: {error}"
        if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
            return f"not an object: {str(item)[:200]}"
        for words in ("labels", "annotations"):
            found = item["metadata"].get(words) or {}
            if not isinstance(found, dict):
                return f"{words}: {found!r} is not a mapping"
            for key, value in found.items():
                if not (isinstance(key, str) and isinstance(value, str)):
                    return f"{words}: {key!r}: {value!r} is not text"
        namespace = item["metadata"].get("namespace", case.namespace)
        return self._client.refusal(str(item.get("apiVersion")), str(item.get("kind")), str(namespace), document)


def refusal(case: Case, error: str) -> Verdict:
    """Return the verdict for the error output of Helm."""
    if _RELEASE in error and case.release in scalars.INVALID_RELEASES:
        return Verdict(BY_HELM)
    if _SUBCHART.search(error):
        return Verdict(BY_HELM)
    if _SCHEMA in error:
        return Verdict(BY_SCHEMA, detail=error)
    if _EXTRA_OBJECTS in error:
        return Verdict(EXTRA_OBJECT, detail=error)
    errors = parse_errors(error)
    own = "\n".join(f"{item.path}\n{item.rule}\n{item.example}" for item in errors)
    if errors and not _GO.search(own):
        return Verdict(BY_CHART, detail=error)
    return Verdict(FAULT, _general(error), error)


def _config_problem(config_maps: list[dict[str, Any]]) -> str:
    """Return what is wrong with the configuration files of the steps and of Kuscia in the ConfigMaps of a release."""
    files = [file for item in config_maps for file in (item.get("data") or {}).items()]
    for name, text in files:
        model = MODELS.get(name.removesuffix(".yaml"))
        if not name.endswith(".yaml") or (model is None and name != "kuscia.yaml"):
            continue
        try:
            load(text)
            if model is not None:
                parse(text, model, name, dict(files).__getitem__)
        except (yaml.YAMLError, ConfigError) as error:
            return f"{name}: {error}"
    return ""


class _Loader(yaml.CSafeLoader):
    """Reject a key that a mapping has twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(map(repr, keys))):
            raise yaml.constructor.ConstructorError(None, None, f"a key is repeated: {keys}", node.start_mark)
        return super().construct_mapping(node, deep)


# A plain `=` or `<<` as a value is text for Kubernetes.
for _tag in ("value", "merge"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_yaml_str)


def load(text: str) -> Any:
    """Return the only document of a text.

    Raises:
        yaml.YAMLError: the text is not YAML, or a mapping has a key twice.
    """
    return yaml.load(text, Loader=_Loader)


def _general(message: str) -> str:
    """Return a message without values, so that faults of one kind have one text."""
    message = re.sub(r'"(\\.|[^"\\])*"|\'[^\']*\'', "…", message[:1500])
    message = re.sub(r"<[^<>]*>|\d+", "0", message)
    return re.sub(r"\s+", " ", message)[:240]
