"""What the Ingress controller of the tests makes of values/ingress-nginx.yaml."""

import pytest

from testbed.servers.ingress import PREFIX, Location, Settings, locations, nginx_conf, options
from tests.chart.render import Object, Scenario

ADDRESSES = {"kuscia-master": "10.0.0.1:1080", "kuscia-lite-alice": "10.0.0.2:1080"}


def ingress(*presets: str) -> Object:
    """The Ingress of a release that is made of these presets."""
    found = [item for item in Scenario("ingress", presets).objects if item["kind"] == "Ingress"]
    assert len(found) == 1
    return found[0]


def conf(*ingresses: Object, settings: Settings | None = None) -> str:
    found: list[Location] = []
    for one in ingresses:
        found += locations(one, ADDRESSES)
    return nginx_conf(found, settings or Settings())


def test_preset_meets_the_requirements_of_kuscia() -> None:
    """Kuscia facts 12.6, gateway requirements."""
    text = conf(ingress("master", "ingress-nginx"), ingress("alice", "ingress-nginx"))
    for line in (
        "server_name kuscia.example.com;",
        'location ~* "^/master(/|$)(.*)" {',
        'rewrite "(?i)/master(/|$)(.*)" /$2 break;',
        "proxy_pass https://service-10-0-0-1-1080;",
        "server 10.0.0.1:1080;",
        'location ~* "^/lite(/|$)(.*)" {',
        "proxy_pass https://service-10-0-0-2-1080;",
        "proxy_http_version 1.1;",
        "client_max_body_size 0;",
        "proxy_buffering off;",
        "proxy_request_buffering off;",
        "proxy_read_timeout 1800s;",
        "proxy_send_timeout 1800s;",
        "return 308 https://$host$request_uri;",
    ):
        assert line in text, line
    assert text.count("server_name kuscia.example.com;") == 1
    assert "auth_request" not in conf(
        ingress("master", "ingress-nginx"), settings=Settings(global_auth_signin="https://login.example.com")
    )


def test_uses_http_for_a_gateway_without_tls() -> None:
    assert "proxy_pass http://service-10-0-0-1-1080;" in conf(ingress("master", "ingress-nginx", "notls"))


def test_defaults_are_those_of_ingress_nginx() -> None:
    bare = ingress("master", "ingress-nginx")
    bare["metadata"]["annotations"] = {}
    text = conf(bare, settings=Settings(custom_http_errors=(401,), global_auth_signin="https://login.example.com"))
    for line in (
        "proxy_pass http://service-10-0-0-1-1080;",
        "client_max_body_size 1m;",
        "proxy_request_buffering on;",
        "proxy_read_timeout 60s;",
        "auth_request /_external-auth;",
        "error_page 401 = @custom_401;",
        "ignore_invalid_headers on;",
    ):
        assert line in text, line
    assert "rewrite" not in text


def test_rejects_unknown_annotation() -> None:
    one = ingress("master", "ingress-nginx")
    one["metadata"]["annotations"][PREFIX + "server-snippet"] = "x"
    with pytest.raises(ValueError, match="server-snippet"):
        options(one)


def test_ignores_ingresses_of_another_class() -> None:
    one = ingress("master", "ingress-nginx")
    one["spec"]["ingressClassName"] = "other"
    assert locations(one, ADDRESSES) == []
