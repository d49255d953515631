"""POST /api/v1/certificate/generate: a key and a certificate of the node's CA."""

import base64

from cryptography import x509
from cryptography.x509.oid import NameOID

from kuscia_sim import credentials
from kuscia_sim.api import messages as m
from kuscia_sim.state.store import StoreError
from kuscia_sim.transport.endpoints import ApiError, Context, Endpoints
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/certificate/")

ERR_INVALID, ERR_GENERATE = 2000, 2200
DAY = 24 * 60 * 60
_SUBJECT = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organization_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "street_address": NameOID.STREET_ADDRESS,
    "common_name": NameOID.COMMON_NAME,
}


@endpoints.add("generate", m.GenerateKeyCertsRequest, m.GenerateKeyCertsResponse)
async def generate(ctx: Context, request: Dict) -> Dict:
    problems = []
    if not request["common_name"]:
        problems.append("common name must not be empty")
    if request["duration_sec"] < 0:
        problems.append("duration sedconds must greater than 0")
    if request["key_type"] not in ("", "PKCS#1", "PKCS#8"):
        problems.append("key tye must be [PKCS#1, PKCS#8]")
    if problems:
        raise ApiError(ERR_INVALID, ";".join(problems))
    try:
        own = await ctx.store.get("domains", "", ctx.node.domain_id)
        issuer = x509.load_pem_x509_certificate(base64.b64decode(own["spec"]["cert"]))
        subject = credentials.go_name([(oid, request[field]) for field, oid in _SUBJECT.items() if request[field]])
        key = credentials.new_key()
        cert = credentials.user_certificate(
            ctx.node.key, issuer, key.public_key(), subject, request["duration_sec"] or DAY
        )
    except StoreError as err:
        raise ApiError(ERR_GENERATE, "can not find domain cert") from err
    except (ValueError, OverflowError) as err:
        raise ApiError(ERR_GENERATE, "build key certs failed") from err
    key_pem = credentials.key_pem(key, pkcs8=request["key_type"] == "PKCS#8")
    return {
        "key": credentials.b64(key_pem),
        "cert_chain": [credentials.b64(credentials.cert_pem(c)) for c in (cert, issuer)],
    }
