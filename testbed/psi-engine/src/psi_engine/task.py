"""Parse Kuscia's rendered task config and SecretFlow's component input in it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psi_engine import EngineError

COMPONENT = ("data_prep", "psi", "1.0.0")
PROTOCOLS = ("PROTOCOL_RR22", "PROTOCOL_ECDH", "PROTOCOL_KKRT")
CURVES = ("CURVE_FOURQ", "CURVE_25519", "CURVE_SM2", "CURVE_SECP256K1")
JOIN_TYPES = ("inner_join",)
PORT = "psi"
EXAMPLE = "see testbed/psi-engine/README.md for a complete example"


@dataclass(frozen=True)
class Input:
    """One of the two inputs: the table's domaindata id and the columns that are compared."""

    table: str
    keys: tuple[str, ...]
    keys_unique: bool


@dataclass(frozen=True)
class Link:
    """How long and how often the peer is tried; times in milliseconds."""

    connect_retry_times: int = 60
    connect_retry_interval_ms: int = 1000
    recv_timeout_ms: int = 1_200_000
    http_timeout_ms: int = 1_200_000

    @property
    def connect_seconds(self) -> float:
        return self.connect_retry_times * self.connect_retry_interval_ms / 1000


@dataclass(frozen=True)
class Task:
    """A PSI task of one party.

    parties: name -> address of the party's port (own: `0.0.0.0:<port>`), in the order that both
    parties agree on (by name). inputs: in the order of the component's input_ds1, input_ds2.
    receivers: parties that get the result. output_*: None of them is a secret or a path outside the
    data source `output_source`. report_*: the component's second output, which has no file.
    """

    task_id: str
    party: str
    parties: dict[str, str]
    inputs: tuple[Input, Input]
    protocol: str
    curve: str
    sort_result: bool
    allow_empty_result: bool
    receivers: tuple[str, ...]
    output_id: str
    output_uri: str
    output_source: str
    report_id: str
    report_uri: str
    link: Link

    @property
    def peer(self) -> str:
        return next(name for name in self.parties if name != self.party)

    @property
    def rank(self) -> int:
        return list(self.parties).index(self.party)

    @property
    def receives(self) -> bool:
        return self.party in self.receivers


class _Problems(list[str]):
    """All errors of a config."""

    def raise_any(self, what: str) -> None:
        if self:
            raise EngineError(f"{what}:\n" + "\n".join(f"  - {text}" for text in self) + f"\n{EXAMPLE}")


def parse(text: str) -> Task:
    """Return the task of a config file that Kuscia rendered (Kuscia facts 16.4).

    Raises:
        EngineError: lists everything that is missing or not understood.
    """
    problems = _Problems()
    config = _object(text, "task config")
    for key in ("task_id", "task_input_config", "task_cluster_def", "allocated_ports"):
        if not config.get(key):
            problems.append(f"{key} is missing")
    problems.raise_any("the task config is incomplete")

    cluster = _object(config["task_cluster_def"], "task_cluster_def")
    wanted = _object(config["task_input_config"], "task_input_config")
    ports = _object(config["allocated_ports"], "allocated_ports")

    party, parties = _parties(cluster, ports, problems)
    inputs, options = _component(wanted, problems)
    receivers = tuple(options.pop("receivers")) or tuple(parties)
    if party and not set(receivers) <= set(parties):
        problems.append(f"receiver_parties {list(receivers)} names others than the parties {list(parties)}")
    output_id, report_id = _outputs(wanted, "sf_output_ids", problems)
    output_uri, report_uri = _outputs(wanted, "sf_output_uris", problems)
    source = (wanted.get("sf_datasource_config") or {}).get(party) or {}
    if party and not source.get("id"):
        problems.append(f"sf_datasource_config.{party}.id is missing: where {party}'s result goes")
    link = _link(wanted, problems)
    problems.raise_any("the task config cannot be run")
    return Task(
        task_id=config["task_id"],
        party=party,
        parties=parties,
        inputs=(inputs[0], inputs[1]),
        receivers=receivers,
        output_id=output_id,
        output_uri=output_uri,
        output_source=source["id"],
        report_id=report_id,
        report_uri=report_uri,
        link=link,
        **options,
    )


def _object(value: Any, what: str) -> dict[str, Any]:
    """Return `value` as a JSON object; most values are JSON in a string."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise EngineError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise EngineError(f"{what} is not a JSON object but {type(value).__name__}")
    return value


def _parties(cluster: Mapping[str, Any], ports: Mapping[str, Any], problems: _Problems) -> tuple[str, dict[str, str]]:
    entries = cluster.get("parties") or []
    names = [entry.get("name", "") for entry in entries]
    if len(set(names)) != 2 or not all(names):
        problems.append(f"task_cluster_def names the parties {names}; PSI needs exactly two")
        return "", {}
    own = names[cluster.get("selfPartyIdx") or 0]  # proto JSON leaves a zero out
    addresses = {}
    for entry in entries:
        services = {service.get("portName"): service for service in entry.get("services") or []}
        endpoints = (services.get(PORT) or {}).get("endpoints") or []
        if entry["name"] == own:
            bound = [port["port"] for port in ports.get("ports") or [] if port.get("name") == PORT]
            if not bound:
                problems.append(f"allocated_ports has no port named {PORT}: the AppImage must declare it")
            else:
                addresses[own] = f"0.0.0.0:{bound[0]}"
        elif not endpoints:
            problems.append(f"task_cluster_def has no endpoint of {entry['name']}'s port {PORT}")
        else:
            addresses[entry["name"]] = peer_url(endpoints[0])
    return own, dict(sorted(addresses.items()))


def peer_url(endpoint: str) -> str:
    """Return `http://HOST:PORT` of an endpoint; without a port, it is the internal gateway of Kuscia on 80."""
    host = endpoint.removeprefix("http://").rstrip("/")
    return f"http://{host}" if ":" in host else f"http://{host}:80"


def _component(wanted: Mapping[str, Any], problems: _Problems) -> tuple[list[Input], dict[str, Any]]:
    node = wanted.get("sf_node_eval_param") or {}
    component = tuple(node.get(key, "") for key in ("domain", "name", "version"))
    if component != COMPONENT:
        problems.append(
            f"sf_node_eval_param is component {'/'.join(component)}; this engine runs {'/'.join(COMPONENT)}"
        )
    attributes = _attributes(node, problems)
    protocol = attributes.get("protocol", "PROTOCOL_RR22")
    curve = attributes.get("protocol/PROTOCOL_ECDH", "CURVE_FOURQ")
    join = attributes.get("join_type", "inner_join")
    for name, value, allowed in (("protocol", protocol, PROTOCOLS), ("ECDH curve", curve, CURVES),
                                 ("join_type", join, JOIN_TYPES)):  # fmt: skip
        if value not in allowed:
            problems.append(f"{name} is {value!r}; this engine runs {', '.join(allowed)}")
    tables = wanted.get("sf_input_ids") or []
    if len(tables) != 2:
        problems.append(f"sf_input_ids is {tables}; PSI needs two tables")
    inputs = []
    for number, table in enumerate(tables, start=1):
        path = f"input/input_ds{number}/keys"
        keys = tuple(attributes.get(path) or ())
        if not keys:
            problems.append(f"attribute {path} is missing: the columns of {table} to compare")
        duplicated = attributes.get(f"input_ds{number}_keys_duplicated", True)
        inputs.append(Input(table, keys, keys_unique=not duplicated))
    if len({len(one.keys) for one in inputs}) > 1:
        problems.append("the two tables are compared by different numbers of columns: "
                        + " and ".join(str(list(one.keys)) for one in inputs))  # fmt: skip
    return inputs, {
        "protocol": protocol,
        "curve": curve,
        "sort_result": attributes.get("sort_result", True),
        "allow_empty_result": attributes.get("allow_empty_result", False),
        "receivers": attributes.get("receiver_parties") or (),
    }


def _attributes(node: Mapping[str, Any], problems: _Problems) -> dict[str, Any]:
    """Return attribute path -> value. An attribute with `is_na` has its default, so it is left out."""
    paths, values = node.get("attr_paths") or [], node.get("attrs") or []
    if len(paths) != len(values):
        problems.append(f"sf_node_eval_param has {len(paths)} attr_paths but {len(values)} attrs")
    kinds = ("ss", "s", "b", "i64s", "i64", "fs", "f", "bs")
    attributes = {}
    for path, value in zip(paths, values, strict=False):
        if not value.get("is_na"):
            attributes[path] = next((value[kind] for kind in kinds if kind in value), None)
    return {path: value for path, value in attributes.items() if value is not None}


def _outputs(wanted: Mapping[str, Any], key: str, problems: _Problems) -> tuple[str, str]:
    """Return the entries of the two outputs of the component: the table and the report."""
    values = wanted.get(key) or []
    if len(values) != 2 or not all(values):
        problems.append(f"{key} is {values}; PSI has two outputs, a table and a report")
        return "", ""
    return str(values[0]), str(values[1])


def _link(wanted: Mapping[str, Any], problems: _Problems) -> Link:
    devices = (wanted.get("sf_cluster_desc") or {}).get("devices") or []
    spu: dict[str, Any] = next((device for device in devices if device.get("type") == "spu"), {})
    description = _object(spu.get("config") or {}, "the spu device's config").get("link_desc") or {}
    known = {name: description[name] for name in Link.__dataclass_fields__ if name in description}
    try:
        return Link(**{name: int(value) for name, value in known.items()})
    except (TypeError, ValueError) as error:
        problems.append(f"the spu device's link_desc: {error}")
        return Link()
