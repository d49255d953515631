"""Domain routes: /api/v1/route/... (Kuscia facts 6, 7.4)."""

import datetime

from kuscia_sim.api import messages as m
from kuscia_sim.api.domain import CODES as DOMAIN_CODES
from kuscia_sim.api.domain import ERR_QUERY as ERR_QUERY_DOMAIN
from kuscia_sim.api.validation import (
    HOST_PATTERN,
    check_path,
    in_range,
    matches,
    one_of,
    require,
)
from kuscia_sim.state.object_names import object_name, refuse_invalid
from kuscia_sim.state.store import Object, StoreError
from kuscia_sim.transport.endpoints import (
    CHINA,
    ERR_AUTH,
    NIL_POINTER,
    ApiError,
    Context,
    Endpoints,
    Panic,
    store_error,
)
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/route/", on_lite="proxied")

ERR_CREATE, ERR_QUERY, ERR_STATUS, ERR_DELETE = 11400, 11401, 11402, 11403
CODES = {"NotFound": 11404, "AlreadyExists": 11405}
AUTHENTICATION_TYPES = ("Token", "MTLS", "None")
MAX_PORT = 65535


def _check_key(_ctx: Context, request: Dict) -> None:
    require(request["source"], "source can not be empty")
    require(request["destination"], "destination can not be empty")


def _check_create(ctx: Context, request: Dict) -> None:
    _check_key(ctx, request)
    require(request["authentication_type"], "authentication type can not be empty")
    endpoint, transit = request["endpoint"], request["transit"]
    if transit is None:
        ports = endpoint["ports"] if endpoint else []
        require(ports, "endpoint can not be empty when transit is not set")
        for port in ports:
            require(
                0 < port["port"] <= MAX_PORT, f"endpoint port should be positive and less than or equal to {MAX_PORT} "
            )
    else:
        require(transit["transit_method"], "tranist method is required when transit is not empty")
        if transit["transit_method"] == "THIRD-DOMAIN":
            require(
                transit["domain"] and transit["domain"]["domain_id"],
                "domain is required when transit method is third domain",
            )


def _check_batch(ctx: Context, request: Dict) -> None:
    require(request["route_keys"], "DomainRoute keys can not be empty")
    for key in request["route_keys"]:
        # Kuscia reads keys in a way that treats nil as an empty one.
        _check_key(ctx, key or {"source": "", "destination": ""})


def _check_destination(ctx: Context, request: Dict) -> None:
    if ctx.role == "domain" and request["destination"] != ctx.source:
        raise ApiError(
            ERR_AUTH,
            "domain's kusciaAPI could only operate DomainRoute with destination is itself, "
            f"request.Destination must be {ctx.source} not {request['destination']}",
        )


def _check_party(ctx: Context, request: Dict) -> None:
    if ctx.role == "domain" and ctx.source not in (request["destination"], request["source"]):
        raise ApiError(
            ERR_AUTH,
            f"domain's kusciaAPI could only query DomainRoute with itself, domain:{ctx.source} ,"
            f"destination:{request['destination']},source:{request['source']}",
        )


@endpoints.add("create", m.CreateDomainRouteRequest, m.CreateDomainRouteResponse, check=_check_create)
async def create(ctx: Context, request: Dict) -> Dict:
    _check_destination(ctx, request)
    for domain_id in (request["source"], request["destination"]):
        check_path(None, domain_id, ERR_QUERY_DOMAIN)
        try:
            await ctx.store.get("domains", "", domain_id)
        except StoreError as err:
            raise store_error(err, ERR_QUERY_DOMAIN, **DOMAIN_CODES) from err
    name = f"{request['source']}-{request['destination']}"
    spec = _spec(request)
    try:
        refuse_invalid("ClusterDomainRoute", name, object_name(name) + _crd_errors(spec))
        await ctx.store.create("clusterdomainroutes", "", name, {"spec": spec})
    except StoreError as err:
        raise store_error(err, ERR_CREATE, **CODES) from err
    return {}


@endpoints.add("query", m.QueryDomainRouteRequest, m.QueryDomainRouteResponse, check=_check_key)
async def query(ctx: Context, request: Dict) -> Dict:
    _check_party(ctx, request)
    route = await _get(ctx, request, ERR_QUERY)
    spec = route["spec"]
    kind = spec["authenticationType"]
    token, mtls = spec.get("tokenConfig"), spec.get("mTLSConfig")
    if (kind == "Token" and not token) or (kind == "MTLS" and not mtls):
        raise Panic(NIL_POINTER)
    endpoint, transit = spec.get("endpoint") or {}, spec.get("transit")
    return {
        "data": {
            "name": route["metadata"]["name"],
            "authentication_type": kind,
            "destination": request["destination"],
            "endpoint": {
                "host": endpoint.get("host", ""),
                "ports": [
                    {
                        "name": port["name"],
                        "port": port["port"],
                        "protocol": port["protocol"],
                        "isTLS": port.get("isTLS", False),
                        "path_prefix": port.get("pathPrefix", ""),
                    }
                    for port in endpoint.get("ports") or []
                ],
            },
            "source": request["source"],
            "token_config": _token_config(token) if kind == "Token" else None,
            "mtls_config": _mtls_config(mtls) if kind == "MTLS" else None,
            "status": _status(route),
            "transit": transit
            and {
                "transit_method": transit["transitMethod"],
                "domain": transit.get("domain") and {"domain_id": transit["domain"]["domainID"]},
            },
            "body_encryption": spec.get("bodyEncryption"),
        }
    }


def _token_config(spec: Dict) -> Dict:
    return {
        "destination_public_key": spec.get("destinationPublicKey", ""),
        "rolling_update_period": spec.get("rollingUpdatePeriod", 0),
        "source_public_key": spec.get("sourcePublicKey", ""),
        "token_gen_method": spec["tokenGenMethod"],
    }


def _mtls_config(spec: Dict) -> Dict:
    return {
        "tls_ca": spec.get("tlsCA", ""),
        "source_client_private_key": spec.get("sourceClientPrivateKey", ""),
        "source_client_cert": spec.get("sourceClientCert", ""),
    }


@endpoints.add("delete", m.DeleteDomainRouteRequest, m.DeleteDomainRouteResponse, check=_check_key)
async def delete(ctx: Context, request: Dict) -> Dict:
    _check_destination(ctx, request)
    name = f"{request['source']}-{request['destination']}"
    check_path(None, name, ERR_DELETE)
    try:
        await ctx.store.delete("clusterdomainroutes", "", name)
    except StoreError as err:
        raise store_error(err, ERR_DELETE, **CODES) from err
    return {}


@endpoints.add(
    "status/batchQuery",
    m.BatchQueryDomainRouteStatusRequest,
    m.BatchQueryDomainRouteStatusResponse,
    check=_check_batch,
)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    for key in request["route_keys"]:
        _check_party(ctx, key)
    routes = []
    for key in request["route_keys"]:
        route = await _get(ctx, key, ERR_STATUS)
        routes.append({"name": route["metadata"]["name"], **key, "status": _status(route)})
    return {"data": {"routes": routes}}


async def _get(ctx: Context, key: Dict, code: int) -> Object:
    name = f"{key['source']}-{key['destination']}"
    check_path(None, name, code)
    try:
        return await ctx.store.get("clusterdomainroutes", "", name)
    except StoreError as err:
        raise store_error(err, code, **CODES) from err


def _status(route: Object) -> Dict:
    """Return Succeeded if the Ready condition is True, otherwise Failed with the text of the condition, if any."""
    for condition in (route.get("status") or {}).get("conditions", []):
        if condition["type"] != "Ready":
            continue
        if condition["status"] == "True":
            return {"status": "Succeeded", "reason": ""}
        updated = datetime.datetime.fromisoformat(condition["lastUpdateTime"]).astimezone(CHINA)
        return {
            "status": "Failed",
            "reason": f"LastUpdateAt={updated:%Y-%m-%d %H:%M:%S %z %Z}, "
            f"Message={condition.get('message', '')}, Reason:{condition.get('reason', '')}",
        }
    return {"status": "Failed", "reason": ""}


def _spec(request: Dict) -> Dict:
    kind = request["authentication_type"]
    endpoint, transit = request["endpoint"], request["transit"]
    spec: Dict = {
        "source": request["source"],
        "destination": request["destination"],
        "authenticationType": kind if kind in AUTHENTICATION_TYPES else "",
        "endpoint": {
            "host": endpoint["host"] if endpoint else "",
            "ports": [_port(port) for port in endpoint["ports"]] if endpoint else [],
        },
    }
    if kind == "Token":
        token = request["token_config"] or {"token_gen_method": "RSA-GEN"}
        spec["tokenConfig"] = {
            "tokenGenMethod": token["token_gen_method"],
            "rollingUpdatePeriod": token.get("rolling_update_period", 0),
            "sourcePublicKey": token.get("source_public_key", ""),
            "destinationPublicKey": token.get("destination_public_key", ""),
        }
    if kind == "MTLS" and request["mtls_config"]:
        mtls = request["mtls_config"]
        spec["mTLSConfig"] = {
            "tlsCA": mtls["tls_ca"],
            "sourceClientPrivateKey": mtls["source_client_private_key"],
            "sourceClientCert": mtls["source_client_cert"],
        }
    if transit:
        spec["transit"] = {"transitMethod": transit["transit_method"]}
        if transit["domain"]:
            spec["transit"]["domain"] = {"domainID": transit["domain"]["domain_id"]}
    if request["body_encryption"]:
        spec["bodyEncryption"] = {"algorithm": request["body_encryption"]["algorithm"]}
    return spec


def _port(port: Dict) -> Dict:
    protocol = port["protocol"].upper()
    tls = protocol in ("HTTPS", "GRPCS")
    require(
        protocol in ("HTTP", "HTTPS", "GRPC", "GRPCS"),
        "DomainRoute Port Protocol should be HTTP or HTTPS or GRPC or GRPCS",
        ERR_CREATE,
    )
    return {
        "name": port["name"],
        "port": port["port"],
        "protocol": protocol.removesuffix("S"),
        "isTLS": tls or port["isTLS"],
        "pathPrefix": port["path_prefix"],
    }


def _crd_errors(spec: Dict) -> list[str]:
    errors = matches("spec.endpoint.host", spec["endpoint"]["host"], HOST_PATTERN)
    for index, port in enumerate(spec["endpoint"]["ports"]):
        errors += in_range(f"spec.endpoint.ports[{index}].port", port["port"], 1, MAX_PORT)
    if "tokenConfig" in spec:
        token = spec["tokenConfig"]
        errors += one_of("spec.tokenConfig.tokenGenMethod", token["tokenGenMethod"], ("RSA-GEN", "UID-RSA-GEN"))
        errors += in_range("spec.tokenConfig.rollingUpdatePeriod", token["rollingUpdatePeriod"], 0, None)
    if "transit" in spec:
        method = spec["transit"]["transitMethod"]
        errors += one_of("spec.transit.transitMethod", method, ("THIRD-DOMAIN", "REVERSE-TUNNEL"))
    if "bodyEncryption" in spec:
        errors += one_of("spec.bodyEncryption.algorithm", spec["bodyEncryption"]["algorithm"], ("AES", "SM4"))
    return errors
