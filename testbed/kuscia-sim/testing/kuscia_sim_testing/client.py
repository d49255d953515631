"""Sends a recorded request unchanged: with the given headers, and no others except Host and Content-Length."""

import dataclasses
import http.client
import ssl

TIMEOUT = 30.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer. status is None without an HTTP answer; error is then class and text of the exception."""

    status: int | None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: str = ""
    error: str = ""


def tls_context(cert: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """Return a context that verifies nothing, like the recording client; cert and key are files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(cert, key)
    return context


def send(
    host: str,
    port: int,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None,
    tls: ssl.SSLContext | None,
) -> Answer:
    connection: http.client.HTTPConnection
    if tls:
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=tls)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    data = body.encode() if body is not None else None
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if data is not None or method == "POST":
            connection.putheader("Content-Length", str(len(data or b"")))
        connection.endheaders(data)
        response = connection.getresponse()
        text = response.read().decode()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, text)
    except (OSError, http.client.HTTPException) as err:
        return Answer(None, error=f"{type(err).__name__}: {err}")
    finally:
        connection.close()
