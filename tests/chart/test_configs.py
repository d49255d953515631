"""The configuration files and command lines that the chart renders are valid for the steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from kuscia_hooks.cli import main
from kuscia_hooks.core import yaml_text
from kuscia_hooks.core.config.files import load, parse
from kuscia_hooks.core.config.prepare import Prepare
from tests.chart.models import MODELS
from tests.chart.render import Object, Scenario, config_maps, pod_template, render


def _mounted(objects: list[Object], directory: Path) -> list[Path]:
    """Write the configuration files of each pod into a directory, as it mounts them, and return their paths."""
    data = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
    files = []
    for item in objects:
        volumes = (pod_template(item) or {"spec": {}})["spec"].get("volumes", [])
        for volume in volumes:
            if volume["name"] == "config":
                place = directory / item["metadata"]["name"] / item["kind"]
                place.mkdir(parents=True)
                for name in config_maps(volume):
                    for key, text in data[name].items():
                        files.append(place / key)
                        files[-1].write_text(text)
    return files


def test_configurations_match_the_models_of_the_steps(scenario: Scenario, tmp_path: Path) -> None:
    files = _mounted(scenario.objects, tmp_path)
    assert {path.name for path in files} >= {"prepare.yaml", "check.yaml", "doctor.yaml"}
    for path in files:
        if path.stem in MODELS:
            load(str(path), MODELS[path.stem])
        else:
            assert path.name in ("kuscia.yaml", "domains.yaml") or path.suffix == ".crt"


def test_command_lines_match_the_steps(scenario: Scenario) -> None:
    seen = set()
    for item in scenario.objects:
        template = pod_template(item)
        if template is None:
            continue
        containers = template["spec"].get("initContainers", []) or template["spec"]["containers"]
        for container in containers:
            assert "command" not in container
            step, *args = container["args"]
            assert step == container["name"]
            command = main.commands[step]
            command.make_context(step, list(args))
            seen.add(step)
    assert seen >= {"prepare", "keys", "check", "doctor"}


def test_mounts_the_configuration_files_of_the_command_lines(scenario: Scenario) -> None:
    files = {item["metadata"]["name"]: set(item["data"]) for item in scenario.objects if item["kind"] == "ConfigMap"}
    for item in scenario.objects:
        template = pod_template(item)
        if template is None:
            continue
        spec = template["spec"]
        volumes = {volume["name"]: config_maps(volume) for volume in spec["volumes"]}
        for container in spec.get("initContainers", []) or spec["containers"]:
            mounted = {
                f"{mount['mountPath']}/{key}"
                for mount in container["volumeMounts"]
                for name in volumes.get(mount["name"], [])
                for key in files.get(name, ())
            }
            assert {arg for arg in container["args"] if arg.startswith("/etc/kuscia-hooks/")} <= mounted


def test_kuscia_yaml_matches_prepare_and_has_no_secrets(scenario: Scenario) -> None:
    for item in scenario.objects:
        if item["kind"] == "ConfigMap" and "kuscia.yaml" in item["data"]:
            base = yaml.safe_load(item["data"]["kuscia.yaml"])
            prepare = parse(item["data"]["prepare.yaml"], Prepare, "prepare.yaml")
            assert base["mode"] == prepare.mode
            assert base["domainID"] == prepare.domain_id
            assert not {"domainKeyData", "liteDeployToken", "datastoreEndpoint", "kusciaAPI"} & base.keys()


def derived_labels(objects: list[Object]) -> dict[str, dict[str, str]]:
    """Return the labels that each step gives to the objects that it creates, by the name of its Job or ConfigMap."""
    found: dict[str, dict[str, str]] = {}
    for item in objects:
        name = item["metadata"]["name"]
        if item["kind"] == "ConfigMap":
            for text in item["data"].values():
                config = yaml.safe_load(text)
                if isinstance(config, dict) and "ledger" in config and "labels" in config:
                    found[name] = config["labels"]
        elif item["kind"] == "Job" and "-keys" in name:
            args = item["spec"]["template"]["spec"]["containers"][0]["args"]
            pairs = (args[index + 1] for index, arg in enumerate(args) if arg == "--label")
            found[name] = dict(pair.split("=", 1) for pair in pairs)
    return found


def test_objects_of_the_steps_are_not_tracked_as_those_of_the_chart(scenario: Scenario) -> None:
    """With label tracking, Argo CD prunes what has the label `instance` of its application, such as domain keys."""
    found = derived_labels(scenario.objects)
    assert any("-keys" in name for name in found)
    assert set(_writers(scenario.objects)) <= found.keys()
    for labels in found.values():
        assert "app.kubernetes.io/instance" not in labels
        assert labels["app.kubernetes.io/managed-by"] == "kuscia-hooks"
        assert labels["kuscia-chart/release"] == scenario.release


def _writers(objects: list[Object]) -> Iterator[str]:
    """Yield the ConfigMaps of the steps that write a ledger."""
    for item in objects:
        name = item["metadata"]["name"]
        if item["kind"] == "ConfigMap" and name.endswith(("-register", "-routes", "-data")):
            yield name


def test_steps_reject_unknown_options() -> None:
    with pytest.raises(click.UsageError):
        main.commands["register"].make_context("register", ["--no-such-option"])


# Valid names of Secrets, domains and namespaces that YAML reads as a number, a boolean or null.
NAMES = ["123", "1e3", "no", "2024", "0x10", "null", "true", "y", "08"]
TEXTS = [
    "~",
    "a: b",
    "#x",
    "{my-secret}",
    "[a]",
    "- a",
    "=",
    "<<",
    "0x_",
    "1_000",
    "2001-01-01",
    "'a' \"b\"",
    "中文 é",
    "a\nb\n",
]


def _config(objects: list[Object], step: str) -> Any:
    """Return the configuration of a step as its model."""
    files = {name: text for item in objects if item["kind"] == "ConfigMap" for name, text in item["data"].items()}
    return parse(files[f"{step}.yaml"], MODELS[step], step, files.__getitem__)


@pytest.mark.parametrize("text", NAMES)
def test_names_of_a_master_stay_text(text: str) -> None:
    database = {"database": text, "user": text, "existingSecret": text, "existingSecretKey": text}
    objects = render(
        {
            "master": {
                "domainId": text,
                "key": {"existingSecret": text, "existingSecretKey": text},
                "extraConfigSecret": text,
                "extraConfigSecretKey": text,
                "datastore": {"type": "mysql", "host": "db.example.com", **database},
                "domains": {f"{text}0": {"reader": {"namespace": text}}},
            }
        }
    )
    for step in ("prepare", "register", "routes", "check", "doctor"):
        found = _config(objects, step)
        assert (found.domain_id, found.key_secret.name, found.key_secret.key) == (text, text, text)
        if step in ("prepare", "doctor"):
            assert (found.extra_config_secret.name, found.extra_config_secret.key) == (text, text)
        if step in ("prepare", "check", "doctor"):
            store = found.datastore
            assert (store.database, store.user, store.password_secret.name, store.password_secret.key) == (text,) * 4
        if step != "prepare":
            assert found.domains[f"{text}0"].namespace == text
            assert found.domains[f"{text}0"].token_secret == f"kuscia-deploy-token-{text}0"
    assert yaml.safe_load(_kuscia_yaml(objects))["domainID"] == text


@pytest.mark.parametrize("text", NAMES)
def test_names_of_a_lite_stay_text(text: str) -> None:
    source = {"id": text, "type": "oss", "endpoint": "https://oss.example.com", "bucket": f"{text}0", "prefix": text}
    keys = {"name": text, "accessKeyIdKey": text, "accessKeySecretKey": text}
    table = {"id": text, "relativeUri": text, "columns": [{"name": text, "type": "str", "comment": text}]}
    objects = render(
        {
            "master": {"enabled": False},
            "lite": {
                "enabled": True,
                "domainId": text,
                "master": {
                    "endpoint": "https://m.example.com",
                    "namespace": text,
                    "tokenSecret": text,
                    "tokenKey": text,
                    "caBundle": {"secret": text, "key": text},
                },
                "runk": {"namespace": text, "kubeconfigSecret": text, "kubeconfigSecretKey": text},
                "data": {
                    "source": {**source, "credentialsSecret": keys},
                    "tables": [{**table, "attributes": {text: text}}],
                    "grants": [{"table": text, "domain": f"{text}0"}],
                    "results": [text],
                },
            },
        }
    )
    prepare, data, check = (_config(objects, step) for step in ("prepare", "data", "check"))
    token, bundle = prepare.deploy_token, prepare.master.ca_bundle
    assert (token.namespace, token.name, token.key, bundle.name, bundle.key) == (text,) * 5
    engines = prepare.engines
    assert (engines.namespace, engines.kubeconfig_secret.name, engines.kubeconfig_secret.key) == (text,) * 3
    assert (data.source.id, data.source.bucket, data.source.prefix) == (text, f"{text}0", text)
    assert tuple(data.source.credentials_secret.model_dump().values()) == (text,) * 3
    (found,) = data.tables
    assert (found.id, found.name, found.relative_uri, found.attributes) == (text, text, text, {text: text})
    assert (found.columns[0].name, found.columns[0].comment) == (text, text)
    assert (data.grants[0].table, data.grants[0].domain) == (text, f"{text}0")
    assert (check.source.id, check.tables, check.results) == (text, [text], [text])
    assert _config(objects, "doctor").partners == [f"{text}0"]
    assert yaml.safe_load(_kuscia_yaml(objects))["runk"]["namespace"] == text


def test_free_text_stays_the_same() -> None:
    texts = {f"t{number:02}": text for number, text in enumerate([*NAMES, *TEXTS])}
    image = {"name": "engine", "tag": "1"}
    apps = {
        name: {
            "image": image,
            "configTemplates": {"a": text},
            "deployTemplates": [{"name": "a", "containers": [{"name": "a", "args": [text]}]}],
        }
        for name, text in texts.items()
    }
    objects = render({"master": {"appImages": apps, "extraConfig": {"logrotate": texts}}})
    routes = _config(objects, "routes")
    for name, given in apps.items():
        found = routes.app_images[name]
        assert found.config_templates == given["configTemplates"]
        assert found.deploy_templates == given["deployTemplates"]
    assert yaml_text.read(_kuscia_yaml(objects))["logrotate"] == texts
    columns = [{"name": name, "type": "str", "comment": text} for name, text in texts.items()]
    table = {"id": "t", "relativeUri": "t.csv", "columns": columns, "attributes": texts}
    source = {"id": "s", "type": "oss", "endpoint": "https://oss.example.com", "bucket": "b"}
    source |= {"credentialsSecret": {"name": "s"}}
    lite = {"lite": {"data": {"source": source, "tables": [table], "grants": []}}}
    (table,) = _config(render(lite, "alice"), "data").tables
    assert {column.name: column.comment for column in table.columns} == texts
    assert table.attributes == texts


def _kuscia_yaml(objects: list[Object]) -> str:
    (text,) = (item["data"]["kuscia.yaml"] for item in objects if "kuscia.yaml" in (item.get("data") or {}))
    return str(text)
