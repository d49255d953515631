"""`invite`: prints what the operator of a master sends to a partner in a different cluster.

The invitation has no secret: the partner is admitted by its public certificate, or by a deploy token, which the plugin
prints apart, with the permissions of its user (bin/kubectl-kuscia).
"""

from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import yaml_text
from kuscia_hooks.core.config.common import split_endpoint, valid_domain_id, valid_remote_endpoint
from kuscia_hooks.core.config.release import Invitation, Release
from kuscia_hooks.core.errors import ConfigError, PermanentError
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.inspect.known.commands import UPGRADE

PLACEHOLDER = "<node address>"
CHART = "./charts/kuscia"
TOKEN_SECRET = "kuscia-deploy-token-{domain}"  # noqa: S105 - a name, which bin/kubectl-kuscia uses too
_EXPOSURE = {
    "ClusterIP": "Partners in other clusters cannot reach it.",
    "LoadBalancer": "These values expose your gateway in the same way.",
    "NodePort": "These values expose your gateway in the same way.",
    "Ingress": "Expose your gateway with an Ingress too (values/ingress-nginx.yaml), or with a load balancer.",
}


def endpoint(config: Release, kube: Kube) -> tuple[str, str]:
    """Return the endpoint of the master for a partner, and a note about it ("" for none).

    Raises:
        PermanentError: `external-service-not-found`, `external-service-differs` or `load-balancer-without-address`.
    """
    external = config.invitation.external if config.invitation else None
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
    spec = service["spec"]
    if spec.get("type") != external.type or not spec.get("ports"):
        raise PermanentError(
            "external-service-differs",
            f"Service {config.namespace}/{name} is not the one of this release, which has type {external.type} (type: "
            f"{printable(spec.get('type'))})",
            fix="delete or rename it if another program created it, then "
            + UPGRADE.format(release=quoted(config.release), namespace=namespace),
            see=show,
        )
    scheme, port = split_endpoint(config.gateway).scheme, spec["ports"][0]
    if external.type == "NodePort":
        return (
            f"{scheme}://{PLACEHOLDER}:{port['nodePort']}",
            "replace the placeholder with the address of a node that the partner can reach: kubectl get nodes -o wide",
        )
    places: list[dict[str, Any]] = service["status"].get("loadBalancer", {}).get("ingress") or []
    for place in places:
        host = str(place.get("hostname") or place.get("ip") or "")
        # Kuscia does not support IPv6.
        if host and ":" not in host:
            return f"{scheme}://{host}:{port['port']}", ""
    raise PermanentError(
        "load-balancer-without-address",
        f"Service {config.namespace}/{name}: the load balancer has not assigned a host name or an IPv4 address",
        see=show,
    )


def invitation(config: Release, given: Invitation, domain: str, address: str, note: str, chart: str) -> str:
    """Return the invitation: a values file with instructions as comments.

    Args:
        given: what the master tells its partners.
        domain: domain ID of the partner.
        address: endpoint of the master for the partner.
        note: about the endpoint; "" for none.
        chart: where the partner gets the chart: a path, or a reference for helm.
    """
    lite: dict[str, Any] = {
        "enabled": True,
        "domainId": domain,
        "master": {"endpoint": address, "namespace": "", "tokenSecret": ""},
    }
    exposed = given.external.type if given.external else "ClusterIP"
    if exposed in ("LoadBalancer", "NodePort"):
        lite["service"] = {"external": {"enabled": True, "type": exposed}}
    values = {"master": {"enabled": False}, "lite": lite}
    install = f"{_chart(chart, given.chart_version)} -n lite-{domain}"
    # A partner with the repository of the chart has its site's settings there.
    site = "-f values/site.yaml " if _local(chart) else ""
    release, namespace = quoted(config.release), quoted(config.namespace)
    partner = f"kuscia-lite-{domain}"
    known = config.domains.get(domain)
    lines = [
        f"# Invitation of {domain} to the master {config.domain_id}; its gateway uses "
        f"{split_endpoint(config.gateway).scheme}.",
        f"# The gateway of the master is exposed as {exposed}. {_EXPOSURE[exposed]}",
        *([f"# NOTE: {note}"] if note else []),
        f"# Chart kuscia {given.chart_version}. The cluster of {domain} must be able to pull these images:",
        *(f"#   {printable(image)}" for image in given.images),
        f"# 1. {domain} saves this as invited.yaml and installs:",
        f"#      helm upgrade --install kuscia {install} --create-namespace {site}-f invited.yaml",
        "#    Add runtime, capacity and data (for an example see values/alice.yaml). Set the hooks image if it is in a",
        "#    different registry: global.kuscia.hooksImage.repository (README.md, Install).",
        yaml_text.write(values).rstrip(),
        f"# 2. {domain} sends back its public certificate and the URL at which other lites reach its gateway:",
        f"#      kubectl get configmap {partner}-domain-cert -n lite-{domain} -o jsonpath='{{.data.domain\\.crt}}'",
        "# 3. Add to the values of the master:",
        "#      master:",
        "#        domains:",
        f"#          {domain}:",
        "#            cert: |",
        "#              -----BEGIN CERTIFICATE----- …",
        f"#            endpoint: {(known.endpoint if known else None) or f'https://<gateway of {domain}>'}",
        f"#      helm upgrade --install {release} ./charts/kuscia -n {namespace} -f <values of the master>",
        f"# Until then the pod of {domain} stays in Init and logs the reason. Instead of using a certificate, you can",
        "# send a deploy token over a secure channel, apart from this file. Add the domain with its endpoint to the",
        "# values of the master, then print a Secret with the token:",
        f"#      kubectl kuscia invite {domain} --token -n {namespace} > token.yaml",
        f"# {domain} creates it and installs with it:",
        f"#      kubectl create namespace lite-{domain}; kubectl apply -f token.yaml",
        f"#      helm upgrade --install kuscia {install} {site}-f invited.yaml "
        f"--set lite.master.tokenSecret={TOKEN_SECRET.format(domain=domain)}",
    ]
    return "\n".join(lines)


def _local(chart: str) -> bool:
    return chart.startswith((".", "/"))


def _chart(chart: str, version: str) -> str:
    """Return the chart as arguments of helm; a reference to a registry or repository needs the version."""
    return quoted(chart) if _local(chart) else f"{quoted(chart)} --version {quoted(version)}"


def attempt(config: Release, kube: Kube, domain: str, given: str, chart: str = CHART) -> str:
    """Return the invitation.

    Args:
        domain: domain ID of the partner.
        given: endpoint of the master for the partner; "" to find it.
        chart: where the partner gets the chart.

    Raises:
        ConfigError: `not-a-master` or `invalid-arguments`.
        PermanentError: the endpoint is not known; see `endpoint`.
    """
    if config.invitation is None:
        raise ConfigError(
            "not-a-master",
            f"{config.domain_id} is a lite; only a master can invite a partner",
            fix=f"kubectl kuscia invite {quoted(domain)} -n <master namespace>",
        )
    _check(domain, given, chart)
    if domain == config.domain_id:
        raise ConfigError("invalid-arguments", f"DOMAIN {domain} is this master; name the domain of the partner")
    address, note = (given, "") if given else endpoint(config, kube)
    return invitation(config, config.invitation, domain, address, note, chart)


def _check(domain: str, given: str, chart: str) -> None:
    errors = []
    if not chart or chart.startswith("-"):
        errors.append(f"  - --chart {printable(chart)}: must be a path or a reference for helm")
    for what, value, valid in (
        ("DOMAIN", domain, valid_domain_id),
        ("--endpoint", given or None, valid_remote_endpoint),
    ):
        try:
            if value is not None:
                valid(value)
        except ValueError as error:
            errors.append(f"  - {what} {printable(value)}: {error}")
    if errors:
        raise ConfigError("invalid-arguments", "\n".join(["invalid arguments:", *errors]))
