"""An engine for tests of routes: alice sends a body to the engine of bob, which returns it. Runs with `python3 -c`."""

import http.client
import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path

MARKER = sys.argv[1].encode()
BODY = MARKER * (200_000 // len(MARKER))
SECONDS = 120


def serve(port: int) -> None:
    """Respond until the caller has confirmed the body."""
    confirmed = threading.Event()

    class Echo(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/confirm":
                confirmed.set()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("", port), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if not confirmed.wait(SECONDS):
        sys.exit("the caller did not confirm the body")
    server.shutdown()


def post(endpoint: str, path: str) -> bytes:
    """Send BODY and return the response; retry, because the engine of the peer may start later."""
    deadline = time.monotonic() + SECONDS
    while True:
        connection = http.client.HTTPConnection(endpoint, 80, timeout=10)
        try:
            connection.request("POST", path, BODY)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                return body
            last = f"{answer.status} {answer.headers.get('kuscia-error-message')}"
        except OSError as error:
            last = repr(error)
        finally:
            connection.close()
        if time.monotonic() > deadline:
            sys.exit(f"{endpoint}{path}: {last}")
        time.sleep(0.5)


cluster = json.loads(json.loads(Path("kuscia/task-config.conf").read_text())["task_cluster_def"])
names = [party["name"] for party in cluster["parties"]]
if names[cluster["selfPartyIdx"]] == "bob":
    serve(int(os.environ["KUSCIA_PORT_ECHO_NUMBER"]))
else:
    services = cluster["parties"][names.index("bob")]["services"]
    peer = services[0]["endpoints"][0]
    if post(peer, "/") != BODY:
        sys.exit("the peer returned a different body")
    post(peer, "/confirm")
