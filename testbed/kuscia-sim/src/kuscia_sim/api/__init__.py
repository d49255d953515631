"""The HTTP APIs of a node as aiohttp applications, served by `kuscia_sim.transport.listener.Listener`.

kusciaapi_app(node)  port 8082: everything, for clients with the node's token
internal_app(node)   port 8092 of a master, behind its gateway: the same for a connected domain, which the
                     gateway names in the header Kuscia-Source
datamesh_app(node)   port 8070 of a lite: for engines with a certificate of the node's CA
"""

from aiohttp import web

from kuscia_sim import credentials
from kuscia_sim.api import (
    appimage,
    certificate,
    config,
    data_source,
    datamesh,
    domain,
    domaindata,
    grant,
    health,
    job,
    route,
    serving,
    task_log,
)
from kuscia_sim.node.node import Node
from kuscia_sim.transport.endpoints import DATA_MESH, build_app, same_secret

TABLES = [
    health.endpoints,
    domain.endpoints,
    route.endpoints,
    data_source.endpoints,
    domaindata.endpoints,
    grant.endpoints,
    appimage.endpoints,
    job.endpoints,
    config.endpoints,
    certificate.endpoints,
    task_log.endpoints,
    serving.endpoints,
]


FOR_DOMAINS = {
    endpoint.path
    for table in TABLES
    for endpoint in table.items
    if endpoint.on_lite == "proxied" or table in (domaindata.endpoints, task_log.endpoints)
}


def kusciaapi_app(node: Node) -> web.Application:
    """Return KusciaAPI on 8082: role "master". The token is required unless the protocol is NOTLS (Kuscia facts 0.5,
    2.7).
    """
    token = credentials.api_token(node.key, node.domain_id)
    open_to_all = node.config.protocol == "NOTLS"

    def identify(request: web.Request) -> tuple[str, str] | None:
        given = request.headers.get("Token", "").strip()
        if not open_to_all and not same_secret(given, token):
            return None
        return "master", "master"

    return build_app(node, TABLES, server="api", identify=identify, service_name="KusciaAPI")


def internal_app(node: Node) -> web.Application:
    """Return KusciaAPI on 8092 of a master: role "domain" for callers behind the gateway, 401 for other paths than
    theirs.
    """

    def identify(request: web.Request) -> tuple[str, str] | None:
        source = request.headers.get("Kuscia-Source", "")
        return ("domain", source) if source and request.path in FOR_DOMAINS else None

    return build_app(node, TABLES, server="internal", identify=identify)


def datamesh_app(node: Node) -> web.Application:
    """Return DataMesh on 8070. The TLS layer has already required a certificate of the node's CA."""
    return build_app(
        node,
        [health.endpoints, datamesh.endpoints],
        server="datamesh",
        identify=lambda _request: ("domain", node.domain_id),
        dialect=DATA_MESH,
    )
