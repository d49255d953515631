"""An Ingress controller for tests: Debian's nginx, configured as ingress-nginx does.

ingress-nginx requires an nginx with Lua modules that are not packaged, and other controllers do not read its
annotations. So `nginx_conf` writes the configuration that the template of ingress-nginx
(rootfs/etc/nginx/template/nginx.tmpl) generates for an Ingress. Missing annotations have the defaults of ingress-nginx;
unsupported annotations are an error.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kuscia_hooks.kuscia import domain_key
from testbed.cluster.kubectl import Kubectl

NAME = "edge"
NODE_PORT = 31443
CLASS = "nginx"
MANIFEST = Path(__file__).parent / "manifests/nginx.yaml"
PREFIX = "nginx.ingress.kubernetes.io/"
# ingress-nginx's defaults: docs/user-guide/nginx-configuration/{annotations,configmap}.md
DEFAULTS = {
    "backend-protocol": "HTTP",
    "use-regex": "false",
    "rewrite-target": "",
    "proxy-http-version": "1.1",
    "proxy-body-size": "1m",
    "proxy-buffering": "off",
    "proxy-request-buffering": "on",
    "proxy-connect-timeout": "5",
    "proxy-read-timeout": "60",
    "proxy-send-timeout": "60",
    "enable-global-auth": "true",
    "ssl-redirect": "true",
}
Object = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """Settings of the controller for all Ingresses: its ConfigMap.

    Args:
        ignore_invalid_headers: `ignore-invalid-headers`.
        custom_http_errors: `custom-http-errors`: responses with these statuses are replaced by error pages.
        global_auth_signin: `global-auth-signin`, with a `global-auth-url` that rejects every user; "" for none.
    """

    ignore_invalid_headers: bool = True
    custom_http_errors: tuple[int, ...] = ()
    global_auth_signin: str = ""


@dataclass(frozen=True)
class Location:
    """One path of an Ingress and its backend (host:port)."""

    host: str
    path: str
    path_type: str
    upstream: str
    tls: bool
    options: Mapping[str, str] = field(default_factory=dict)


def options(ingress: Object) -> dict[str, str]:
    """Return the options of an Ingress: its annotations on top of the defaults.

    Raises:
        ValueError: an annotation is not supported.
    """
    annotations = ingress["metadata"].get("annotations") or {}
    given = {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"unsupported Ingress annotations: {', '.join(unknown)}")
    return DEFAULTS | given


def locations(ingress: Object, addresses: Mapping[str, str]) -> list[Location]:
    """Return the paths of an Ingress; none if it is of another class.

    Args:
        addresses: host:port of the backend port, by Service name.
    """
    spec = ingress["spec"]
    if spec.get("ingressClassName") != CLASS:
        return []
    secured = {host for entry in spec.get("tls") or [] for host in entry.get("hosts") or []}
    return [
        Location(
            rule.get("host", ""),
            path["path"],
            path["pathType"],
            addresses[path["backend"]["service"]["name"]],
            rule.get("host", "") in secured,
            options(ingress),
        )
        for rule in spec["rules"]
        for path in rule["http"]["paths"]
    ]


def nginx_conf(found: Iterable[Location], settings: Settings) -> str:
    """Return nginx.conf for paths."""
    by_host: dict[str, list[Location]] = {}
    for location in found:
        by_host.setdefault(location.host, []).append(location)
    upstreams = sorted({location.upstream for paths in by_host.values() for location in paths})
    return "\n".join(
        [
            _HEAD.format(ignore="on" if settings.ignore_invalid_headers else "off"),
            *(_upstream(address) for address in upstreams),
            *(_server(host, paths, settings) for host, paths in sorted(by_host.items())),
            "}",
            "",
        ]
    )


_HEAD = """\
pid /tmp/nginx.pid;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  access_log /dev/stdout;
  client_body_temp_path /tmp/client;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  client_header_timeout 60s;
  client_body_timeout 60s;
  client_header_buffer_size 1k;
  large_client_header_buffers 4 8k;
  underscores_in_headers off;
  ignore_invalid_headers {ignore};
  keepalive_timeout 75s;
  keepalive_requests 1000;
  server_names_hash_bucket_size 256;
  ssl_certificate /etc/edge-certificate/tls.crt;
  ssl_certificate_key /etc/edge-certificate/tls.key;
  ssl_protocols TLSv1.2 TLSv1.3;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    server_name _;
    listen 8080 default_server;
    listen 8443 default_server ssl http2;
    location /healthz {{ return 200; }}
    location / {{ return 404; }}
  }}"""


def _upstream(address: str) -> str:
    return f"""\
  upstream {_upstream_name(address)} {{
    server {address};
    keepalive 320;
    keepalive_timeout 60s;
    keepalive_requests 10000;
  }}"""


def _upstream_name(address: str) -> str:
    return "service-" + address.replace(".", "-").replace(":", "-")


def _server(host: str, paths: list[Location], settings: Settings) -> str:
    # A regular expression at one path makes all paths of a host regular expressions.
    regex = any(path.options["use-regex"] == "true" or path.options["rewrite-target"] for path in paths)
    blocks = [_location(path, regex, settings) for path in sorted(paths, key=lambda path: -len(path.path))]
    if settings.global_auth_signin:
        blocks.append("    location = /_external-auth { internal; return 401; }")
        blocks.append(f"    location @signin {{ return 302 {settings.global_auth_signin}; }}")
    for code in settings.custom_http_errors:
        blocks.append(f"    location @custom_{code} {{ internal; return {code}; }}")
    return "\n".join(
        [
            "  server {",
            f"    server_name {host or '~.*'};",
            "    listen 8080;",
            "    listen 8443 ssl http2;",
            *blocks,
            "  }",
        ]
    )


def _location(path: Location, regex: bool, settings: Settings) -> str:
    chosen = path.options
    scheme = chosen["backend-protocol"].lower()
    lines = [f'location ~* "^{path.path}" {{'] if regex else [f"location {path.path} {{"]
    if path.path_type == "Exact":
        lines = [f"location = {path.path} {{"]
    if path.tls and chosen["ssl-redirect"] == "true":
        lines.append("if ($scheme = http) { return 308 https://$host$request_uri; }")
    if settings.global_auth_signin and chosen["enable-global-auth"] == "true":
        lines += ["auth_request /_external-auth;", "error_page 401 = @signin;"]
    if settings.custom_http_errors:
        lines.append("proxy_intercept_errors on;")
        lines += [f"error_page {code} = @custom_{code};" for code in settings.custom_http_errors]
    lines += [
        f"client_max_body_size {chosen['proxy-body-size']};",
        "proxy_set_header Host $http_host;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_upgrade;",
        "proxy_set_header X-Request-ID $request_id;",
        "proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Forwarded-Host $http_host;",
        "proxy_set_header X-Forwarded-Port $server_port;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_set_header X-Forwarded-Scheme $scheme;",
        "proxy_set_header X-Scheme $scheme;",
        'proxy_set_header Proxy "";',
        f"proxy_connect_timeout {chosen['proxy-connect-timeout']}s;",
        f"proxy_send_timeout {chosen['proxy-send-timeout']}s;",
        f"proxy_read_timeout {chosen['proxy-read-timeout']}s;",
        f"proxy_buffering {chosen['proxy-buffering']};",
        f"proxy_request_buffering {chosen['proxy-request-buffering']};",
        f"proxy_http_version {chosen['proxy-http-version']};",
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream_tries 3;",
        "proxy_redirect off;",
    ]
    if chosen["rewrite-target"]:
        lines.append(f'rewrite "(?i){path.path}" {chosen["rewrite-target"]} break;')
    lines += [f"proxy_pass {scheme}://{_upstream_name(path.upstream)};", "}"]
    return "\n".join(f"    {line}" if line in (lines[0], "}") else f"      {line}" for line in lines)


def _change(ingress: Object, mistakes: Mapping[str, str | None]) -> None:
    annotations = ingress["metadata"].setdefault("annotations", {})
    for key, value in mistakes.items():
        if value is None:
            annotations.pop(PREFIX + key, None)
        else:
            annotations[PREFIX + key] = value


class Controller:
    """nginx in one cluster, on NODE_PORT of its node.

    Args:
        namespace: a separate one; `remove` deletes it.
        image: complete reference.
        inside: be reachable inside of the cluster only. Several of these can run in a cluster.
    """

    def __init__(self, kubectl: Kubectl, namespace: str, image: str, inside: bool = False) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._image = image
        self._inside = inside

    def serve(
        self, namespaces: Iterable[str], settings: Settings, mistakes: Mapping[str, str | None] | None = None
    ) -> None:
        """Serve the present Ingresses of namespaces with these settings.

        Args:
            mistakes: values that replace those of annotations (without PREFIX); None removes the annotation.

        Raises:
            ValueError: an annotation is not supported.
            CommandError: nginx does not start.
        """
        found: list[Location] = []
        for namespace in namespaces:
            for ingress in self._kubectl.get("ingresses", "-n", namespace)["items"]:
                _change(ingress, mistakes or {})
                found += locations(ingress, self._addresses(namespace, ingress))
        text = nginx_conf(found, settings)
        self._kubectl.ensure_namespace(self._namespace)
        self._kubectl.apply(self._objects(text))
        rollout = ("rollout", "status", f"deployment/{NAME}", "-n", self._namespace, "--timeout=100s")
        self._kubectl.run(*rollout, timeout=120)

    def remove(self) -> None:
        self._kubectl.run("delete", "namespace", self._namespace, "--ignore-not-found", "--wait", timeout=300)

    def log(self) -> str:
        return self._kubectl.run("logs", f"deployment/{NAME}", "-n", self._namespace)

    def _addresses(self, namespace: str, ingress: Object) -> dict[str, str]:
        found = {}
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = self._kubectl.get("service", backend["name"], "-n", namespace)["spec"]
                port = next(port["port"] for port in service["ports"] if port["name"] == backend["port"]["name"])
                found[backend["name"]] = f"{service['clusterIP']}:{port}"
        return found

    def _objects(self, text: str) -> str:
        documents: list[Object] = list(yaml.safe_load_all(MANIFEST.read_text()))
        template = documents[0]["spec"]["template"]
        template["metadata"]["annotations"]["checksum"] = hashlib.sha256(text.encode()).hexdigest()[:12]
        template["spec"]["containers"][0]["image"] = self._image
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"nginx.conf": text}}
        documents = [config, *self._certificate(), *documents]
        for document in documents:
            document["metadata"]["namespace"] = self._namespace
            if self._inside and document["kind"] == "Service":
                document["spec"]["type"] = "ClusterIP"
                del document["spec"]["ports"][0]["nodePort"]
        return "\n---\n".join(map(json.dumps, documents))

    def _certificate(self) -> list[Object]:
        """Create the default certificate, for clients without SNI, once."""
        if self._kubectl.exists("secret", NAME, "-n", self._namespace):
            return []
        key = domain_key.new_key()
        certificate = domain_key.ca_certificate(domain_key.load_key(key), "edge-default")
        data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
        return [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "data": data}]
