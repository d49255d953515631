"""HTTP of KusciaAPI and DataMesh: endpoints, content types, errors, headers (Kuscia facts 7.1).

A handler module creates an `Endpoints` table and adds one async function per path. The function receives the parsed
request and returns the fields of the answer without `status`. Errors are raised as ApiError.
"""

import dataclasses
import datetime
import hmac
import html
import json
import logging
import posixpath
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from kuscia_sim.node.node import MasterUnreachable, Node
from kuscia_sim.state.store import Store, StoreError
from kuscia_sim.transport import gojson, protowire
from kuscia_sim.transport.protojson import (
    ANY,
    INT32,
    STR,
    DecodeError,
    Dict,
    Message,
    NilPointer,
    mapping,
    message,
    parse,
    parse_form,
    parse_go,
    render,
    render_go,
    repeated,
)

log = logging.getLogger(__name__)

JSON_TYPE = "application/json; charset=utf-8"
PROTOBUF_TYPE = "application/x-protobuf"
FORM_TYPE = "application/x-www-form-urlencoded"
CHUNK_ABOVE = 2048
MAX_BODY = 256 * 1024 * 1024
CHINA = datetime.timezone(datetime.timedelta(hours=8), "CST")
"""The time zone of the image."""

NIL_POINTER = "runtime error: invalid memory address or nil pointer dereference"

ERR_VALIDATE = 11100
ERR_UNEXPECTED = 11101
ERR_AUTH = 11102
ERR_MASTER = 11103
ERR_NOT_ON_LITE = 11104
ERR_NOT_ON_MASTER = 11105

Status = message("Status", "v1alpha1", code=INT32, message=STR, details=repeated(ANY))
RequestHeader = message("RequestHeader", "v1alpha1", custom_headers=mapping())


class ApiError(Exception):
    """An error: the `status` of the answer; `fields` are additional fields of the answer."""

    def __init__(self, code: int, text: str, details: list[Dict] | None = None, **fields: Any) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.details = details or []
        self.fields = fields


class InvalidRequest(Exception):
    """The framework's check failed: the answer has neither `details` nor `data`."""


class Panic(Exception):
    """Kuscia's handler panics here; str() is the text of the panic."""


@dataclasses.dataclass(frozen=True)
class Context:
    """A call: the node, the caller's role ("master" or "domain") and, for a domain, its ID."""

    node: Node
    role: str
    source: str

    @property
    def store(self) -> Store:
        return self.node.store


Call = Callable[[Context, Dict], Awaitable[Dict]]
StreamCall = Callable[[Context, Dict], AsyncIterator[Dict]]
Check = Callable[[Context, Dict], None]


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One path. on_lite: "local", "proxied" to the master, or "unsupported" (Kuscia facts 7.2).

    `check` runs first on both sides and raises ApiError or InvalidRequest.
    """

    path: str
    request: Message
    response: Message
    call: Call | None = None
    stream: StreamCall | None = None
    on_lite: str = "local"
    check: Check | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Endpoints:
    """The endpoints of one module."""

    def __init__(self, prefix: str, on_lite: str = "local") -> None:
        self.prefix = prefix
        self.on_lite = on_lite
        self.items: list[Endpoint] = []

    def add(
        self, path: str, request: Message, response: Message, *, on_lite: str = "", check: Check | None = None
    ) -> Callable[[Call], Call]:
        """Decorate `async def handler(ctx, request) -> fields of the answer`."""

        def register(call: Call) -> Call:
            where = on_lite or self.on_lite
            self.items.append(Endpoint(self.prefix + path, request, response, call, None, where, check))
            return call

        return register

    def add_stream(
        self,
        path: str,
        request: Message,
        response: Message,
        *,
        on_lite: str = "",
        headers: dict[str, str] | None = None,
    ) -> Callable[[StreamCall], StreamCall]:
        """Decorate `async def handler(ctx, request)` that yields one dict per object of the stream."""

        def register(stream: StreamCall) -> StreamCall:
            where = on_lite or self.on_lite
            extra = tuple((headers or {}).items())
            self.items.append(Endpoint(self.prefix + path, request, response, None, stream, where, None, extra))
            return stream

        return register


def text_response(status: int, text: str) -> web.Response:
    """Return a plain text answer as gin writes it: without charset."""
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": "text/plain"})


def json_response(data: Any, html_escapes: bool = False) -> web.Response:
    text = gojson.encode(data) if html_escapes else gojson.compact(data)
    response = web.Response(body=text.encode(), headers={"Content-Type": JSON_TYPE})
    if len(response.body) > CHUNK_ABOVE:  # type: ignore[arg-type]
        response.enable_chunked_encoding()
    return response


def not_found_page() -> web.Response:
    return text_response(404, "404 page not found")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The differences between the two servers in how the framework reports errors."""

    validate_code: int
    unexpected_code: int
    flat_errors: bool = False

    def refusal(self, code: int, text: str) -> web.Response:
        status = {"code": code, "message": text}
        return json_response(status if self.flat_errors else {"status": status}, html_escapes=True)


KUSCIA_API = Dialect(ERR_VALIDATE, ERR_UNEXPECTED)
DATA_MESH = Dialect(12100, 12101, flat_errors=True)


def build_app(
    node: Node,
    tables: list[Endpoints],
    *,
    server: str,
    identify: Callable[[web.Request], tuple[str, str] | None],
    dialect: Dialect = KUSCIA_API,
    service_name: str | None = None,
) -> web.Application:
    """Return the aiohttp application of one port.

    Args:
        node: the node.
        tables: its endpoints.
        server: its name in kuscia_sim.faults.
        identify: returns the caller's (role, domain ID), or None for 401.
        dialect: how the framework reports errors.
        service_name: the name in /probe; without it /probe and /version do not exist.
    """
    endpoints = {endpoint.path: endpoint for table in tables for endpoint in table.items}
    registered = datetime.datetime.now(datetime.UTC)

    async def dispatch(request: web.Request) -> web.StreamResponse:
        path = request.path
        if service_name and request.method == "GET" and path in ("/probe", "/version"):
            return _probe(node, service_name, path, registered)
        if (clean := _clean_path(path)) != path:
            return _moved(request, 301, clean)
        if path.endswith("/") and path[:-1] in endpoints and request.method == "POST":
            return _moved(request, 307, path[:-1])
        if service_name and path in ("/probe/", "/version/") and request.method == "GET":
            return _moved(request, 301, path[:-1])
        caller = identify(request)
        if caller is None:
            return web.Response(status=401)
        endpoint = endpoints.get(path)
        if endpoint is None or request.method != "POST":
            return not_found_page()
        return await _serve(request, endpoint, Context(node, *caller), dialect)

    app = web.Application(client_max_size=MAX_BODY, middlewares=[node.faults.middleware(server), _log_failures])
    app.router.add_route("*", "/{path:.*}", dispatch)
    app.on_response_prepare.append(_real_headers)
    return app


@web.middleware
async def _log_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    log.debug("%s %s -> %s", request.method, request.path, response.status)
    return response


async def _real_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    if isinstance(response, web.Response) and not response.body:
        response.headers.pop("Content-Type", None)


def _probe(node: Node, service: str, path: str, registered: datetime.datetime) -> web.Response:
    if path == "/version":
        text = node.version
    else:
        seconds = (registered - node.started).total_seconds()
        uptime = f"{registered.astimezone(CHINA):%Y-%m-%d %H:%M:%S.%f %z %Z} m=+{seconds:.9f}"
        text = f"ServiceName: {service}, Host: {node.hostname}, Version: {node.version}, Uptime: {uptime}"
    return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})


def _clean_path(path: str) -> str:
    """Return the path that Go's ServeMux redirects to: without empty, `.` and `..` elements."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _moved(request: web.Request, status: int, path: str) -> web.Response:
    """Return a redirection as net/http does; only GET gets a body."""
    location = path + (f"?{request.query_string}" if request.query_string else "")
    response = web.Response(status=status, headers={"Location": location})
    if request.method == "GET":
        response.body = f'<a href="{html.escape(location)}">{response.reason}</a>.\n\n'.encode()
        response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


def _content_type(request: web.Request) -> str:
    """Return the content type without parameters, as gin does."""
    return re.split("[ ;]", request.headers.get("Content-Type", ""), maxsplit=1)[0]


async def _read(request: web.Request, type_: Message) -> Dict:
    """Parse the request as the framework does.

    Raises:
        DecodeError: the body is invalid.
    """
    content_type = request.headers.get("Content-Type", "")
    if content_type in ("", "text/plain") or content_type.startswith("application/json"):
        return parse(await request.read(), type_)
    return await _bind(request, type_)


async def _bind(request: web.Request, type_: Message) -> Dict:
    """Parse the request by its content type, as gin does.

    Raises:
        DecodeError: the body is invalid.
    """
    content_type = _content_type(request)
    if content_type == "application/json":
        return parse_go(await request.read(), type_)
    if content_type == PROTOBUF_TYPE:
        return protowire.decode(await request.read(), type_)
    # Gin also parses XML, YAML, TOML, MessagePack and multipart. The stand-in treats them as forms: the body is lost.
    query = dict(request.query)
    if content_type == FORM_TYPE:
        query = {**query, **{k: v for k, v in (await request.post()).items() if isinstance(v, str)}}
    return parse_form(query, type_)


async def _serve(request: web.Request, endpoint: Endpoint, ctx: Context, dialect: Dialect) -> web.StreamResponse:
    if endpoint.stream:
        # Outside the framework: gin's parser, and 400 without a body (job/watch, log/task/query).
        try:
            parsed = await _bind(request, endpoint.request)
        except DecodeError:
            return web.Response(status=400)
        return await _stream(request, endpoint, ctx, parsed)
    answer = await _answer(request, endpoint, ctx, dialect)
    binary = _content_type(request) == PROTOBUF_TYPE
    if isinstance(answer, web.Response):
        if binary:
            answer.headers["Content-Type"] = PROTOBUF_TYPE
        return answer
    if binary:
        return web.Response(body=protowire.encode(answer, endpoint.response), headers={"Content-Type": PROTOBUF_TYPE})
    return json_response(render(answer, endpoint.response))


async def _answer(request: web.Request, endpoint: Endpoint, ctx: Context, dialect: Dialect) -> Dict | web.Response:
    """Return the fields of the answer, or the answer of the framework."""
    try:
        parsed = await _read(request, endpoint.request)
    except DecodeError as err:
        return dialect.refusal(dialect.unexpected_code, str(err))
    try:
        if endpoint.on_lite == "unsupported" and not ctx.node.is_master:
            raise ApiError(ERR_NOT_ON_LITE, "kuscia lite api not support this interface now")
        if endpoint.check:
            endpoint.check(ctx, parsed)
        if endpoint.on_lite == "proxied" and not ctx.node.is_master:
            answer = await _ask_master(endpoint, ctx, parsed)
        else:
            assert endpoint.call is not None
            answer = await endpoint.call(ctx, parsed)
        return {"status": {"code": 0, "message": "success"}, **answer}
    except ApiError as err:
        return {"status": {"code": err.code, "message": err.text, "details": err.details}, **err.fields}
    except InvalidRequest as err:
        return dialect.refusal(dialect.validate_code, str(err))
    except MasterUnreachable as err:
        return {"status": {"code": ERR_MASTER, "message": str(err)}}
    except NilPointer:
        return dialect.refusal(dialect.unexpected_code, f"doBizProcess panic, err: {NIL_POINTER}")
    except Panic as err:
        return dialect.refusal(dialect.unexpected_code, f"doBizProcess panic, err: {err}")
    except Exception as err:
        log.exception("%s failed", endpoint.path)
        return dialect.refusal(dialect.unexpected_code, f"doBizProcess panic, err: {err!r}")


async def _ask_master(endpoint: Endpoint, ctx: Context, parsed: Dict) -> Dict:
    """Forward the request to the master's internal API and return the fields of its answer."""
    if ctx.node.master_api is None:
        raise ApiError(ERR_MASTER, "no way to the master")
    body = json.dumps({k: v for k, v in render(parsed, endpoint.request).items() if v is not None})
    try:
        answer = await ctx.node.master_api.post(endpoint.path, body.encode())
    except MasterUnreachable as err:
        raise ApiError(ERR_MASTER, str(err)) from err
    data: Dict = json.loads(answer)
    status = data.get("status") or {}
    if status and "details" not in status:
        # Kuscia's proxy uses protobuf, but its framework reports its own errors in JSON
        # (pkg/kusciaapi/proxy/client.go, pkg/web/decorator).
        raise ApiError(ERR_MASTER, protowire.INVALID)
    return data


async def _stream(request: web.Request, endpoint: Endpoint, ctx: Context, parsed: Dict) -> web.StreamResponse:
    assert endpoint.stream is not None
    response = web.StreamResponse(headers={"Content-Type": JSON_TYPE, **dict(endpoint.headers)})
    response.enable_chunked_encoding()
    await response.prepare(request)
    stream = endpoint.stream(ctx, parsed)
    try:
        async for item in stream:
            await response.write(gojson.encode(render_go(item, endpoint.response)).encode())
    except ApiError as err:
        item = {"status": {"code": err.code, "message": err.text}}
        await response.write(gojson.encode(render_go(item, endpoint.response)).encode())
    except (ConnectionError, TimeoutError) as err:
        log.debug("%s: the client disconnected: %s", endpoint.path, err)
    await response.write_eof()
    return response


def same_secret(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def store_error(err: StoreError, code: int, **codes: int) -> ApiError:
    """Return the API error for an error of the store: `code`, or that given for its reason (NotFound=11305)."""
    return ApiError(codes.get(err.reason, code), err.message)
