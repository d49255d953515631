"""`invite`: what the operator of a master sends to a partner in another cluster, and what comes back.

No secret travels: the partner is admitted by its public certificate, or by a token that is handed over apart.
"""

from typing import Any

import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release, split_endpoint, valid_domain_id, valid_endpoint
from kuscia_hooks.core.errors import ConfigError, PermanentError

PLACEHOLDER = "<the address of a node>"


def endpoint(config: Release, kube: Kube) -> tuple[str, str]:
    """Where a partner reaches the master's gateway, and what to know about that; "" where nothing is.

    Raises:
        PermanentError: a load balancer that has no address yet, or a Service that is not there.
    """
    external = config.external
    if external is None:
        return config.gateway, (
            "this address is known inside this cluster only. For a partner elsewhere set master.service.external or "
            "master.ingress, or give the address of your own: kubectl kuscia invite DOMAIN --endpoint URL"
        )
    if external.type == "Ingress":
        url = str(external.url)
        return url, "put in the host name at which the Ingress controller is reached" if "<" in url else ""
    name = str(external.service)
    show = f"kubectl get service {name} -n {config.namespace}"
    service = kube.service(config.namespace, name)
    if service is None:
        raise PermanentError(
            "unclassified", f"Service {config.namespace}/{name} does not exist: upgrade the release", see=show
        )
    scheme = split_endpoint(config.gateway).scheme
    port = service["spec"]["ports"][0]
    if external.type == "NodePort":
        return (
            f"{scheme}://{PLACEHOLDER}:{port['nodePort']}",
            "put in the name or address of a node that the partner reaches: kubectl get nodes -o wide",
        )
    places: list[dict[str, Any]] = service["status"].get("loadBalancer", {}).get("ingress") or []
    for place in places:
        host = place.get("hostname") or place.get("ip")
        if host:
            return f"{scheme}://{host}:{port['port']}", ""
    raise PermanentError(
        "unclassified", f"Service {config.namespace}/{name} has no address yet: its load balancer gives none", see=show
    )


def letter(config: Release, domain: str, address: str, note: str) -> str:
    """What to send, as YAML with comments: a values file, and the way back.

    Args:
        domain: the partner's domain ID.
        address: what `endpoint` returned.
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
        f"# Invitation of {domain} to the cluster of master domain {config.domain_id}, whose gateway speaks "
        f"{split_endpoint(config.gateway).scheme}.",
        *([f"# NOTE: {note}"] if note else []),
        f"# 1. {domain} saves this as invited.yaml and installs:",
        f"#      helm install kuscia ./charts/kuscia -n lite-{domain} --create-namespace -f invited.yaml",
        "#    and adds runtime, capacity and data of its own (values/alice.yaml shows them), and the image of",
        "#    the steps, where its cluster can pull it: global.kuscia.hooksImage.repository (README.md, Install).",
        yaml.safe_dump(values, sort_keys=False).rstrip(),
        f"# 2. {domain} sends back its public certificate, no secret in it, and the address at which others reach its",
        "#    gateway (port 1080):",
        f"#      kubectl get configmap {release}-domain-cert -n lite-{domain} -o jsonpath='{{.data.domain\\.crt}}'",
        "# 3. Here, into the values of the master:",
        "#      master:",
        "#        domains:",
        f"#          {domain}:",
        "#            cert: |",
        "#              -----BEGIN CERTIFICATE----- …",
        f"#            endpoint: {(known.endpoint if known else None) or f'https://<{domain}>:1080'}",
        f"#      helm upgrade {config.release} ./charts/kuscia -n {config.namespace} -f <the master's values>",
        f"# Until then {domain}'s pod waits in Init and says so. Instead of a certificate a deploy token can be handed",
        "# over by a safe way of its own (values/alice-own-token.yaml):",
        f"#      kubectl get secret kuscia-deploy-token-{domain} -n {config.namespace} "
        "-o jsonpath='{.data.token}' | base64 -d",
    ]
    return "\n".join(lines)


def attempt(config: Release, kube: Kube, domain: str, given: str) -> str:
    """The letter.

    Args:
        given: an address of the operator's own; "" to find one.

    Raises:
        ConfigError: this is a lite, or `domain` or `given` are wrong.
        PermanentError: the address is not known.
    """
    if config.mode != "master":
        raise ConfigError(
            "invalid-config",
            f"{config.domain_id} is a lite, and only a master invites: kubectl kuscia invite {domain} -n "
            "<the master's namespace>",
        )
    _check(domain, given)
    address, note = (given, "") if given else endpoint(config, kube)
    return letter(config, domain, address, note)


def _check(domain: str, given: str) -> None:
    errors = []
    for what, value, valid in (("DOMAIN", domain, valid_domain_id), ("--endpoint", given or None, valid_endpoint)):
        try:
            if value is not None:
                valid(value)
        except ValueError as error:
            errors.append(f"  {what} {value!r}: {error}")
    if errors:
        raise ConfigError("invalid-config", "\n".join(["the invitation would be wrong:", *errors]))
