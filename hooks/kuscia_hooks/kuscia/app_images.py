"""AppImages: request bodies, and the difference to those in Kuscia."""

from collections.abc import Mapping
from typing import Any

from kuscia_hooks.core.config.routes import AppImage
from kuscia_hooks.core.quantity import parse_quantity

# Defaults of KusciaAPI for a port (recordings of appimage/query).
PORT_DEFAULTS = {"protocol": "HTTP", "scope": "Local"}


def normal_app_image(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an AppImage in a canonical form, without defaults of KusciaAPI and empty fields."""
    image = {key: value for key, value in (data.get("image") or {}).items() if value}
    return {
        "image": image,
        "config_templates": dict(data.get("config_templates") or {}),
        "deploy_templates": [_normal_template(template) for template in data.get("deploy_templates") or []],
    }


def _normal_template(template: Mapping[str, Any]) -> Any:
    containers = [_normal_container(container) for container in template.get("containers") or []]
    return _pruned({**template, "containers": containers})


def _normal_container(container: Mapping[str, Any]) -> dict[str, Any]:
    ports = [
        {key: value for key, value in port.items() if value != PORT_DEFAULTS.get(key)}
        for port in container.get("ports") or []
    ]
    resources = {
        kind: {item: _normal_quantity(amount) for item, amount in (amounts or {}).items()}
        for kind, amounts in (container.get("resources") or {}).items()
    }
    return {**container, "ports": ports, "resources": resources}


def _normal_quantity(amount: Any) -> str:
    """Return a quantity in a canonical form: Kubernetes returns 1024Mi as 1Gi, and 0.5 as 500m."""
    try:
        return format(parse_quantity(amount).normalize(), "f")
    except ValueError:
        return str(amount)


def _pruned(value: Any) -> Any:
    """Return `value` without empty members; numbers become strings, as KusciaAPI returns int64 as a string."""
    if isinstance(value, Mapping):
        pruned = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, "", "0", False, [], {})}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def wanted_app_image(name: str, app: AppImage) -> dict[str, Any]:
    """Return the body of `appimage/create`. Replicas are always sent: the default of KusciaAPI is 0."""
    templates = [{"replicas": 1, **template} for template in app.deploy_templates]
    return {
        "name": name,
        "image": {key: value for key, value in app.image.model_dump().items() if value},
        "config_templates": app.config_templates,
        "deploy_templates": templates,
    }


def same_app_image(body: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Return whether an AppImage has the content of an `appimage/create` body."""
    return normal_app_image(found) == normal_app_image(body)
