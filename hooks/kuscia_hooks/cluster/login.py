"""Address and credentials of an API server: those of a pod's ServiceAccount, or of a kubeconfig."""

import base64
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuscia_hooks.core import tls
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.text import printable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FIX = "run this in a pod, or set KUBECONFIG to a kubeconfig with a token or a client certificate"


@dataclass(frozen=True)
class Login:
    """An API server and how to log in.

    Args:
        server: URL.
        tls: settings for https.
        token: returns the bearer token; a pod's token is replaced while the pod runs.
        server_name: name in the server's certificate, if it is not the host of the URL.
    """

    server: str
    tls: ssl.SSLContext
    token: Callable[[], str | None] = field(default=lambda: None, repr=False)
    server_name: str | None = None


def default_login() -> Login:
    """Return the login of the pod's ServiceAccount, or else that of the current kubeconfig.

    Raises:
        PermanentError: `invalid-cluster-login`.
    """
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").exists():
        return _service_account(os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"])
    try:
        return _of_files()
    except (ValueError, OSError) as error:
        raise PermanentError(
            "invalid-cluster-login",
            f"no ServiceAccount token and no usable kubeconfig found: {printable(error)}",
            fix=_FIX,
        ) from error


def _service_account(host: str, port: str) -> Login:
    if ":" in host:
        host = f"[{host}]"
    context = tls.trusting((SERVICE_ACCOUNT / "ca.crt").read_text())
    return Login(f"https://{host}:{port}", context, lambda: (SERVICE_ACCOUNT / "token").read_text().strip())


def _of_files() -> Login:
    """Return the login of the files that KUBECONFIG names; entries of earlier files win, as with kubectl."""
    import yaml

    merged: dict[str, Any] = {}
    names = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
    for path in (Path(name) for name in names.split(os.pathsep) if name):
        if not path.exists():
            continue
        try:
            found = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML") from error
        if not isinstance(found, dict):
            raise ValueError(f"{path} is not a kubeconfig")
        merged.setdefault("current-context", found.get("current-context"))
        for kind in ("clusters", "contexts", "users"):
            for entry in found.get(kind) or []:
                merged.setdefault(kind, []).append({**entry, "directory": path.parent})
    return login_of(merged)


def login_of(kubeconfig: dict[str, Any]) -> Login:
    """Return the login of the current context of a kubeconfig.

    Raises:
        ValueError: it has no current context, refers to entries or files that do not exist, or to a program.
    """
    context = _entry(kubeconfig, "context", kubeconfig.get("current-context"))
    cluster = _entry(kubeconfig, "cluster", context.get("cluster"))
    user = _entry(kubeconfig, "user", context["user"]) if context.get("user") else {}
    for name in ("exec", "auth-provider"):
        if user.get(name):
            raise ValueError(f"user {context['user']} logs in with {name}, which is not supported here")
    try:
        if cluster.get("insecure-skip-tls-verify"):
            settings = tls.unverified()
        else:
            authority = _content(cluster, "certificate-authority")
            settings = tls.trusting(authority.decode(errors="replace") if authority else None)
        certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
        if certificate and key:
            tls.load_client_certificate(settings, certificate, key)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"the certificates cannot be used: {error}") from error
    server = str(cluster.get("server") or "").rstrip("/")
    if not re.match(r"https?://[^/\s]+", server):
        raise ValueError(f"cluster {context['cluster']} has no valid server")
    token_file = user.get("tokenFile")
    path = Path(user.get("directory", ".")) / token_file if token_file else None
    return Login(
        server,
        settings,
        lambda: user.get("token") or (path.read_text().strip() if path else None),
        cluster.get("tls-server-name"),
    )


def _entry(kubeconfig: dict[str, Any], kind: str, name: Any) -> dict[str, Any]:
    """Return the cluster, context or user of a name."""
    for entry in kubeconfig.get(f"{kind}s") or []:
        if isinstance(entry, dict) and entry.get("name") == name:
            return {"directory": entry.get("directory", Path()), **(entry.get(kind) or {})}
    raise ValueError(f"{kind} {name} not found in the kubeconfig")


def _content(entry: dict[str, Any], name: str) -> bytes | None:
    """Return a value that a kubeconfig contains, or the content of the file that it names."""
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"])
    return (Path(entry["directory"]) / entry[name]).read_bytes() if entry.get(name) else None
