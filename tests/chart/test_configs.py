"""The configuration files and command lines that the chart renders are valid for the steps."""

from pathlib import Path

import click
import pytest
import yaml
from pydantic import BaseModel

from kuscia_hooks.cli import main
from kuscia_hooks.core.config.check import Check
from kuscia_hooks.core.config.data import Data, Seed
from kuscia_hooks.core.config.files import load, parse
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.config.routes import Routes
from tests.chart.render import Object, Scenario, config_maps, pod_template

MODELS: dict[str, type[BaseModel]] = {
    "prepare": Prepare,
    "seed": Seed,
    "register": Register,
    "routes": Routes,
    "data": Data,
    "check": Check,
    "doctor": Release,
}


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
            assert path.name in ("kuscia.yaml", "domains.yaml")


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


def test_keys_labels_its_objects(scenario: Scenario) -> None:
    jobs = [item for item in scenario.objects if item["kind"] == "Job" and "-keys" in item["metadata"]["name"]]
    assert jobs
    for job in jobs:
        args = job["spec"]["template"]["spec"]["containers"][0]["args"]
        labels = [args[index + 1] for index, arg in enumerate(args) if arg == "--label"]
        assert "app.kubernetes.io/managed-by=kuscia-hooks" in labels


def test_steps_reject_unknown_options() -> None:
    with pytest.raises(click.UsageError):
        main.commands["register"].make_context("register", ["--no-such-option"])
