"""Verification of the gateway of a master, if the values name a CA bundle for it."""

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.common import Master
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.text import quoted
from kuscia_hooks.kuscia import gateway


def trust_master(kube: Kube, namespace: str, master: Master) -> None:
    """Verify the gateway of a master in all later requests, if there is a CA bundle; read the bundle again.

    Args:
        namespace: of the bundle.

    Raises:
        RetryableError: `ca-bundle-not-found`, `invalid-ca-bundle`, or an ID of `Kube.secret_value`.
    """
    bundle = master.ca_bundle
    if bundle is None:
        return
    see = f"kubectl get {bundle.kind.lower()} {quoted(bundle.name)} -n {quoted(namespace)} -o yaml"
    if bundle.kind == "Secret":
        pem = kube.secret_text(namespace, bundle.name, bundle.key, public=[bundle.key])
    else:
        pem = (kube.configmap(namespace, bundle.name) or {}).get(bundle.key, "")
        if not pem:
            raise RetryableError(
                "ca-bundle-not-found",
                f"ConfigMap {namespace}/{bundle.name} not found, or without a value under key {bundle.key}",
                fix="create it, or correct lite.master.caBundle",
                see=see,
            )
    try:
        gateway.trust(master.endpoint, pem)
    except ValueError as error:
        raise RetryableError(
            "invalid-ca-bundle",
            f"{bundle.kind} {namespace}/{bundle.name}: the value under key {bundle.key} has no PEM certificate",
            fix="put the certificate of the CA that signed the certificate of the gateway there",
            see=see,
        ) from error
