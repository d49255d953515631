"""App images: /api/v1/appimage/... (Kuscia facts 7.4, 9); master only."""

from decimal import Decimal

from kuscia_sim.api import messages as m
from kuscia_sim.api import paging
from kuscia_sim.api.validation import (
    check_id,
    check_path,
    one_of,
    quantity_error,
    require,
)
from kuscia_sim.state.object_names import object_name, refuse_invalid
from kuscia_sim.state.store import Object, StoreError
from kuscia_sim.transport.endpoints import NIL_POINTER, ApiError, Context, Endpoints, Panic, store_error
from kuscia_sim.transport.protojson import Dict, GivenMap

endpoints = Endpoints("/api/v1/appimage/", on_lite="unsupported")

ERR_CREATE, ERR_QUERY, ERR_UPDATE, ERR_DELETE, ERR_BATCH, ERR_LIST = 13100, 13101, 13102, 13103, 13104, 13107
CODES = {"NotFound": 13105, "AlreadyExists": 13106}
PAGE_SIZE = 10
_SUFFIXES = {
    suffix: Decimal(10) ** power for suffix, power in zip(("n", "u", "m", "", *"kMGTPE"), range(-9, 19, 3), strict=True)
}


@endpoints.add("create", m.CreateAppImageRequest, m.CreateAppImageResponse)
async def create(ctx: Context, request: Dict) -> Dict:
    name = request["name"]
    require(name, "appimage name can not be empty")
    _check_image(request["image"])
    _check_templates(request["deploy_templates"])
    check_id(name, "appimage_id")
    spec = {
        "image": dict(request["image"]),
        "configTemplates": request["config_templates"],
        "deployTemplates": [_template_spec(t, ERR_CREATE) for t in request["deploy_templates"]],
    }
    try:
        refuse_invalid("AppImage", name, object_name(name) + _crd_errors(spec))
        await ctx.store.create("appimages", "", name, {"spec": spec})
    except StoreError as err:
        raise store_error(err, ERR_CREATE, **CODES) from err
    return {}


@endpoints.add("query", m.QueryAppImageRequest, m.QueryAppImageResponse)
async def query(ctx: Context, request: Dict) -> Dict:
    require(request["name"], "appimage name can not be empty")
    return {"data": _describe(await _get(ctx, request["name"], ERR_QUERY))}


@endpoints.add("batchQuery", m.BatchQueryAppImageRequest, m.BatchQueryAppImageResponse)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    require(request["names"], "names can not be empty")
    for index, name in enumerate(request["names"]):
        require(name, f"name can not be empty on index {index}")
    images = []
    for name in request["names"]:
        try:
            images.append(_describe(await _get(ctx, name, ERR_BATCH)))
        except ApiError as err:
            raise ApiError(err.code, f"can't get appimage for {name}, err: {err.text}") from err
    return {"data": images}


@endpoints.add("list", m.ListAppImageRequest, m.ListAppImageResponse)
async def list_images(ctx: Context, request: Dict) -> Dict:
    try:
        start, revision = paging.read_token(request["page_token"])
    except ValueError as err:
        raise ApiError(ERR_LIST, str(err)) from err
    images = [i for i in await ctx.store.list("appimages") if i["metadata"]["name"] >= start]
    size = request["page_size"] if request["page_size"] > 0 else PAGE_SIZE
    page = images[:size]
    token = ""
    if len(images) > size:
        revision = revision or max(int(image["metadata"]["resourceVersion"]) for image in images)
        token = paging.write_token(page[-1]["metadata"]["name"], revision)
    return {"data": {"appimage_list": [_describe(image) for image in page], "next_page_token": token}}


@endpoints.add("update", m.UpdateAppImageRequest, m.UpdateAppImageResponse)
async def update(ctx: Context, request: Dict) -> Dict:
    require(request["name"], "appimage name can not be empty")
    _check_image(request["image"])
    if request["deploy_templates"]:
        _check_templates(request["deploy_templates"])
    image = await _get(ctx, request["name"], ERR_UPDATE)
    image["spec"]["image"] = dict(request["image"])
    if isinstance(request["config_templates"], GivenMap):
        image["spec"]["configTemplates"] = request["config_templates"]
    if request["deploy_templates"]:
        image["spec"]["deployTemplates"] = [_template_spec(t, ERR_UPDATE) for t in request["deploy_templates"]]
    try:
        refuse_invalid("AppImage", request["name"], _crd_errors(image["spec"]))
        await ctx.store.update("appimages", "", request["name"], image)
    except StoreError as err:
        raise ApiError(ERR_UPDATE, err.message) from err
    return {}


@endpoints.add("delete", m.DeleteAppImageRequest, m.DeleteAppImageResponse)
async def delete(ctx: Context, request: Dict) -> Dict:
    require(request["name"], "appimage name can not be empty")
    check_path(None, request["name"], ERR_DELETE)
    try:
        await ctx.store.delete("appimages", "", request["name"])
    except StoreError as err:
        raise ApiError(ERR_DELETE, err.message) from err
    return {}


async def _get(ctx: Context, name: str, code: int) -> Object:
    check_path(None, name, code)
    try:
        return await ctx.store.get("appimages", "", name)
    except StoreError as err:
        raise store_error(err, code, **CODES) from err


def _check_image(image: Dict | None) -> None:
    require(image and image["name"], "base image name can not be empty")


def _check_templates(templates: list[Dict]) -> None:
    require(templates, "deploy templates can not be empty")
    for template in templates:
        require(template["name"], "deploy template name can not be empty")
        require(template["containers"], "containers can not be empty")
        require(template["replicas"] >= 0, "replicas can not be less than 0")
        for container in template["containers"]:
            require(container["name"], "container name can not be empty")


def _quantity(value: str, what: str, shown: str, code: int) -> str:
    error = quantity_error(value)
    require(not error, f"can't parse {what} {shown} to resource quantity, {error}", code)
    return canonical_quantity(value)


def canonical_quantity(value: str) -> str:
    """Return a Kubernetes quantity in canonical form: 1000m -> 1, 0.5 -> 500m, 1024Mi -> 1Gi, 1e4 -> 10e3."""
    for power, prefix in enumerate("KMGTPE", 1):
        if value.endswith(prefix + "i"):
            number = Decimal(value[:-2]) * 1024**power
            if number == number.to_integral_value():
                return _scaled(int(number), 1024, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
            return canonical_quantity(format(number, "f"))
    suffix = value[-1] if value[-1] in _SUFFIXES else ""
    written = value.removesuffix(suffix)
    number = Decimal(written) * _SUFFIXES[suffix]
    with_exponent = "e" in written.lower()
    for power, small in ((0, ""), (-3, "m"), (-6, "u"), (-9, "n")):
        scaled = (number / _SUFFIXES[small]).to_integral_value(rounding="ROUND_UP")
        if scaled * _SUFFIXES[small] != number and small != "n":
            continue
        if small:
            return f"{int(scaled)}e{power}" if with_exponent else f"{int(scaled)}{small}"
        large = [f"e{3 * n}" for n in range(1, 7)] if with_exponent else list("kMGTPE")
        return _scaled(int(scaled), 1000, ["", *large])
    raise AssertionError(value)


def _scaled(number: int, base: int, suffixes: list[str]) -> str:
    index = 0
    while number and number % base == 0 and index + 1 < len(suffixes):
        number, index = number // base, index + 1
    return f"{number}{suffixes[index]}"


def _template_spec(template: Dict, code: int) -> Dict:
    return {
        "name": template["name"],
        "role": template["role"],
        "replicas": template["replicas"],
        "spec": {
            "restartPolicy": template["restart_policy"],
            "containers": [_container_spec(c, code) for c in template["containers"]],
        },
    }


def _container_spec(container: Dict, code: int) -> Dict:
    spec: Dict = {
        "name": container["name"],
        "command": container["command"],
        "args": container["args"],
        "workingDir": container["working_dir"],
        "configVolumeMounts": [
            {"mountPath": mount["mount_path"], "subPath": mount["sub_path"]}
            for mount in container["config_volume_mounts"]
        ],
        "ports": [
            {"name": p["name"], "protocol": p["protocol"] or "HTTP", "scope": p["scope"] or "Local"}
            for p in container["ports"]
        ],
        "env": [dict(env) for env in container["env"]],
        "envFrom": [_env_from_spec(source) for source in container["env_from"]],
        "imagePullPolicy": container["image_pull_policy"],
    }
    resources = _resources_spec(container["resources"], code)
    if resources:
        spec["resources"] = resources
    for probe, key in _PROBES.items():
        if container[probe]:
            spec[key] = _probe_spec(container[probe])
    return spec


def _resources_spec(resources: Dict | None, code: int) -> Dict:
    """Return Kubernetes limits and requests. Like Kuscia, name the CPU limit in every error.

    Raises:
        Panic: a request is invalid and limits are missing; Kuscia then dereferences nil.
    """
    spec: Dict = {}
    for kind, word in (("limits", "limit"), ("requests", "request")):
        given = (resources or {}).get(kind) or {}
        limits = (resources or {}).get("limits")
        if limits is None and any(quantity_error(given.get(item) or "0") for item in ("cpu", "memory")):
            raise Panic(NIL_POINTER)
        shown = (limits or {}).get("cpu", "")
        amounts = {
            item: _quantity(given[item], f"{word} {item}", shown, code) for item in ("cpu", "memory") if given.get(item)
        }
        if amounts:
            spec[kind] = amounts
    return spec


def _env_from_spec(source: Dict) -> Dict:
    spec: Dict = {"prefix": source["prefix"]}
    if source["config_map_ref"]:
        spec["configMapRef"] = {"name": source["config_map_ref"]["name"]}
    if source["secret_ref"]:
        spec["secretRef"] = {"name": source["secret_ref"]["name"]}
    return spec


_PROBES = {
    "liveness_probe": "livenessProbe",
    "readiness_probe": "readinessProbe",
    "startup_probe": "startupProbe",
}
_PROBE_TIMES = {
    "initial_delay_seconds": "initialDelaySeconds",
    "timeout_seconds": "timeoutSeconds",
    "period_seconds": "periodSeconds",
    "success_threshold": "successThreshold",
    "failure_threshold": "failureThreshold",
    "termination_grace_period_seconds": "terminationGracePeriodSeconds",
}


def _probe_spec(probe: Dict) -> Dict:
    spec: Dict = {key: probe[name] for name, key in _PROBE_TIMES.items() if probe[name]}
    if probe["exec"]:
        spec["exec"] = {"command": probe["exec"]["command"]}
    if probe["http_get"]:
        get = probe["http_get"]
        spec["httpGet"] = {
            **{field: get[field] for field in ("path", "port", "host", "scheme")},
            "httpHeaders": [dict(header) for header in get["http_headers"]],
        }
    if probe["tcp_socket"]:
        spec["tcpSocket"] = dict(probe["tcp_socket"])
    if probe["grpc"]:
        spec["grpc"] = dict(probe["grpc"])
    return spec


def _probe(spec: Dict | None) -> Dict | None:
    if spec is None:
        return None
    probe: Dict = {name: spec.get(key, 0) for name, key in _PROBE_TIMES.items()}
    get = spec.get("httpGet")
    return {
        **probe,
        "exec": spec.get("exec"),
        "http_get": get
        and {**{k: v for k, v in get.items() if k != "httpHeaders"}, "http_headers": get["httpHeaders"]},
        "tcp_socket": spec.get("tcpSocket"),
        "grpc": spec.get("grpc"),
    }


def _describe(image: Object) -> Dict:
    spec = image["spec"]
    return {
        "name": image["metadata"]["name"],
        "image": {key: spec["image"].get(key, "") for key in ("name", "tag", "id", "sign")},
        "config_templates": spec.get("configTemplates") or {},
        "deploy_templates": [
            {
                "name": template["name"],
                "role": template.get("role", ""),
                "replicas": template.get("replicas") or 0,
                "restart_policy": template["spec"].get("restartPolicy", ""),
                "containers": [_container(c) for c in template["spec"].get("containers", [])],
            }
            for template in spec.get("deployTemplates") or []
        ],
    }


def _container(spec: Dict) -> Dict:
    return {
        "name": spec["name"],
        "command": spec.get("command"),
        "args": spec.get("args"),
        "working_dir": spec.get("workingDir", ""),
        "config_volume_mounts": [
            {"mount_path": mount["mountPath"], "sub_path": mount.get("subPath", "")}
            for mount in spec.get("configVolumeMounts") or []
        ],
        "ports": [
            {"name": p["name"], "protocol": p.get("protocol", ""), "scope": p.get("scope", "")}
            for p in spec.get("ports") or []
        ],
        "env_from": [
            {
                "prefix": source.get("prefix", ""),
                "config_map_ref": source.get("configMapRef"),
                "secret_ref": source.get("secretRef"),
            }
            for source in spec.get("envFrom") or []
        ],
        "env": [{"name": e["name"], "value": e.get("value", "")} for e in spec.get("env") or []],
        "resources": spec.get("resources"),
        "liveness_probe": _probe(spec.get("livenessProbe")),
        "readiness_probe": _probe(spec.get("readinessProbe")),
        "startup_probe": _probe(spec.get("startupProbe")),
        "image_pull_policy": spec.get("imagePullPolicy", ""),
    }


def _crd_errors(spec: Dict) -> list[str]:
    errors = []
    for t, template in enumerate(spec["deployTemplates"]):
        for c, container in enumerate(template["spec"]["containers"]):
            for p, port in enumerate(container["ports"]):
                path = f"spec.deployTemplates[{t}].spec.containers[{c}].ports[{p}]"
                errors += one_of(f"{path}.protocol", port["protocol"], ("HTTP", "GRPC"))
                errors += one_of(f"{path}.scope", port["scope"], ("Cluster", "Domain", "Local"))
    return errors
