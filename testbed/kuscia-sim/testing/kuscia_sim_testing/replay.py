"""Replays a transcript line by line at the recorded pace, and reports the differences of each line.

Requests are sent as recorded, except for values of the recorded cluster: generated IDs, the KusciaAPI token, the home
directory, the Service names of lites and the addresses of pods.
"""

import dataclasses
import datetime
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

from kuscia_sim import credentials
from kuscia_sim_testing.client import Answer, send, tls_context
from kuscia_sim_testing.compare import VALUES, differences, parse_stream
from kuscia_sim_testing.recording import Line
from kuscia_sim_testing.world import MASTER_ID, NodeProcess, World

LONGEST_PAUSE = 8.0
SETTLE = 20.0
POLL = 0.5
GENERATED = ("datasource_id", "domaindata_id", "domaindatagrant_id", "task_id")
READS = ("query", "batchQuery", "list", "/handshake", "/healthZ", "/watch")
_POD_IP = re.compile(r"\b10\.\d+\.\d+\.\d+\b")
_LITE_HOST = re.compile(r"kuscia-lite-([a-z0-9]+)\.[a-z0-9.-]+")


@dataclasses.dataclass(frozen=True)
class Result:
    line: Line
    problems: list[str]


def domains_before(lines: list[Line]) -> dict[str, dict[str, str]]:
    """Return the Domains that existed before the first line, with their annotations."""
    made: set[str] = set()
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.node != "master" or not line.body or line.status != 200:
            continue
        if line.path.endswith("domain/create"):
            made.update(re.findall(r'"domain_?[iI]d":\s*"([^"]*)"', line.body))
        if not line.path.endswith(("domain/query", "domain/batchQuery")):
            continue
        data = json.loads(line.answer).get("data") or {}
        for domain in data.get("domains", [data]):
            domain_id = domain.get("domain_id", "")
            if domain_id and domain_id not in made and domain_id not in ("master", MASTER_ID):
                found[domain_id] = found.get(domain_id) or domain.get("annotations", {})
    return {domain_id: {} for domain_id in lites_of(lines) if domain_id not in made} | found


def lites_of(lines: list[Line]) -> list[str]:
    return sorted({line.node.removeprefix("lite-") for line in lines if line.node.startswith("lite-")})


def first_line_of_lites(lines: list[Line]) -> int:
    """Return the index of the first line that shows a registered lite, or the number of lines."""
    for line in lines:
        registered = '"node_statuses":[{' in line.answer or '"source_public_key":"L' in line.answer
        if line.node.startswith("lite-") or registered:
            return line.index
    return len(lines)


class Replay:
    """One transcript against one world."""

    def __init__(self, lines: list[Line], world: World) -> None:
        self._lines = lines
        self.world = world
        self._learned: dict[str, str] = {}
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._tokens = {
            line.headers["Token"].strip() for line in lines if line.headers.get("Token") and line.status == 200
        }

    def run(self, before: Callable[["Replay"], None] | None = None) -> Iterator[Result]:
        """Replay the lines.

        Args:
            before: prepares the state before the first line; without it nodes start when a line first needs them.
        """
        if before:
            before(self)
        lites_from = -1 if before else first_line_of_lites(self._lines)
        due = time.monotonic()
        last: datetime.datetime | None = None
        for line in self._lines:
            if line.node not in self.world.nodes and line.mode == "master":
                domains = domains_before(self._lines) if line.node == "master" else {}
                self.world.start_master(line.node, line.protocol, domains)
                due = time.monotonic()
            if line.index == lites_from:
                self.start_lites(lites_of(self._lines))
                due = time.monotonic()
            if line.path.endswith("/job/create"):
                self._use_http_ports()
            pause = min((line.time - last).total_seconds(), LONGEST_PAUSE) if last else 0.0
            last, due = line.time, max(due, time.monotonic() - 1) + pause
            time.sleep(max(0.0, due - time.monotonic()))
            yield Result(line, self._play(line))

    def start_lites(self, domain_ids: list[str]) -> None:
        """Start the lites of known domains; return when all of them have started."""
        self.world.start_lites({domain_id: self._deploy_token(domain_id) for domain_id in domain_ids})

    def _use_http_ports(self) -> None:
        """Change GRPC ports of app images to HTTP, which is all that the stand-in carries between engines."""
        images = json.loads(self.ask("master", "/api/v1/appimage/list", '{"page_size": 1000}').body)
        for image in images["data"]["appimage_list"]:
            changed = json.dumps(image).replace('"protocol": "GRPC"', '"protocol": "HTTP"')
            if changed != json.dumps(image):
                self.ask("master", "/api/v1/appimage/update", changed)

    def _deploy_token(self, domain_id: str) -> str:
        body = json.dumps({"domain_id": domain_id})
        deadline = time.monotonic() + SETTLE
        while True:
            answer = self.ask("master", "/api/v1/domain/query", body)
            data = (json.loads(answer.body) if answer.body else {}).get("data") or {}
            tokens = [t["token"] for t in data.get("deploy_token_statuses", []) if t["state"] == "unused"]
            if tokens:
                return str(tokens[0])
            if time.monotonic() > deadline:
                raise TimeoutError(f"no unused deploy token for {domain_id}: {answer}")
            time.sleep(POLL)

    def ask(self, node_name: str, path: str, body: str) -> Answer:
        """Send a request of the harness to a node's KusciaAPI."""
        node = self.world.nodes[node_name]
        headers = {"Content-Type": "application/json", "Token": node.token}
        tls = None if node.protocol == "NOTLS" else self._own_tls(node)
        return send(node.address, node.port(8082), "POST", path, headers, body, tls)

    def _play(self, line: Line) -> list[str]:
        wanted = self._localize(line)
        node = self.world.nodes[line.node]
        deadline = time.monotonic() + SETTLE
        while True:
            answer = send(
                node.address,
                node.port(line.port),
                wanted.method,
                wanted.path,
                wanted.headers,
                wanted.body,
                self._tls(line, node),
            )
            self._learn(line.answer, answer.body)
            wanted = self._localize(line)
            problems = differences(wanted, answer)
            may_change = line.path.endswith(READS) and not all(p.startswith("header") for p in problems)
            if not problems or not may_change or time.monotonic() > deadline:
                break
            time.sleep(POLL)
        return problems

    def _localize(self, line: Line) -> Line:
        """Return the line as it would have been recorded here."""
        node = self.world.nodes[line.node]
        replacements = dict(self._learned)
        for name, lite in self.world.nodes.items():
            if name.startswith("lite-"):
                for host in self._service_names(name.removeprefix("lite-")):
                    replacements[host] = lite.address

        def local(text: str) -> str:
            for old in sorted(replacements, key=len, reverse=True):
                text = text.replace(old, replacements[old])
            return _POD_IP.sub(node.address, text)

        headers = {name: local(value) for name, value in line.headers.items()}
        token = headers.get("Token", headers.get("token", ""))
        if token.strip() in self._tokens:
            name = "Token" if "Token" in headers else "token"
            headers[name] = headers[name].replace(token.strip(), node.token)
        body = line.body if line.body is None else self._local_port(local(line.body), line.body)
        answer = self._local_port(local(line.answer), line.answer)
        answer_headers = {name: local(value) for name, value in line.answer_headers.items()}
        return dataclasses.replace(line, headers=headers, body=body, answer=answer, answer_headers=answer_headers)

    def _local_port(self, text: str, recorded: str) -> str:
        """Replace port 1080 where a lite's Service name was replaced by its address."""
        for node in self.world.nodes.values():
            if node.address in text and node.address not in recorded:
                port = rf"\g<1>{node.port(1080)}"
                text = re.sub(rf'("host":\s*"{re.escape(node.address)}".*?"port":\s*)1080\b', port, text)
        return text

    def _service_names(self, domain_id: str) -> set[str]:
        """Return the host names of a lite in routes created while it ran."""
        first = first_line_of_lites(self._lines)
        made = [line.body or "" for line in self._lines[first:] if line.path.endswith("route/create")]
        return {match[0] for match in _LITE_HOST.finditer(" ".join(made)) if match[1] == domain_id}

    def _learn(self, recorded: str, now: str) -> None:
        """Remember the generated IDs."""
        try:
            pairs = zip(parse_stream(recorded), parse_stream(now), strict=False)
        except ValueError:
            return
        for left, right in pairs:
            self._learn_pair(left, right)

    def _learn_pair(self, recorded: Any, now: Any) -> None:
        if isinstance(recorded, list) and isinstance(now, list):
            for left, right in zip(recorded, now, strict=False):
                self._learn_pair(left, right)
        if not isinstance(recorded, dict) or not isinstance(now, dict):
            return
        for name in recorded.keys() & now.keys():
            was, got = recorded[name], now[name]
            if name in GENERATED and was != got and was not in self._learned and VALUES[name](was):
                self._learned[was] = got
            self._learn_pair(was, got)

    def _tls(self, line: Line, node: NodeProcess) -> ssl.SSLContext | None:
        if line.scheme == "http" or "plain http" in line.note:
            return None
        if line.port == 1080 or "no client certificate" in line.note or "without a client" in line.note:
            return tls_context()
        if "another CA" in line.note:
            return self._context(node, foreign=True)
        if line.protocol == "MTLS" or line.port == 8070 or "client certificate" in line.note:
            return self._context(node)
        return tls_context()

    def _own_tls(self, node: NodeProcess) -> ssl.SSLContext:
        return self._context(node) if node.protocol == "MTLS" else tls_context()

    def _context(self, node: NodeProcess, foreign: bool = False) -> ssl.SSLContext:
        name = "foreign" if foreign else "client"
        directory = node.home / "contract"
        if (str(node.home), name) not in self._contexts:
            directory.mkdir(parents=True, exist_ok=True)
            key = credentials.new_key()
            ca_key = credentials.new_key() if foreign else node.key
            cert = credentials.client_certificate(ca_key, node.domain_id, key.public_key(), name)
            cert_file, key_file = directory / f"{name}.crt", directory / f"{name}.key"
            cert_file.write_text(credentials.cert_pem(cert))
            key_file.write_text(credentials.key_pem(key))
            self._contexts[str(node.home), name] = tls_context(str(cert_file), str(key_file))
        return self._contexts[str(node.home), name]


def table(results: list[Result]) -> str:
    """Return a table of endpoints, recordings and passed lines, followed by the failures."""
    counts: dict[str, list[int]] = {}
    for result in results:
        row = counts.setdefault(result.line.endpoint, [0, 0])
        row[0] += 1
        row[1] += not result.problems
    width = max([len(name) for name in counts] + [len("endpoint")])
    rows = [f"{'endpoint':{width}}  recordings  passed"]
    rows += [f"{name:{width}}  {total:10}  {passed:6}" for name, (total, passed) in sorted(counts.items())]
    passed = sum(not result.problems for result in results)
    rows.append(f"{'all':{width}}  {len(results):10}  {passed:6}")
    for result in results:
        if result.problems:
            rows.append(f"\n{result.line.name}\n    {result.line.method} {result.line.path} {result.line.body}")
            rows += [f"    {problem}" for problem in result.problems]
    return "\n".join(rows)
