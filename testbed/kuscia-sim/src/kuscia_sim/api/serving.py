"""Serving: /api/v1/serving/... (facts 7.4).

Deployments are kept, checked and shown; the stand-in runs no engines for them, so they stay `Progressing`.
"""

import re
import zlib
from typing import Any

from kuscia_sim.api import messages as m
from kuscia_sim.api.appimage import canonical_quantity
from kuscia_sim.api.rules import check_id, check_path, quantity_error, require
from kuscia_sim.jobs import quantity
from kuscia_sim.jobs.engines import PORT_RANGE, select_template, service_name
from kuscia_sim.state.object_names import object_name, refuse_invalid
from kuscia_sim.state.store import NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import ERR_AUTH, ApiError, Context, Endpoints, Panic
from kuscia_sim.transport.gojson import go_quote
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/serving/", on_lite="proxied")

ERR_CREATE, ERR_QUERY, ERR_STATUS, ERR_UPDATE, ERR_DELETE = 11600, 11601, 11602, 11603, 11604
KIND, NAMESPACE = "kusciadeployments", "cross-domain"
ROLLING, RECREATE = "RollingUpdate", "Recreate"
SHARE = "25%"
PREFIX_PATTERN = "[a-z]([-a-z0-9]{0,46}[a-z0-9])?"
AMOUNTS = {
    "min_cpu": ("requests", "cpu"),
    "min_memory": ("requests", "memory"),
    "max_cpu": ("limits", "cpu"),
    "max_memory": ("limits", "memory"),
}


def _check_id(_ctx: Context, request: Dict) -> None:
    require(request["serving_id"], "serving id can not be empty")


def _check_ids(ctx: Context, request: Dict) -> None:
    require(request["serving_ids"], "serving ids can not be empty")
    for serving_id in request["serving_ids"]:
        _check_id(ctx, {"serving_id": serving_id})


def _check_create(ctx: Context, request: Dict) -> None:
    _check_id(ctx, request)
    check_id(request["serving_id"], "serving_id")
    initiator = request["initiator"]
    require(initiator, "initiator can not be empty")
    own = ctx.node.domain_id
    require(ctx.node.is_master or initiator == own, f"initiator must be {own} in P2P")
    require(request["parties"], "parties can not be empty")
    for index, party in enumerate(request["parties"]):
        require(party["app_image"], f"appimage can't be empty in parties[{index}]")
        require(party["domain_id"], f"domain id can't be empty in parties[{index}]")
        _check_prefix(party["service_name_prefix"], index)
    found = any(party["domain_id"] == initiator for party in request["parties"])
    require(found, f"initiator {initiator} should be one of the parties")


def _check_prefix(prefix: str, index: int) -> None:
    """Kuscia's pkg/utils/resources/service.go. Raises ApiError."""
    pattern = f"^{PREFIX_PATTERN}$"
    require(
        not prefix or re.fullmatch(PREFIX_PATTERN, prefix, re.ASCII),
        f'service name prefix is invalid in parties[{index}], field "service_name_prefix" is invalid, '
        f'invalid value: {go_quote(prefix)}: regex used for validation is "{pattern}" ',
    )


@endpoints.add("create", m.CreateServingRequest, m.CreateServingResponse, check=_check_create)
async def create(ctx: Context, request: Dict) -> Dict:
    serving_id = request["serving_id"]
    if ctx.role == "domain" and ctx.source not in {party["domain_id"] for party in request["parties"]}:
        text = "domain's kuscia api could only handle the serving that the domain as a participant in the serving"
        raise ApiError(ERR_AUTH, text)
    if await _find(ctx, serving_id):
        name = go_quote(f"{NAMESPACE}/{serving_id}")
        text = f"serving {name} already exists, please ensure that the name is not duplicated"
        raise ApiError(ERR_CREATE, text)
    parties = [await _new_party(ctx, party, ERR_CREATE) for party in request["parties"]]
    spec = {
        "initiator": request["initiator"],
        "inputConfig": request["serving_input_config"],
        "parties": parties,
    }
    try:
        refuse_invalid("KusciaDeployment", serving_id, object_name(serving_id))
        await ctx.store.create(KIND, NAMESPACE, serving_id, {"spec": spec})
    except StoreError as err:
        raise ApiError(ERR_CREATE, err.message) from err
    return {}


@endpoints.add("query", m.QueryServingRequest, m.QueryServingResponse, check=_check_id)
async def query(ctx: Context, request: Dict) -> Dict:
    serving = await _own(ctx, request["serving_id"], ERR_QUERY)
    spec = serving["spec"]
    parties = [await _party(ctx, party) for party in spec["parties"]]
    return {
        "data": {
            "serving_input_config": spec["inputConfig"],
            "initiator": spec["initiator"],
            "parties": parties,
            "status": await _status(ctx, serving),
        }
    }


@endpoints.add(
    "status/batchQuery", m.BatchQueryServingStatusRequest, m.BatchQueryServingStatusResponse, check=_check_ids
)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    """Those that do not exist, or are not the caller's, are left out."""
    found = []
    for serving_id in request["serving_ids"]:
        check_path(NAMESPACE, serving_id, ERR_STATUS)
        serving = await _find(ctx, serving_id)
        if serving and _takes_part(ctx, serving):
            found.append({"serving_id": serving_id, "status": await _status(ctx, serving)})
    return {"data": {"servings": found}}


@endpoints.add("update", m.UpdateServingRequest, m.UpdateServingResponse, check=_check_id)
async def update(ctx: Context, request: Dict) -> Dict:
    if not request["serving_input_config"] and not request["parties"]:
        return {}
    serving = await _own(ctx, request["serving_id"], ERR_UPDATE)
    spec = serving["spec"]
    spec["inputConfig"] = request["serving_input_config"] or spec["inputConfig"]
    for party in request["parties"]:
        await _update_party(ctx, spec, party)
    try:
        await ctx.store.update(KIND, NAMESPACE, request["serving_id"], serving)
    except StoreError as err:
        raise ApiError(ERR_UPDATE, err.message) from err
    return {}


@endpoints.add("delete", m.DeleteServingRequest, m.DeleteServingResponse, check=_check_id)
async def delete(ctx: Context, request: Dict) -> Dict:
    await _own(ctx, request["serving_id"], ERR_DELETE)
    try:
        await ctx.store.delete(KIND, NAMESPACE, request["serving_id"])
    except StoreError as err:
        raise ApiError(ERR_DELETE, err.message) from err
    return {}


async def _find(ctx: Context, serving_id: str) -> Object | None:
    try:
        return await ctx.store.get(KIND, NAMESPACE, serving_id)
    except NotFound:
        return None


async def _own(ctx: Context, serving_id: str, code: int) -> Object:
    """The serving, for a caller who takes part. Raises ApiError(code)."""
    check_path(NAMESPACE, serving_id, code)
    try:
        serving = await ctx.store.get(KIND, NAMESPACE, serving_id)
    except StoreError as err:
        raise ApiError(code, err.message) from err
    if not _takes_part(ctx, serving):
        raise ApiError(code, "serving not found")
    return serving


def _takes_part(ctx: Context, serving: Object) -> bool:
    return ctx.role != "domain" or ctx.source in {party["domainID"] for party in serving["spec"]["parties"]}


async def _app_image(ctx: Context, name: str, code: int) -> Object:
    try:
        return await ctx.store.get("appimages", "", name)
    except StoreError as err:
        raise ApiError(code, f"can not get appimage {name} from cluster, {err}") from err


async def _template(ctx: Context, app_image: str, role: str, code: int) -> Object:
    image = await _app_image(ctx, app_image, code)
    template = select_template(image["spec"].get("deployTemplates") or [], role)
    if template is None:
        raise ApiError(code, f"can not get deploy template from appimage {app_image}")
    return template


async def _new_party(ctx: Context, party: Dict, code: int) -> Object:
    made: Object = {
        "domainID": party["domain_id"],
        "appImageRef": party["app_image"],
        "role": party["role"],
        "serviceNamePrefix": party["service_name_prefix"],
        "strategy": _strategy(party, code),
        "containers": await _containers(ctx, party, code),
    }
    if party["replicas"] is not None:
        made["replicas"] = party["replicas"]
    return made


def _strategy(party: Dict, code: int) -> Object:
    given = party["update_strategy"]
    if given is None:
        return {"type": ROLLING, "maxSurge": SHARE, "maxUnavailable": SHARE}
    if given["type"] not in (RECREATE, ROLLING):
        where = f"{party['domain_id']}/{party['role']}"
        raise ApiError(code, f"update strategy type should be {RECREATE} or {ROLLING} for party/role {where}")
    if given["type"] == RECREATE:
        return {"type": RECREATE}
    return {
        "type": ROLLING,
        "maxSurge": given["max_surge"] or SHARE,
        "maxUnavailable": given["max_unavailable"] or SHARE,
    }


async def _containers(ctx: Context, party: Dict, code: int) -> list[Object]:
    """The amounts asked for, for each container of the template; none when none is asked for."""
    if not party["resources"]:
        return []
    template = await _template(ctx, party["app_image"], party["role"], code)
    names = [container["name"] for container in template["spec"]["containers"]]
    named = {given["container_name"]: given for given in party["resources"]}
    where = f"{party['domain_id']}/{party['role']}"
    for name in named:
        if name and name not in names:
            text = f"container_name {name} of party domainID/role {where} resources doesn't exist in app image "
            raise ApiError(code, text + party["app_image"])
    made = []
    for name in names:
        resources: Object = {}
        for field, (kind, item) in AMOUNTS.items():
            amount = (named.get(name) or {}).get(field) or (named.get("") or {}).get(field) or ""
            if not amount:
                continue
            error = quantity_error(amount)
            text = f"resource {field} {amount} format is invalid for party domain_id/role {where}, {error}"
            require(not error, text, code)
            resources.setdefault(kind, {})[item] = canonical_quantity(amount)
        if not resources:
            return []
        made.append({"name": name, "resources": resources})
    return made


async def _update_party(ctx: Context, spec: Object, party: Dict) -> None:
    key = (party["domain_id"], party["role"])
    present = next((p for p in spec["parties"] if (p["domainID"], p["role"]) == key), None)
    if present is None:
        raise ApiError(ERR_UPDATE, f"party domain_id/role {key[0]}/{key[1]} does not exist")
    party = {**party, "app_image": party["app_image"] or present["appImageRef"]}
    if party["app_image"] != present["appImageRef"]:
        await _app_image(ctx, party["app_image"], ERR_UPDATE)
        present["appImageRef"] = party["app_image"]
    if party["replicas"] is not None:
        present["replicas"] = party["replicas"]
    if party["update_strategy"] is not None:
        present["strategy"] = _strategy(party, ERR_UPDATE)
    if present["containers"]:
        _update_containers(present["containers"], party)
    else:
        present["containers"] = await _containers(ctx, party, ERR_UPDATE)


def _update_containers(containers: list[Object], party: Dict) -> None:
    """Each gets what is for it, or else what is for all (Kuscia's pkg/kusciaapi/service/serving_service.go).

    Raises Panic where there was no limit or no request yet: upstream writes into a map that is nil.
    """
    given = {resource["container_name"]: resource for resource in party["resources"]}
    for container in containers:
        asked = given.get(container["name"]) or given.get("") or {}
        for field, (kind, item) in AMOUNTS.items():
            if not asked.get(field):
                continue
            error = quantity_error(asked[field])
            require(not error, error, ERR_UPDATE)
            amount = quantity.parse(asked[field])
            present = container["resources"].get(kind)
            if amount == quantity.parse((present or {}).get(item, "0")):
                continue
            if present is None:
                raise Panic("assignment to entry in nil map")
            present[item] = canonical_quantity(asked[field])


async def _party(ctx: Context, party: Object) -> Dict:
    template = await _template(ctx, party["appImageRef"], party["role"], ERR_QUERY)
    amounts = {container["name"]: container["resources"] for container in party["containers"]}
    for container in template["spec"]["containers"]:
        amounts.setdefault(container["name"], container.get("resources") or {})
    strategy = party["strategy"]
    return {
        "domain_id": party["domainID"],
        "role": party["role"],
        "app_image": party["appImageRef"],
        "replicas": party.get("replicas"),
        "update_strategy": {
            "type": strategy["type"],
            "max_surge": strategy.get("maxSurge", ""),
            "max_unavailable": strategy.get("maxUnavailable", ""),
        },
        "resources": [{"container_name": name, **_shown(resources)} for name, resources in amounts.items()],
        "service_name_prefix": party["serviceNamePrefix"],
    }


def _shown(resources: Object) -> dict[str, Any]:
    return {field: (resources.get(kind) or {}).get(item, "") for field, (kind, item) in AMOUNTS.items()}


async def _status(ctx: Context, serving: Object) -> Dict | None:
    """Nothing runs; None as long as a party's app image or namespace is missing, as nothing could be deployed.

    A party is available once all replicas are, and be there none (Kuscia's pkg/controllers/kusciadeployment).
    """
    created = serving["metadata"]["creationTimestamp"]
    parties = []
    for party in serving["spec"]["parties"]:
        try:
            template = await _template(ctx, party["appImageRef"], party["role"], ERR_STATUS)
            await ctx.store.get("namespaces", "", party["domainID"])
        except (ApiError, NotFound):
            return None
        replicas = party.get("replicas", template.get("replicas") or 0)
        parties.append(
            {
                "domain_id": party["domainID"],
                "role": party["role"],
                "state": "Progressing" if replicas else "Available",
                "replicas": replicas,
                "unavailable_replicas": replicas,
                "updatedReplicas": replicas,
                "create_time": created,
                "endpoints": _endpoints(serving, party, template),
            }
        )
    return {
        "state": "Progressing",
        "total_parties": len(parties),
        "create_time": created,
        "party_statuses": parties,
    }


def _endpoints(serving: Object, party: Object, template: Object) -> list[Dict]:
    return [
        {
            "port_name": port["name"],
            "scope": port["scope"],
            "endpoint": _endpoint(serving, party, port),
        }
        for container in template["spec"]["containers"]
        for port in container.get("ports") or []
        if port["scope"] in ("Cluster", "Domain")
    ]


def _endpoint(serving: Object, party: Object, port: Object) -> str:
    """With a port of those that engines get where the scope is Domain; always the same, as nothing listens there."""
    stem = serving["metadata"]["name"] + (f"-{party['role']}" if party["role"] else "")
    host = f"{service_name(party['serviceNamePrefix'] or stem, port['name'])}.{party['domainID']}.svc"
    if port["scope"] != "Domain":
        return host
    seed = f"{serving['metadata']['uid']}/{host}".encode()
    return f"{host}:{PORT_RANGE[zlib.crc32(seed) % len(PORT_RANGE)]}"
