import socket

import pytest

from kuscia_hooks.core import hosts
from tests.hooks.fakes.dns import FakeDns


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("db.example.com", "db.example.com."),
        ("db.example.com.", "db.example.com."),
        ("mysql.ns", "mysql.ns."),
        ("mysql", "mysql."),
        ("localhost", "localhost"),
        ("alias", "alias"),
        ("ALIAS.example.com", "ALIAS.example.com"),
        ("other.example.com", "other.example.com."),
        ("10.0.0.1", "10.0.0.1"),
        ("127.1", "127.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", ""),
    ],
)
def test_asks_for_absolute_names_outside_the_hosts_file(dns: FakeDns, host: str, asked: str) -> None:
    """The C library does not find a name with a trailing dot in /etc/hosts."""
    assert hosts.absolute(host) == asked


def test_real_resolver_applies_no_search_list() -> None:
    with pytest.raises(socket.gaierror):
        hosts.connect("kuscia-test.invalid", 1, 1)


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("mysql.ns", "mysql.ns.svc.cluster.local"),
        ("mysql", "mysql.ns.svc.cluster.local"),
        ("mysql.ns.svc", "mysql.ns.svc.cluster.local"),
        ("deep.name.in.corp", "deep.name.in.corp.example.com"),
    ],
)
def test_names_the_full_name_that_the_search_list_makes(dns: FakeDns, host: str, full: str) -> None:
    dns.zone[f"{full}."] = "10.0.0.7"
    dns.search("ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com.")
    seen, fix = hosts.unresolved(host, dns.failure)
    assert host in seen
    assert fix.endswith(f" {full}")


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("mysql.ns", "mysql.ns.svc.cluster.local"),
        ("mysql", "mysql.<namespace>.svc.cluster.local"),
        ("db.example.com", ""),
    ],
)
def test_proposes_the_name_of_a_service_for_a_short_name(dns: FakeDns, host: str, named: str) -> None:
    dns.search("ns.svc.cluster.local")
    _, fix = hosts.unresolved(host, dns.failure)
    assert fix.endswith(named)
    assert bool(fix) == bool(named)


def test_proposes_the_domain_of_this_cluster(dns: FakeDns) -> None:
    dns.search("ns.svc.k8s.example.com", "svc.k8s.example.com", "k8s.example.com")
    assert hosts.unresolved("mysql.ns", dns.failure)[1].endswith(" mysql.ns.svc.k8s.example.com")


def test_does_not_blame_the_name_while_the_dns_is_down(dns: FakeDns) -> None:
    dns.search("svc.cluster.local")
    seen, fix = hosts.unresolved("mysql.ns", socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    assert "did not answer" in seen
    assert fix == ""
    assert dns.asked == []


def test_last_search_line_counts(dns: FakeDns) -> None:
    dns.zone["a.second."] = "10.0.0.7"
    hosts.RESOLV_CONF.write_text("search first\nsearch second .\n")
    assert hosts.unresolved("a", dns.failure)[1].endswith(" a.second")


def test_works_without_the_files(dns: FakeDns) -> None:
    hosts.HOSTS.unlink()
    hosts.RESOLV_CONF.unlink()
    assert hosts.absolute("localhost") == "localhost"
    assert hosts.unresolved("mysql.ns", dns.failure)[1]
