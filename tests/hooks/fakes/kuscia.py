"""A KusciaAPI on loopback with its state in memory; codes and texts are as recorded.

It acts as a master that sees all domains, or as a lite. It does not check who may call what; the stand-in
(testbed/kuscia-sim) does.
"""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.hooks.fakes.planted import PLANTED

Answer = tuple[int, str, Any]
"""Code, message and data."""
Reply = Answer | bytes
"""An answer, or the body of a stream."""
VERSION = "v1.1.0b0"
OK: Answer = (0, "success", None)


def found(data: Any) -> Answer:
    return 0, "success", data


class Kuscia:
    """The state, and the requests so far.

    Attributes:
        replies: replace the state for a path, such as `job/query`: a reply, a function of the request's body, or a
            list of replies, whose last one stays.
        faults: one for each of the next requests: "" for none, an HTTP status, "reset", "lost", "hang", or
            "code <code> <message>".
        asked: path and body of each request.
        gone: whether every connection is reset, from now on.
        refused: number of requests while it is gone.
    """

    def __init__(self) -> None:
        self.domains: dict[str, dict[str, Any]] = {}
        self.routes: dict[tuple[str, str], dict[str, Any]] = {}
        self.app_images: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        # Data sources that were encrypted for another key of the domain.
        self.unreadable: set[str] = set()
        self.tables: dict[tuple[str, str], dict[str, Any]] = {}
        self.grants: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        # What a job's status is at each query; the last one stays.
        self.job_states: list[dict[str, Any]] = [{"state": "Succeeded", "err_msg": "", "tasks": []}]
        self.route_status = {"status": "Succeeded", "reason": ""}
        # Routes whose status differs from `route_status`.
        self.route_statuses: dict[tuple[str, str], dict[str, str]] = {}
        self.replies: dict[str, Reply | list[Reply] | Callable[[dict[str, Any]], Reply]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[str] = []
        self.gone, self.refused = False, 0
        self.token_after = 0
        self.expected_token: str | None = None
        self._tokens = 0
        self._lock = threading.Lock()

    def paths(self, *, writes: bool = False) -> list[str]:
        """Return the paths of the requests so far."""
        reading = ("query", "batchQuery", "list", "healthZ")
        return [path for path, _ in self.asked if not writes or not path.endswith(reading)]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """Return the bodies of the requests to a path so far."""
        return [body for asked, body in self.asked if asked == path]

    def join(self, name: str) -> None:
        """Add a registered domain with a node that is Ready."""
        self.do_domain_create({"domain_id": name, "cert": "cert"})
        heartbeat = "2026-11-24T00:00:00Z"
        node = {"name": f"node-{name}", "status": "Ready", "version": VERSION, "last_heartbeat_time": heartbeat}
        self.domains[name]["node_statuses"] = [node]

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        with self._lock:
            self.asked.append((path, body))
            if path in self.replies:
                reply = self.replies[path]
                if isinstance(reply, list):
                    reply = reply.pop(0) if len(reply) > 1 else reply[0]
                return reply(body) if callable(reply) else reply
            name = path.replace("/", "_").replace("-", "_")
            method: Callable[[dict[str, Any]], Reply] = getattr(self, f"do_{name}")
            return method(body)

    def unlocked(self, work: Callable[[], Any]) -> Any:
        """Call `work`, which sends requests, from within a reply."""
        self._lock.release()
        try:
            return work()
        finally:
            self._lock.acquire()

    def new_token(self) -> str:
        self._tokens += 1
        token = f"token-number-{self._tokens:04d}-abcdefghijk"
        PLANTED.add(token)
        return token

    # --- domains

    def do_healthZ(self, _: dict[str, Any]) -> Answer:
        return found({"ready": True})

    def do_domain_create(self, body: dict[str, Any]) -> Answer:
        name = body["domain_id"]
        if name in self.domains:
            return 11306, f'domains.kuscia.secretflow "{name}" already exists', None
        self.domains[name] = {
            "domain_id": name,
            "role": body.get("role", ""),
            "cert": body.get("cert", ""),
            "node_statuses": [],
            "deploy_token_statuses": [{"token": self.new_token(), "state": "unused"}],
            "annotations": {},
            "auth_center": body.get("auth_center"),
            "master_domain_id": body.get("master_domain_id", ""),
        }
        return OK

    def do_domain_query(self, body: dict[str, Any]) -> Answer:
        name = body["domain_id"]
        if name not in self.domains:
            return 11305, f'domains.kuscia.secretflow "{name}" not found', None
        domain = dict(self.domains[name])
        if self.token_after > 0:
            self.token_after -= 1
            domain["deploy_token_statuses"] = []
        return found(domain)

    def do_domain_update(self, body: dict[str, Any]) -> Answer:
        name = body["domain_id"]
        if name not in self.domains:
            return 11305, f'domains.kuscia.secretflow "{name}" not found', None
        self.domains[name].update(
            role=body.get("role", ""),
            cert=body.get("cert") or self.domains[name]["cert"],
            auth_center=body.get("auth_center"),
            master_domain_id=body.get("master_domain_id") or name,
        )
        return OK

    def do_domain_batchQuery(self, body: dict[str, Any]) -> Answer:
        for name in body["domain_ids"]:
            if name not in self.domains:
                return 11305, f'domains.kuscia.secretflow "{name}" not found', None
        # It returns neither deploy tokens nor auth_center (recording "domain batchQuery after registration").
        fields = ("domain_id", "role", "cert", "node_statuses")
        listed = [{field: self.domains[name][field] for field in fields} for name in body["domain_ids"]]
        return found({"domains": listed})

    def do_domain_delete(self, body: dict[str, Any]) -> Answer:
        name = body["domain_id"]
        if self.domains.pop(name, None) is None:
            return 11305, f'domains.kuscia.secretflow "{name}" not found', None
        return OK

    # --- routes

    def _route(self, body: dict[str, Any]) -> tuple[str, str]:
        """Return the key of a route; the one that exists if it has the same name in Kuscia (Kuscia facts 6.2)."""
        key = body["source"], body["destination"]
        if key in self.routes or "-" not in "".join(key):
            return key
        return next((other for other in self.routes if "-".join(other) == "-".join(key)), key)

    def _no_route(self, key: tuple[str, str]) -> Answer:
        return 11404, f'clusterdomainroutes.kuscia.secretflow "{"-".join(key)}" not found', None

    def do_route_create(self, body: dict[str, Any]) -> Answer:
        key = self._route(body)
        for name in (body["source"], body["destination"]):
            if name not in self.domains:
                return 11305, f'domains.kuscia.secretflow "{name}" not found', None
        if key in self.routes:
            return 11405, f'clusterdomainroutes.kuscia.secretflow "{"-".join(key)}" already exists', None
        token = {
            **body["token_config"],
            "rolling_update_period": str(body["token_config"]["rolling_update_period"]),
        }
        self.routes[key] = {
            "transit": None,
            "body_encryption": None,
            **body,
            "token_config": token,
            "mtls_config": None,
        }
        return OK

    def do_route_query(self, body: dict[str, Any]) -> Answer:
        key = self._route(body)
        return found(self.routes[key]) if key in self.routes else self._no_route(key)

    def do_route_delete(self, body: dict[str, Any]) -> Answer:
        key = self._route(body)
        return OK if self.routes.pop(key, None) else self._no_route(key)

    def do_route_status_batchQuery(self, body: dict[str, Any]) -> Answer:
        keys = [self._route(key) for key in body["route_keys"]]
        for key in keys:
            if key not in self.routes:
                return self._no_route(key)
        return found(
            {
                "routes": [
                    {
                        "name": "-".join(key),
                        "source": key[0],
                        "destination": key[1],
                        "status": self.route_statuses.get(key, self.route_status),
                    }
                    for key in keys
                ]
            }
        )

    # --- AppImages

    def do_appimage_create(self, body: dict[str, Any]) -> Answer:
        name = body["name"]
        if name in self.app_images:
            return 13106, f'appimages.kuscia.secretflow "{name}" already exists', None
        self.app_images[name] = body
        return OK

    def do_appimage_update(self, body: dict[str, Any]) -> Answer:
        self.app_images[body["name"]] = body
        return OK

    def do_appimage_query(self, body: dict[str, Any]) -> Answer:
        name = body["name"]
        if name not in self.app_images:
            return 13105, f'appimages.kuscia.secretflow "{name}" not found', None
        return found(self.app_images[name])

    def do_appimage_batchQuery(self, body: dict[str, Any]) -> Answer:
        for name in body["names"]:
            if name not in self.app_images:
                text = f'appimages.kuscia.secretflow "{name}" not found'
                return 13105, f"can't get appimage for {name}, err: {text}", []
        return found([self.app_images[name] for name in body["names"]])

    def do_appimage_delete(self, body: dict[str, Any]) -> Answer:
        if self.app_images.pop(body["name"], None) is None:
            return 13103, f'appimages.kuscia.secretflow "{body["name"]}" not found', None
        return OK

    # --- data

    def do_domaindatasource_create(self, body: dict[str, Any]) -> Answer:
        name = body["datasource_id"]
        if name in self.sources:
            return 11800, f"domain data source {name} already exist", None
        self.sources[name] = body
        return found({"datasource_id": name})

    def do_domaindatasource_update(self, body: dict[str, Any]) -> Answer:
        name = body["datasource_id"]
        if name not in self.sources:
            return 11806, f"domain {body['domain_id']} data source {name} doesn't exist", None
        self.sources[name] = body
        self.unreadable.discard(name)
        return OK

    def do_domaindatasource_query(self, body: dict[str, Any]) -> Answer:
        name, domain = body["datasource_id"], body["domain_id"]
        if name not in self.sources:
            text = f'domaindatasources.kuscia.secretflow "{name}" not found'
            return 11802, f"get domain {domain} kuscia data source {name} failed, {text}", None
        if name in self.unreadable:
            return 11802, "decrypt data source info failed, crypto/rsa: decryption error", None
        return found(self.sources[name])

    def do_domaindatasource_delete(self, body: dict[str, Any]) -> Answer:
        self.sources.pop(body["datasource_id"], None)
        return OK

    def do_domaindata_create(self, body: dict[str, Any]) -> Answer:
        if body["datasource_id"] not in self.sources:
            return (
                11806,
                f"domain data source `{body['datasource_id']}` is not exists in domain `{body['domain_id']}`",
                None,
            )
        self.tables[body["domain_id"], body["domaindata_id"]] = body
        return found({"domaindata_id": body["domaindata_id"]})

    def do_domaindata_query(self, body: dict[str, Any]) -> Answer:
        key = body["data"]["domain_id"], body["data"]["domaindata_id"]
        if key not in self.tables:
            return 11506, f'domaindatas.kuscia.secretflow "{key[1]}" not found', None
        return found(self.tables[key])

    def do_domaindata_batchQuery(self, body: dict[str, Any]) -> Answer:
        if not body.get("data"):
            return 11100, "request data should not be nil", None
        keys = [(one["domain_id"], one["domaindata_id"]) for one in body["data"]]
        tables = [{"author": key[0], "domaindata_id": key[1], **self.tables[key]} for key in keys if key in self.tables]
        return found({"domaindata_list": tables})

    def do_domaindata_list(self, body: dict[str, Any]) -> Answer:
        domain = body["data"]["domain_id"]
        own = [
            {"author": domain, "domaindata_id": name, **table}
            for (owner, name), table in self.tables.items()
            if owner == domain
        ]
        return found({"domaindata_list": own})

    def do_domaindata_update(self, body: dict[str, Any]) -> Answer:
        key = body["domain_id"], body["domaindata_id"]
        if key not in self.tables:
            return 11506, f'domaindatas.kuscia.secretflow "{key[1]}" not found', None
        self.tables[key].update(body)
        return OK

    def do_domaindata_delete(self, body: dict[str, Any]) -> Answer:
        key = body["domain_id"], body["domaindata_id"]
        if self.tables.pop(key, None) is None:
            return 11506, f'domaindatas.kuscia.secretflow "{key[1]}" not found', None
        return OK

    def do_domaindatagrant_create(self, body: dict[str, Any]) -> Answer:
        name = body["domaindatagrant_id"]
        if name in self.grants:
            return 11700, f"CreateDomainDataGrant failed, because domaindatagrant {name} is exist", None
        self.grants[name] = body
        return found({"domaindatagrant_id": name})

    def do_domaindatagrant_update(self, body: dict[str, Any]) -> Answer:
        self.grants[body["domaindatagrant_id"]] = body
        return OK

    def do_domaindatagrant_query(self, body: dict[str, Any]) -> Answer:
        name = body["domaindatagrant_id"]
        if name not in self.grants:
            return 11705, f'domaindatagrants.kuscia.secretflow "{name}" not found', None
        return found({"data": self.grants[name], "status": {"phase": "Ready"}})

    def do_domaindatagrant_list(self, body: dict[str, Any]) -> Answer:
        domain = body["data"]["domain_id"]
        every = [
            {"author": grant.get("domain_id", domain), "domaindatagrant_id": name, **grant}
            for name, grant in self.grants.items()
        ]
        own = [{"data": grant} for grant in every if domain in (grant["author"], grant["grant_domain"])]
        return found({"domaindatagrant_list": own})

    def do_domaindatagrant_delete(self, body: dict[str, Any]) -> Answer:
        name = body["domaindatagrant_id"]
        if self.grants.pop(name, None) is None:
            return 11705, f'domaindatagrants.kuscia.secretflow "{name}" not found', None
        return OK

    # --- jobs

    def do_job_create(self, body: dict[str, Any]) -> Answer:
        name = body["job_id"]
        if name in self.jobs:
            return 11201, f'kusciajobs.kuscia.secretflow "{name}" already exists', None
        self.jobs[name] = body
        return found({"job_id": name})

    def do_job_query(self, body: dict[str, Any]) -> Answer:
        name = body["job_id"]
        if name not in self.jobs:
            return 11202, f'kusciajobs.kuscia.secretflow "{name}" not found', None
        status = self.job_states.pop(0) if len(self.job_states) > 1 else self.job_states[0]
        job = self.jobs[name]
        fields = {"tasks": job.get("tasks", []), "custom_fields": job.get("custom_fields", {})}
        return found({"job_id": name, "status": status, **fields})

    def do_job_watch(self, _: dict[str, Any]) -> bytes:
        objects = [{"object": {"job_id": name, "status": self.job_states[0]}} for name in self.jobs]
        return b"".join(json.dumps(item).encode() for item in (*objects, {"type": 4}))

    def do_job_stop(self, body: dict[str, Any]) -> Answer:
        if body["job_id"] not in self.jobs:
            return 11205, f'kusciajobs.kuscia.secretflow "{body["job_id"]}" not found', None
        return found({"job_id": body["job_id"]})

    def do_job_delete(self, body: dict[str, Any]) -> Answer:
        if self.jobs.pop(body["job_id"], None) is None:
            return 11204, f'kusciajobs.kuscia.secretflow "{body["job_id"]}" not found', None
        return found({"job_id": body["job_id"]})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    kuscia: Kuscia

    def do_GET(self) -> None:
        if self.path == "/version":
            self._send(200, VERSION.encode())
        else:
            self._send(404, b"")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length) or b"{}")
        fault = self.kuscia.faults.pop(0) if self.kuscia.faults else ""
        if self.kuscia.gone:
            self.kuscia.refused += 1
        if fault == "reset" or self.kuscia.gone:
            self._reset()
            return
        if fault == "hang":
            time.sleep(1.0)
        if fault.isdigit() and len(fault) == 3:
            self._send(int(fault), b"")
            return
        if self.kuscia.expected_token is not None and self.headers.get("Token") != self.kuscia.expected_token:
            self._send(401, b"")
            return
        reply = self.kuscia.answer(self.path.removeprefix("/api/v1").lstrip("/"), body)
        if fault == "lost":
            self._reset()
            return
        if isinstance(reply, bytes):
            self._send(200, reply)
            return
        code, message, data = reply
        if fault.startswith("code "):
            code, message, data = int(fault.split()[1]), fault.split(" ", 2)[2], None
        status = {"code": code, "message": message, "details": []}
        self._send(200, json.dumps({"status": status, "data": data}).encode())

    def _reset(self) -> None:
        # Closing with a linger time of zero sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A burst of clients must not be what a test of concurrency measures.
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that break off are part of the tests."""


@contextmanager
def serve(kuscia: Kuscia, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve the state on loopback; yields the endpoint."""
    handler = type("Handler", (_Handler,), {"kuscia": kuscia})
    server = _Server(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
