"""global.kuscia.caBundle and global.kuscia.proxy: which containers get them."""

from typing import Any

import pytest

from tests.chart.render import Object, pod_template, render

MOUNT = "/etc/kuscia-ca"
CA = {"configMap": "site-ca"}
PROXY = {"httpProxy": "http://plain:3128", "httpsProxy": "http://secure:3128", "noProxy": "10.0.0.0/8,.example.com"}
STEPS = {"keys", "prepare", "seed", "register", "routes", "reconcile", "data", "check", "doctor"}


def pods(*presets: str, values: Object | None = None, **settings: Any) -> list[Object]:
    """Return the pod specs of a release with these values of global.kuscia."""
    files = render({"global": {"kuscia": settings}, **(values or {})}, *presets)
    return [pod["spec"] for item in files if (pod := pod_template(item))]


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def env(container: Object) -> dict[str, Any]:
    """Return the variables of a container; no name occurs twice."""
    given = container.get("env", [])
    found = {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in given}
    assert len(found) == len(given), container["name"]
    return found


# The hook `keys` sends no request to a proxy, and a Secret can arrive after it.
PROXIED = STEPS - {"keys"}
# Together they have every pod of the chart.
RELEASES = [("master-and-alice",), ("alice", "alice-tables", "runp"), ("master", "master-mysql", "rootless")]


def test_releases_have_every_step() -> None:
    seen = {one["name"] for presets in RELEASES for pod in pods(*presets) for one in containers(pod)}
    assert seen == STEPS | {"master", "lite"}


@pytest.mark.parametrize("presets", RELEASES, ids="-".join)
def test_every_container_has_the_ca_bundle(presets: tuple[str, ...]) -> None:
    for pod in pods(*presets, caBundle=CA):
        volume = next(one for one in pod["volumes"] if one["name"] == "ca-bundle")
        items = [{"key": "ca.crt", "path": "site-ca/ca.crt"}]
        assert volume["configMap"] == {"name": "site-ca", "optional": True, "items": items}
        for container in containers(pod):
            mounts = [mount for mount in container["volumeMounts"] if mount["name"] == "ca-bundle"]
            assert mounts == [{"name": "ca-bundle", "mountPath": MOUNT, "readOnly": True}], container["name"]
            if container["name"] in STEPS:
                assert env(container)["KUSCIA_HOOKS_CA_BUNDLE"] == f"{MOUNT}/site-ca/ca.crt"
            else:
                assert env(container)["SSL_CERT_DIR"] == f"/etc/ssl/certs:/etc/pki/tls/certs:{MOUNT}/site-ca"


@pytest.mark.parametrize("presets", RELEASES, ids="-".join)
def test_only_steps_have_the_proxy(presets: tuple[str, ...]) -> None:
    for pod in pods(*presets, proxy=PROXY):
        for container in containers(pod):
            found = {name: value for name, value in env(container).items() if name.endswith("_PROXY")}
            wanted = dict(zip(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), PROXY.values(), strict=True))
            assert found == (wanted if container["name"] in PROXIED else {}), container["name"]


def test_default_has_neither() -> None:
    for pod in pods("master-and-alice"):
        assert "ca-bundle" not in [volume["name"] for volume in pod["volumes"]]
        for container in containers(pod):
            assert not {"KUSCIA_HOOKS_CA_BUNDLE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY"} & env(container).keys()


def test_bundle_has_the_key_that_the_values_name() -> None:
    for pod in pods("alice", caBundle={"secret": "site-ca", "key": "9.pem"}):
        volume = next(one for one in pod["volumes"] if one["name"] == "ca-bundle")
        items = [{"key": "9.pem", "path": "site-ca/9.pem"}]
        assert volume["secret"] == {"secretName": "site-ca", "optional": True, "items": items}


def test_proxy_with_a_password_comes_from_a_secret() -> None:
    for pod in pods("alice", proxy={"existingSecret": "site-proxy", "noProxy": ".example.com"}):
        for container in containers(pod):
            if container["name"] in PROXIED:
                found = env(container)
                for name, key in (("HTTP_PROXY", "httpProxy"), ("HTTPS_PROXY", "httpsProxy")):
                    assert found[name] == {"secretKeyRef": {"name": "site-proxy", "key": key}}
                assert found["NO_PROXY"] == ".example.com"


def test_extra_variables_replace_those_of_the_chart() -> None:
    """The API server rejects a name that occurs twice in a server-side apply."""
    own = [{"name": "HTTPS_PROXY", "value": "http://mine:1"}, {"name": "A", "value": "b"}]
    values = {"lite": {"jobs": {"extraEnv": own}, "extraEnv": [{"name": "SSL_CERT_DIR", "value": "/mine"}]}}
    for pod in pods("alice", values=values, proxy=PROXY, caBundle=CA):
        for container in containers(pod):
            found = env(container)
            if container["name"] in PROXIED:
                assert (found["HTTPS_PROXY"], found["HTTP_PROXY"], found["A"]) == (
                    "http://mine:1",
                    "http://plain:3128",
                    "b",
                )
            elif container["name"] not in STEPS:
                assert found["SSL_CERT_DIR"] == "/mine"


def test_permissions_do_not_change() -> None:
    """A volume needs no permission of the ServiceAccounts."""
    roles = ("Role", "ClusterRole")
    settings = {"global": {"kuscia": {"caBundle": CA, "proxy": PROXY}}}
    with_both, without = (render(values, "master-and-alice") for values in (settings, {}))
    assert [one for one in with_both if one["kind"] in roles] == [one for one in without if one["kind"] in roles]


def test_configuration_does_not_change() -> None:
    """Another proxy restarts no Kuscia."""
    before, after = (
        [
            pod["metadata"]
            for item in render(values, "master-and-alice")
            if item["kind"] == "Deployment" and (pod := pod_template(item))
        ]
        for values in ({}, {"global": {"kuscia": {"proxy": PROXY}}})
    )
    assert before == after
