"""The names of a release that fixes refer to.

Fixes are templates for `str.format`, such as `kubectl get pod {pod} -n {namespace}` (`inspect/known`). The functions
here return the values of their fields, quoted for a shell, so that a fix can be copied into a terminal.
"""

import re

from kuscia_hooks.core.config.common import split_endpoint
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.text import quoted
from kuscia_hooks.inspect.finding import swapped
from kuscia_hooks.inspect.known.commands import MORE_CAPACITY, RESTART, SMALLER_REQUESTS, UPGRADE
from kuscia_hooks.kuscia.database_server import create_statement


def release_names(config: Release, pod: str) -> dict[str, str]:
    """Return the names for a fix at the release itself.

    Args:
        config: describes the release.
        pod: name of the Kuscia pod; "" for none.

    Returns:
        Values by the name of their field. A name that the release does not have, such as `db_host` without a database,
        is "". `more_room`, `restart`, `upgrade` and `master_upgrade` are whole commands.
    """
    store = config.datastore if isinstance(config.datastore, Database) else None
    endpoint = config.master.endpoint if config.master else config.gateway
    values = {
        "release": config.release,
        "namespace": config.namespace,
        "fullname": config.fullname,
        "node": config.mode,
        "domain": config.domain_id,
        "value": config.domain_id,
        "gateway": config.gateway,
        "key_secret": config.key_secret.name,
        "engines": (config.engines and config.engines.namespace) or config.namespace,
        "pod": pod,
        "db_secret": store.password_secret.name if store else "",
        "db_user": store.user if store else "",
        "db_host": store.host if store else "",
        "endpoint": endpoint,
        "swapped": swapped(endpoint),
    }
    names = {name: quoted(value) if value else "" for name, value in values.items()}
    names["create_database"] = create_statement(store) if store else ""
    names["endpoint_value"] = "lite.master.endpoint"
    names["upgrade"] = UPGRADE.format_map(names)
    master, names["peer_namespace"] = names["release"], names["namespace"]
    if config.mode == "lite":
        master, names["peer_namespace"] = _master_release(endpoint)
    names["master_upgrade"] = UPGRADE.format_map({"release": master, "namespace": names["peer_namespace"]})
    names["more_room"] = (MORE_CAPACITY if config.mode == "lite" else SMALLER_REQUESTS).format_map(names)
    names["restart"] = RESTART.format_map(names)
    return names


def _master_release(endpoint: str) -> tuple[str, str]:
    """Return release and namespace of a master, quoted for a shell.

    Args:
        endpoint: of the gateway of the master. Inside the cluster, its host has both names.

    Returns:
        Placeholders such as `<master release>` if the endpoint does not tell.
    """
    labels = (split_endpoint(endpoint).hostname or "").split(".")
    if len(labels) < 3 or labels[2] != "svc":
        return "<master release>", "<master namespace>"
    service, namespace = labels[0], labels[1]
    # The name of the release is in front of the name of the Service, unless it is kuscia or starts with a digit.
    if service == "kuscia-master":
        return "kuscia", quoted(namespace)
    found = re.fullmatch(r"(.+)-kuscia-master|kuscia-([0-9].*)-master", service)
    return quoted(found[1] or found[2]) if found else "<master release>", quoted(namespace)


def peer_names(config: Release, domain: str, endpoint: str, names: dict[str, str]) -> dict[str, str]:
    """Return the names for a fix at the gateway of another domain, or of the master.

    Args:
        config: describes the release.
        domain: domain ID of the gateway.
        endpoint: URL of the gateway.
        names: those of the release (`release_names`); they are not changed.
    """
    changed = {**names, "endpoint": quoted(endpoint), "swapped": quoted(swapped(endpoint))}
    if domain in config.domains:
        changed["endpoint_value"] = f"master.domains.{quoted(domain)}.endpoint"
        changed["peer_namespace"] = namespace_of(config, domain)
    return changed


def namespace_of(config: Release, domain: str) -> str:
    """Return the namespace of a domain, quoted for a shell; a placeholder if the values do not have it."""
    neighbor = config.domains.get(domain)
    if domain == config.domain_id:
        return quoted(config.namespace)
    return quoted(neighbor.namespace) if neighbor and neighbor.namespace else f"<namespace of {quoted(domain)}>"
