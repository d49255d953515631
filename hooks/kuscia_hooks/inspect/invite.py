"""`invite`: prints what the operator of a master sends to a partner in a different cluster.

The invitation has no secret: the partner is admitted by its public certificate, or by a deploy token that is sent
separately.
"""

from typing import Any

import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release, split_endpoint, valid_domain_id, valid_endpoint
from kuscia_hooks.core.errors import ConfigError, PermanentError
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.inspect.known.commands import UPGRADE

PLACEHOLDER = "<node address>"


def endpoint(config: Release, kube: Kube) -> tuple[str, str]:
    """Return the endpoint of the master for a partner, and a note about it ("" for none).

    Raises:
        PermanentError: `external-service-not-found` or `load-balancer-without-address`.
    """
    external = config.external
    if external is None:
        return config.gateway, (
            "this endpoint works inside this cluster only. For a partner elsewhere set master.service.external or "
            "master.ingress, or pass the endpoint: kubectl kuscia invite DOMAIN --endpoint URL"
        )
    if external.type == "Ingress":
        url = str(external.url)
        return url, "replace the placeholder with the host name of the Ingress controller" if "<" in url else ""
    name, namespace = str(external.service), quoted(config.namespace)
    show = f"kubectl get service {quoted(name)} -n {namespace}"
    service = kube.service(config.namespace, name)
    if service is None:
        raise PermanentError(
            "external-service-not-found",
            f"Service {config.namespace}/{name} not found",
            fix=UPGRADE.format(release=quoted(config.release), namespace=namespace),
            see=show,
        )
    scheme = split_endpoint(config.gateway).scheme
    port = service["spec"]["ports"][0]
    if external.type == "NodePort":
        return (
            f"{scheme}://{PLACEHOLDER}:{port['nodePort']}",
            "replace the placeholder with the address of a node that the partner can reach: kubectl get nodes -o wide",
        )
    places: list[dict[str, Any]] = service["status"].get("loadBalancer", {}).get("ingress") or []
    for place in places:
        host = place.get("hostname") or place.get("ip")
        if host:
            return f"{scheme}://{host}:{port['port']}", ""
    raise PermanentError(
        "load-balancer-without-address",
        f"Service {config.namespace}/{name}: the load balancer has not assigned an address",
        see=show,
    )


def invitation(config: Release, domain: str, address: str, note: str) -> str:
    """Return the invitation: a values file with instructions as comments.

    Args:
        domain: domain ID of the partner.
        address: endpoint of the master for the partner.
        note: about the endpoint; "" for none.
    """
    values = {
        "master": {"enabled": False},
        "lite": {
            "enabled": True,
            "domainId": domain,
            "master": {"endpoint": address, "namespace": "", "tokenSecret": ""},
        },
    }
    release = f"kuscia-lite-{domain}"
    known = config.domains.get(domain)
    lines = [
        f"# Invitation of {domain} to the master {config.domain_id}; its gateway uses "
        f"{split_endpoint(config.gateway).scheme}.",
        *([f"# NOTE: {note}"] if note else []),
        f"# 1. {domain} saves this as invited.yaml and installs:",
        f"#      helm install kuscia ./charts/kuscia -n lite-{domain} --create-namespace -f invited.yaml",
        "#    Add runtime, capacity and data (for an example see values/alice.yaml). Set the hooks image if it is in a",
        "#    different registry: global.kuscia.hooksImage.repository (README.md, Install).",
        yaml.safe_dump(values, sort_keys=False).rstrip(),
        f"# 2. {domain} sends back its public certificate (not a secret) and the endpoint of its gateway (port 1080):",
        f"#      kubectl get configmap {release}-domain-cert -n lite-{domain} -o jsonpath='{{.data.domain\\.crt}}'",
        "# 3. Add to the values of the master:",
        "#      master:",
        "#        domains:",
        f"#          {domain}:",
        "#            cert: |",
        "#              -----BEGIN CERTIFICATE----- …",
        f"#            endpoint: {(known.endpoint if known else None) or f'https://<{domain}>:1080'}",
        f"#      helm upgrade {config.release} ./charts/kuscia -n {config.namespace} -f <values of the master>",
        f"# Until then the pod of {domain} stays in Init and logs the reason. Instead of using a certificate, you can",
        "# send a deploy token over a secure channel (values/alice-own-token.yaml):",
        f"#      kubectl get secret kuscia-deploy-token-{domain} -n {config.namespace} "
        "-o jsonpath='{.data.token}' | base64 -d",
    ]
    return "\n".join(lines)


def attempt(config: Release, kube: Kube, domain: str, given: str) -> str:
    """Return the invitation.

    Args:
        domain: domain ID of the partner.
        given: endpoint of the master for the partner; "" to find it.

    Raises:
        ConfigError: `not-a-master` or `invalid-arguments`.
        PermanentError: the endpoint is not known; see `endpoint`.
    """
    if config.mode != "master":
        raise ConfigError(
            "not-a-master",
            f"{config.domain_id} is a lite; only a master can invite a partner",
            fix=f"kubectl kuscia invite {quoted(domain)} -n <master namespace>",
        )
    _check(domain, given)
    address, note = (given, "") if given else endpoint(config, kube)
    return invitation(config, domain, address, note)


def _check(domain: str, given: str) -> None:
    errors = []
    for what, value, valid in (("DOMAIN", domain, valid_domain_id), ("--endpoint", given or None, valid_endpoint)):
        try:
            if value is not None:
                valid(value)
        except ValueError as error:
            errors.append(f"  - {what} {printable(value)}: {error}")
    if errors:
        raise ConfigError("invalid-arguments", "\n".join(["invalid arguments:", *errors]))
