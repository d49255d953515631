"""Environment variables that the agent adds to engines: Kuscia's plugin env-import.

Source: pkg/agent/middleware/plugins/hook/envimport/env_import.go. The order (after the ports, before the certificates)
is recorded in recordings/runk-task-pod.yaml.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from kuscia_sim.agent.capacity import Room
from kuscia_sim.agent.errors import AgentStartError
from kuscia_sim.jobs import quantity
from kuscia_sim.state.store import Object

PLUGIN = "env-import"
CPU_LIMIT, MEMORY_LIMIT = "CONTAINER_CPU_LIMIT", "CONTAINER_MEM_LIMIT"
SHARE = 0.8
"""Share of the node's capacity for a container without a limit."""
MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Import:
    """One entry of the plugin's `envList`: names and values for pods with all of these labels."""

    envs: tuple[tuple[str, str], ...]
    selectors: tuple[tuple[str, str], ...]


class EnvImport:
    """The plugin as configured by `agent.plugins` in kuscia.yaml.

    Args:
        agent: the raw `agent` block.
        room: what the node offers.
        by_image: whether selectors match labels of the image first (RunP, RunC), and those of the pod only unless
            `usePodLabels` is false. Built-in images have no labels here.

    Raises:
        AgentStartError: the plugin's configuration is malformed.
    """

    def __init__(self, agent: Mapping[str, Any], room: Room, by_image: bool) -> None:
        config = _plugin_config(agent)
        self._imports = _imports(config)
        self._pod_labels = not by_image or config.get("usePodLabels") is not False
        self._by_image = by_image
        self._room = room

    def add_to(self, pod: Object, labels: Mapping[str, str]) -> Object:
        """Return a copy of the pod with the environment that its containers start with.

        If a name occurs twice, the engine sees the last value: under RunK the added one, otherwise its own (Kuscia's
        k8s_provider.go and cri_provider.go).
        """
        added = [pair for entry in self._imports if self._matches(entry, labels) for pair in entry.envs]
        containers = []
        for container in pod["spec"]["containers"]:
            own, more = container["env"], _entries([*added, *self._limits(container.get("resources") or {})])
            containers.append({**container, "env": [*more, *own] if self._by_image else [*own, *more]})
        return {**pod, "spec": {**pod["spec"], "containers": containers}}

    def _matches(self, entry: Import, labels: Mapping[str, str]) -> bool:
        known = labels if self._pod_labels else {}
        # As in a Go map, a missing label is an empty one.
        return all(known.get(key, "") == value for key, value in entry.selectors)

    def _limits(self, resources: Mapping[str, Any]) -> list[tuple[str, str]]:
        limits, offered = resources.get("limits") or {}, self._room.allocatable
        cpu = (
            str(quantity.ceil(str(limits["cpu"])))
            if "cpu" in limits
            else f"{float(quantity.ceil(offered['cpu'])) * SHARE:.2f}"
        )
        memory = (
            quantity.ceil(str(limits["memory"]))
            if "memory" in limits
            else math.trunc(quantity.ceil(offered["memory"]) * SHARE)
        )
        return [(CPU_LIMIT, cpu), (MEMORY_LIMIT, f"{memory // MIB}Mi")]


def _plugin_config(agent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the last plugin of that name, as Kuscia does (cmd/kuscia/confloader/kuscia_config.go)."""
    named = [plugin for plugin in _items(agent.get("plugins"), "plugins") if plugin.get("name") == PLUGIN]
    config = (named[-1].get("config") or {}) if named else {}
    if not isinstance(config, dict):
        raise _bad("config is not a map")
    return config


def _imports(config: Mapping[str, Any]) -> list[Import]:
    return [
        Import(
            tuple((_text(env.get("name")), _text(env.get("value"))) for env in _items(entry.get("envs"), "envs")),
            tuple(
                (_text(chosen.get("key")), _text(chosen.get("value")))
                for chosen in _items(entry.get("selectors"), "selectors")
            ),
        )
        for entry in _items(config.get("envList"), "envList")
    ]


def _items(value: Any, name: str) -> list[dict[str, Any]]:
    items = [] if value is None else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _bad(f"{name} is not a list of maps")
    return items


def _bad(detail: str) -> AgentStartError:
    return AgentStartError(f"failed to init plugin hook.{PLUGIN}, detail-> yaml: unmarshal errors: {detail}")


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise _bad("cannot unmarshal a map or a list into string")
    return "" if value is None else (str(value).lower() if isinstance(value, bool) else str(value))


def _entries(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
