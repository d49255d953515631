"""A TCP relay to a gateway that records headers and bodies. Runs with `python3 -c` in a separate pod.

relay.py HOST PORT MARKER     listen on 1080
relay.py                      print what was recorded since the last call, as JSON
"""

import json
import re
import socket
import sys
import threading
from pathlib import Path

SEEN = Path("/tmp/seen")
HEADERS = re.compile(rb"(?i)(kuscia-(?:token|source|origin-source|host)): ?(\S+)\r\n")


def pass_on(source: socket.socket, sink: socket.socket, marker: bytes) -> None:
    """Forward data until one end closes; search each piece together with the previous one."""
    before = b""
    with source, sink:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                text = before + data
                notes = [[name.decode().lower(), value.decode()] for name, value in HEADERS.findall(text)]
                if marker in text:
                    notes.append(["body", "marker"])
                if notes:
                    with SEEN.open("a") as file:
                        file.write("".join(json.dumps(note) + "\n" for note in notes))
                before = data[-200:]
        except OSError:
            return


def serve(host: str, port: int, marker: bytes) -> None:
    """Accept connections without end."""
    server = socket.create_server(("", 1080), backlog=64)
    while True:
        caller, _ = server.accept()
        try:
            callee = socket.create_connection((host, port), 10)
            callee.settimeout(None)
        except OSError:
            caller.close()
            continue
        for ends in ((caller, callee), (callee, caller)):
            threading.Thread(target=pass_on, args=(*ends, marker), daemon=True).start()


def show() -> None:
    """Print the recorded values by name, each once, in order."""
    lines = SEEN.read_text().splitlines() if SEEN.exists() else []
    SEEN.unlink(missing_ok=True)
    found: dict[str, list[str]] = {}
    for name, value in map(json.loads, lines):
        values = found.setdefault(name, [])
        if value not in values:
            values.append(value)
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]), sys.argv[3].encode())
    else:
        show()
