"""DomainDataGrant objects as KusciaAPI and DataMesh create them (Kuscia facts 7.4)."""

import base64
import binascii
import datetime
import json

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kuscia_sim import credentials
from kuscia_sim.state import domaindata
from kuscia_sim.state.store import Object, owner_reference
from kuscia_sim.transport.protojson import Dict

NANOSECONDS = 10**9


def new_object(request: Dict, author: str, data: Object) -> Object:
    """Return the object of a create or update request for the DomainData `data`."""
    labels = {domaindata.LABEL_GRANT_DOMAIN: request["grant_domain"]}
    owner = owner_reference("DomainData", data)
    return {"metadata": {"labels": labels, "ownerReferences": [owner]}, "spec": spec(request, author)}


def spec(request: Dict, author: str) -> Dict:
    result: Dict = {
        "author": author,
        "domainDataID": request["domaindata_id"],
        "grantDomain": request["grant_domain"],
        "signature": request.get("signature", ""),
        "description": request["description"],
    }
    limit = request["limit"]
    if limit:
        result["limit"] = {
            "flowID": limit["flow_id"],
            "useCount": limit["use_count"],
            "initiator": limit["initiator"],
            "inputConfig": limit["input_config"],
            "components": limit["components"],
            "grantMode": ["normal"],
        }
        if limit["expiration_time"] > 0:
            moment = datetime.datetime.fromtimestamp(limit["expiration_time"] // NANOSECONDS, datetime.UTC)
            result["limit"]["expirationTime"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return result


def describe_limit(limit: Dict | None) -> Dict | None:
    """Return the limit as both APIs answer it: whole seconds as nanoseconds, without its initiator."""
    if not limit:
        return None
    expiration = 0
    if limit.get("expirationTime"):
        moment = datetime.datetime.fromisoformat(limit["expirationTime"])
        expiration = int(moment.timestamp()) * NANOSECONDS
    return {
        "expiration_time": expiration,
        "use_count": limit.get("useCount", 0),
        "flow_id": limit.get("flowID", ""),
        "components": limit.get("components") or [],
        "input_config": limit.get("inputConfig", ""),
    }


def _to_sign(grant_spec: Dict) -> bytes:
    return json.dumps({**grant_spec, "signature": ""}, sort_keys=True).encode()


def sign(grant_spec: Dict, key: rsa.RSAPrivateKey) -> str:
    """Return the signature that DataMesh adds to an engine's grant."""
    return base64.b64encode(key.sign(_to_sign(grant_spec), padding.PKCS1v15(), hashes.SHA256())).decode()


def signature_error(grant_spec: Dict, cert: str) -> str:
    """Return the error in the signature of a grant, or "".

    Args:
        grant_spec: spec of the grant.
        cert: certificate of its author.
    """
    try:
        key = x509.load_pem_x509_certificate(base64.b64decode(cert)).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
    except ValueError:
        return "Get Domain cert error"
    try:
        signature = base64.b64decode(grant_spec["signature"], validate=True)
        key.verify(signature, _to_sign(grant_spec), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return "Verify error"
    return ""


def new_id() -> str:
    return credentials.generated_id("domaindatagrant")
