"""The metrics server of a node (port 9091)."""

import os

from aiohttp import web


def metrics_app() -> web.Application:
    """Return the application for GET /metrics; Go's 404 for other paths."""

    async def metrics(_request: web.Request) -> web.Response:
        load = os.getloadavg()[0]
        text = f"# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 {load}\n"
        return web.Response(text=text, content_type="text/plain")

    async def other(_request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        return web.Response(status=404, body=b"404 page not found\n", headers=headers)

    async def unsigned(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.popall("Server", None)

    app = web.Application()
    app.on_response_prepare.append(unsigned)
    app.router.add_get("/metrics", metrics)
    app.router.add_route("*", "/{rest:.*}", other)
    return app
