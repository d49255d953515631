"""Names and labels that the API server or its client rejects, with values that were not recorded."""

from typing import Any

import pytest

from kuscia_sim_testing.inprocess import ALICE, Cluster
from kuscia_sim_testing.samples import table

NO_NAMESPACE = """invalid namespace "a/b": [may not contain '/']"""


NO_NAME = """invalid resource name "a/b": [may not contain '/']"""


LABEL = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


async def test_api_server_rejects_names_that_match_regex(cluster: Cluster) -> None:
    code, text = await cluster.refused("master", "domain/create", {"domain_id": "a..b"})
    assert code == 11300
    assert text.startswith('Domain.kuscia.secretflow "a..b" is invalid: metadata.name: Invalid value: "a..b": ')
    code, text = await cluster.refused("master", "domain/query", {"domain_id": "a/b"})
    assert (code, text) == (11301, """invalid resource name "a/b": [may not contain '/']""")


@pytest.mark.parametrize(
    ("node", "path", "body", "code", "text"),
    [
        ("master", "log/node/query", {}, 13201, "resource name may not be empty"),
        (ALICE, "log/node/query", {"task_id": "a/b"}, 13201, NO_NAME),
        (ALICE, "log/task/query", {}, 13200,
         "failed to get pod node from master, err: resource name may not be empty"),
        ("master", "job/query", {"job_id": "a/b"}, 11202, NO_NAME),
        ("master", "job/status/batchQuery", {"job_ids": ["a/b"]}, 11203, NO_NAME),
        ("master", "job/delete", {"job_id": "a/b%"}, 11204,
         """invalid resource name "a/b%": [may not contain '/' may not contain '%']"""),
        ("master", "job/stop", {"job_id": ".."}, 11205, """invalid resource name "..": [may not be '..']"""),
        ("master", "domain/create", {"domain_id": "x", "master_domain_id": "a/b"}, 11100,
         f"check master domain id failed with err {NO_NAME}"),
        ("master", "domain/update", {"domain_id": "bob", "master_domain_id": "a/b"}, 11100,
         f"check master domain id failed with err {NO_NAME}"),
        (ALICE, "domaindata/create", table(datasource_id="a/b"), 11802, NO_NAME),
        ("master", "domaindata/list", {"data": {"domain_id": "a/b"}}, 11503, NO_NAMESPACE),
        ("master", "domaindatagrant/list", {"data": {"domain_id": "a/b"}}, 11503, NO_NAMESPACE),
        ("master", "domaindatasource/list", {"domain_id": "a/b"}, 11808, NO_NAMESPACE),
    ],
)  # fmt: skip
async def test_client_rejects_names(cluster: Cluster, node: str, path: str, body: Any, code: int, text: str) -> None:
    assert await cluster.refused(node, path, body) == (code, text)


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("domaindatasource/query", {"datasource_id": "a/b"}, 12302, NO_NAME),
        ("domaindata/query", {"domaindata_id": "a/b"}, 12201, NO_NAME),
        ("domaindata/update", {"domaindata_id": "a/b"}, 12202, NO_NAME),
        ("domaindata/delete", {"domaindata_id": "a/b"}, 12205, NO_NAME),
        ("domaindata/create", {"datasource_id": "a/b", "type": "t", "relative_uri": "u"}, 12306,
         f"query DataSource a/b of DomainData fail: {NO_NAME}"),
        ("domaindatagrant/query", {"domaindatagrant_id": "a/b"}, 12402, NO_NAME),
        ("domaindatagrant/delete", {"domaindatagrant_id": "a/b"}, 12403,
         f"Delete domainDataGrantId:a/b failed, detail:{NO_NAME}"),
    ],
)  # fmt: skip
async def test_datamesh_client_rejects_names(cluster: Cluster, path: str, body: Any, code: int, text: str) -> None:
    assert await cluster.refused("mesh", f"datamesh/{path}", body) == (code, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bad vendor!", "found 'vendor', expected: ',' or 'end of string'"),
        ("a!=b", "found '!', expected: ',' or 'end of string'"),
        ("a>b", "found '>', expected: ',' or 'end of string'"),
        ("(a)", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '!', expected: identifier"),
        ("a,b", f'unable to parse requirement: values[0][{{}}]: Invalid value: "a\\\\": {LABEL}'),
        ("a\\b", f'unable to parse requirement: values[0][{{}}]: Invalid value: "a\\\\\\\\b": {LABEL}'),
        ("-a b", f'unable to parse requirement: values[0][{{}}]: Invalid value: "-a": {LABEL}'),
        ("中文", f'unable to parse requirement: values[0][{{}}]: Invalid value: "中文": {LABEL}'),
        ("x" * 64, f'unable to parse requirement: values[0][{{}}]: Invalid value: "{"x" * 64}": '
                   "must be no more than 63 characters"),
    ],
)  # fmt: skip
async def test_rejects_filters_that_are_not_label_values(cluster: Cluster, value: str, text: str) -> None:
    """Texts of apimachinery's parser."""
    for path, field, label in (
        ("domaindata/list", "domaindata_type", "domaindata-type"),
        ("domaindata/list", "domaindata_vendor", "domaindata-vendor"),
        ("domaindatagrant/list", "grant_domain", "domaindatagrant-domain"),
    ):
        told = (11503, text.format(f"kuscia.secretflow/{label}"))
        assert await cluster.refused(ALICE, path, {"data": {"domain_id": ALICE, field: value}}) == told


async def test_trims_filters(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table(vendor="in"))
    found = await cluster.ok(ALICE, "domaindata/list", {"data": {"domain_id": ALICE, "domaindata_vendor": " in "}})
    assert [item["domaindata_id"] for item in found["domaindata_list"]] == ["t"]


async def test_filters_lists(cluster: Cluster) -> None:
    for number, kind in enumerate(("table", "model", "table")):
        await cluster.ok(ALICE, "domaindata/create", table(domaindata_id=f"t{number}", type=kind, vendor=f"v{number}"))
    for wanted, names in (({"domaindata_type": "table"}, ["t0", "t2"]), ({"domaindata_vendor": "v1"}, ["t1"])):
        found = await cluster.ok(ALICE, "domaindata/list", {"data": {"domain_id": ALICE, **wanted}})
        assert [item["domaindata_id"] for item in found["domaindata_list"]] == names
