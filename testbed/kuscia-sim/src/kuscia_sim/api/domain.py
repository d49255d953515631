"""Domains: /api/v1/domain/... (Kuscia facts 5.1, 7.4)."""

import base64
import contextlib
import re

from cryptography import x509

from kuscia_sim import credentials
from kuscia_sim.api import messages as m
from kuscia_sim.api.validation import check_id, check_path, one_of, require
from kuscia_sim.state.object_names import object_name, refuse_invalid
from kuscia_sim.state.store import NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import ERR_AUTH, ERR_VALIDATE, ApiError, Context, Endpoints, store_error
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/domain/", on_lite="proxied")

ERR_CREATE, ERR_QUERY, ERR_STATUS, ERR_UPDATE, ERR_DELETE = 11300, 11301, 11302, 11303, 11304
CODES = {"NotFound": 11305, "AlreadyExists": 11306}
MASTER = "master"
PARTNER = "partner"
PARTNER_PROTOCOLS = ["kuscia"]
_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


def _check_domain_id(_ctx: Context, request: Dict) -> None:
    require(request["domain_id"], "domain id can not be empty")


def _check_update(ctx: Context, request: Dict) -> None:
    _check_domain_id(ctx, request)
    _check_role(request["role"])


def _check_batch(_ctx: Context, request: Dict) -> None:
    require(request["domain_ids"], "domain ids can not be empty")
    for index, domain_id in enumerate(request["domain_ids"]):
        require(domain_id, f"domain id can not be empty on index {index}")


def _check_role(role: str) -> None:
    require(role in ("", PARTNER), f"role is invalid, must be empty or {PARTNER}")


def _check_own(ctx: Context, domain_id: str) -> None:
    if ctx.role == "domain" and domain_id != ctx.source:
        raise ApiError(
            ERR_AUTH,
            "domain's kusciaAPI could only operate its own Domain, "
            f"request.DomainID must be {ctx.source} not {domain_id}",
        )


async def _check_master(ctx: Context, request: Dict) -> None:
    master = request["master_domain_id"]
    if not master or master == request["domain_id"]:
        return
    try:
        check_path(None, master, ERR_VALIDATE)
        domain = await ctx.store.get("domains", "", master)
    except (StoreError, ApiError) as err:
        raise ApiError(ERR_VALIDATE, f"check master domain id failed with err {err}") from err
    role = domain["spec"].get("role", "")
    require(role == request["role"], f"master domain role is {role}, but current role is {request['role']}")


def _go_base64(text: str) -> bytes:
    """Decode as encoding/base64 does: line ends are ignored.

    Raises:
        ValueError: the text is not base64.
    """
    return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)


def _cert_error(text: str) -> str:
    """Return the error in a certificate in base64, or "". In a bundle the first block counts."""
    try:
        pem = _go_base64(text)
    except ValueError:
        return "cert must be encoded with base64"
    try:
        first = re.search(rb"-----BEGIN [^-\n]*-----", pem)
        if first and first[0].decode() == _BEGIN:
            x509.load_pem_x509_certificate(pem)
            return ""
    except ValueError:
        pass
    return "cert format is invalid, must be an x509 certificate"


def normal_cert(text: str) -> str:
    """Return base64 of the PEM, converted from any accepted form.

    Accepted are base64 of PEM, PEM, PEM without its frame (with or without line breaks), base64 twice, and Windows line
    ends (Kuscia's pkg/kusciaapi/service/domain_service.go).

    Raises:
        ApiError: no form is valid; with the error of the first one.
    """
    text = text.strip("\n")
    forms = [text, credentials.b64(text)]
    if not text.startswith(_BEGIN):
        forms.append(credentials.b64(f"{_BEGIN}\n{text}\n{_END}"))
    with contextlib.suppress(ValueError):
        forms.append(_go_base64(text).decode("ascii"))
    for form in forms:
        if not _cert_error(form):
            return form
    if "\r" in text:
        return normal_cert(text.replace("\r", ""))
    raise ApiError(ERR_VALIDATE, _cert_error(text))


def _auth_center(request: Dict) -> Dict | None:
    given = request["auth_center"]
    if not given:
        return None
    spec = {"authenticationType": given["authentication_type"], "tokenGenMethod": given["token_gen_method"]}
    return {key: value for key, value in spec.items() if value or key == "authenticationType"}


def _refuse_invalid(domain_id: str, spec: Dict) -> None:
    errors = object_name(domain_id)
    center = spec.get("authCenter")
    if not center:
        refuse_invalid("Domain", domain_id, errors)
        return
    errors += one_of("spec.authCenter.authenticationType", center["authenticationType"], ("Token", "MTLS", "None"))
    if "tokenGenMethod" in center:
        errors += one_of(
            "spec.authCenter.tokenGenMethod",
            center["tokenGenMethod"],
            ("RSA-GEN", "RAND-GEN", "UID-RSA-GEN"),
        )
    refuse_invalid("Domain", domain_id, errors)


@endpoints.add("create", m.CreateDomainRequest, m.CreateDomainResponse, on_lite="unsupported")
async def create(ctx: Context, request: Dict) -> Dict:
    domain_id = request["domain_id"]
    require(domain_id, "domain id can not be empty")
    require(domain_id != MASTER, "domain id can not be 'master', please choose another name")
    check_id(domain_id, "domain_id")
    _check_role(request["role"])
    await _check_master(ctx, request)
    cert = normal_cert(request["cert"]) if request["cert"] else ""
    partner = request["role"] == PARTNER
    default = {"authenticationType": "Token", "tokenGenMethod": "UID-RSA-GEN" if partner and cert else "RSA-GEN"}
    spec: Dict = {
        "role": request["role"],
        "cert": cert,
        "authCenter": _auth_center(request) or default,
        "master": request["master_domain_id"] or (domain_id if partner else ""),
    }
    if partner:
        spec["interConnProtocols"] = PARTNER_PROTOCOLS
    try:
        _refuse_invalid(domain_id, spec)
        await ctx.store.create("domains", "", domain_id, {"spec": spec})
    except StoreError as err:
        raise store_error(err, ERR_CREATE, **CODES) from err
    return {}


@endpoints.add("query", m.QueryDomainRequest, m.QueryDomainResponse, check=_check_domain_id)
async def query(ctx: Context, request: Dict) -> Dict:
    domain_id = request["domain_id"]
    if domain_id == MASTER:
        return {"data": {"domain_id": MASTER, "cert": await _master_cert(ctx)}}
    _check_own(ctx, domain_id)
    domain = await _get(ctx, domain_id, ERR_QUERY)
    spec, status = domain["spec"], domain.get("status") or {}
    center = spec.get("authCenter")
    return {
        "data": {
            **_summary(domain),
            "deploy_token_statuses": [
                {
                    "token": token["token"],
                    "state": token["state"],
                    "last_transition_time": token.get("lastTransitionTime", ""),
                }
                for token in status.get("deployTokenStatuses", [])
            ],
            "annotations": domain["metadata"].get("annotations") or {},
            "auth_center": center
            and {
                "authentication_type": center.get("authenticationType", ""),
                "token_gen_method": center.get("tokenGenMethod", ""),
            },
            "master_domain_id": spec.get("master", ""),
        }
    }


@endpoints.add("update", m.UpdateDomainRequest, m.UpdateDomainResponse, check=_check_update)
async def update(ctx: Context, request: Dict) -> Dict:
    domain_id = request["domain_id"]
    _check_own(ctx, domain_id)
    await _check_master(ctx, request)
    cert = normal_cert(request["cert"]) if request["cert"] else ""
    domain = await _get(ctx, domain_id, ERR_UPDATE)
    spec = {
        **domain["spec"],
        "role": request["role"],
        "cert": cert or domain["spec"].get("cert", ""),
        "authCenter": _auth_center(request),
        "master": request["master_domain_id"] or domain_id,
    }
    if request["role"] != domain["spec"].get("role", ""):
        spec["interConnProtocols"] = PARTNER_PROTOCOLS if request["role"] == PARTNER else []
    try:
        _refuse_invalid(domain_id, spec)
        await ctx.store.update("domains", "", domain_id, {**domain, "spec": spec})
    except StoreError as err:
        raise ApiError(ERR_UPDATE, err.message) from err
    return {}


@endpoints.add("delete", m.DeleteDomainRequest, m.DeleteDomainResponse, on_lite="unsupported")
async def delete(ctx: Context, request: Dict) -> Dict:
    _check_domain_id(ctx, request)
    check_path(None, request["domain_id"], ERR_DELETE)
    try:
        await ctx.store.delete("domains", "", request["domain_id"])
    except StoreError as err:
        raise store_error(err, ERR_DELETE, **CODES) from err
    return {}


@endpoints.add("batchQuery", m.BatchQueryDomainRequest, m.BatchQueryDomainResponse, check=_check_batch)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    domains = []
    for domain_id in request["domain_ids"]:
        if domain_id == MASTER:
            domains.append({"domain_id": MASTER, "cert": await _master_cert(ctx)})
        else:
            domains.append(_summary(await _get(ctx, domain_id, ERR_STATUS)))
    return {"data": {"domains": domains}}


async def _get(ctx: Context, domain_id: str, code: int) -> Object:
    check_path(None, domain_id, code)
    try:
        return await ctx.store.get("domains", "", domain_id)
    except NotFound as err:
        raise store_error(err, code, **CODES) from err


async def _master_cert(ctx: Context) -> str:
    own = await _get(ctx, ctx.node.domain_id, ERR_QUERY)
    return str(own["spec"].get("cert", ""))


def _summary(domain: Object) -> Dict:
    spec, status = domain["spec"], domain.get("status") or {}
    return {
        "domain_id": domain["metadata"]["name"],
        "role": spec.get("role", ""),
        "cert": spec.get("cert", ""),
        "node_statuses": [
            {
                "name": node["name"],
                "status": node["status"],
                "version": node["version"],
                "last_heartbeat_time": node.get("lastHeartbeatTime", ""),
                "last_transition_time": node.get("lastTransitionTime", ""),
            }
            for node in status.get("nodeStatuses", [])
        ],
    }
