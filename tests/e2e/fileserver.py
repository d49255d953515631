"""A web server for files in a pod: basic authentication, ranges, generated files.

GET /files/NAME      a file of the directory
GET /private/NAME    the same, with the user and password of the environment
GET /made/MEGABYTES  a CSV table of that size, always the same; slow, and interrupted once in the middle
PUT /files/NAME      store a file
"""

import base64
import hashlib
import http.server
import os
import time
from pathlib import Path

ROOT = Path(os.environ.get("FILES", "/files"))
LINE = b"%09d,0.25,0.5,0.75,1.0,1.25,1.5,1.75,2.0,2.25,2.5,2.75,3.0,3.25,3.5,3.75,4.0,4.25,4.5\n"
LINE_SIZE = len(LINE % 0)
HEADER = ("id1," + ",".join(f"f{number:02d}" for number in range(18))).encode().ljust(LINE_SIZE - 1, b"x") + b"\n"
BROKEN: set[str] = set()
# Longer than the interval between progress lines of the steps.
REST_SECONDS = 11


def made(megabytes: int, begin: int):
    """Yield blocks of the table from byte `begin`."""
    lines = megabytes * 1_000_000 // LINE_SIZE
    for first in range(begin // LINE_SIZE, lines, 10_000):
        last = min(first + 10_000, lines)
        block = b"".join(LINE % number if number else HEADER for number in range(first, last))
        yield block[max(0, begin - first * LINE_SIZE) :]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, kind, name = self.path.split("/", 2)
        expected = f"{os.environ['USERNAME']}:{os.environ['PASSWORD']}"
        if kind == "private" and self.headers.get("Authorization") != (
            "Basic " + base64.b64encode(expected.encode()).decode()
        ):
            return self._end(401)
        if kind == "made":
            size = int(name) * 1_000_000 // LINE_SIZE * LINE_SIZE
            return self._send(size, '"made"', lambda begin: made(int(name), begin))
        path = ROOT / name
        if not path.is_file():
            return self._end(404)
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self._send(len(content), etag, lambda begin: [content[begin:]])

    def do_PUT(self) -> None:
        name = self.path.split("/", 2)[2]
        (ROOT / name).write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self._end(201)

    def _end(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, size: int, etag: str, blocks) -> None:
        begin = 0
        if self.headers.get("If-Range") == etag:
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if begin >= size > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        sent, made_up = 0, self.path.startswith("/made/")
        for block in blocks(begin):
            if made_up and sent == 0:
                time.sleep(REST_SECONDS)
            self.wfile.write(block)
            sent += len(block)
            if made_up and sent > size // 2 and self.path not in BROKEN:
                BROKEN.add(self.path)
                self.close_connection = True
                return None
        return None


if __name__ == "__main__":
    # The steps that mount the volume do not run as root.
    ROOT.chmod(0o755)
    http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
