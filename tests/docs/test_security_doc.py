"""The table of permissions in docs/security.md equals the Roles of the chart."""

import re

import pytest

from tests.chart.render import ROOT, Object, render

PAGES = ["security.md", "security.zh-CN.md"]
NAMESPACE = "ns"
DATABASE = {
    "type": "mysql",
    "host": "mysql.example.com",
    "database": "kuscia",
    "user": "kuscia",
    "existingSecret": "db",
}
# What the page calls the objects, in both languages.
NAMES = {
    "kuscia-master-domain-key": ("domain key", "节点密钥"),
    "kuscia-lite-alice-domain-key": ("domain key", "节点密钥"),
    "kuscia-master-domain-cert": ("certificate", "证书"),
    "kuscia-lite-alice-domain-cert": ("certificate", "证书"),
    "db": ("database password", "数据库密码"),
    "alice-oss": ("object store keys", "对象存储密钥"),
    "kuscia-deploy-token-alice": ("deploy tokens", "部署 Token"),
    "kuscia-master-ledger": ("ledger", "账本"),
    "kuscia-lite-alice-ledger": ("ledger", "账本"),
    "kuscia-master-config": ("configuration", "配置"),
    "kuscia-lite-alice-config": ("configuration", "配置"),
    "kuscia-master": ("Service of the release", "该 release 的 Service"),
    "kuscia-lite-alice": ("Service of the release", "该 release 的 Service"),
    "secrets": ("Secrets", "Secret"),
    "configmaps": ("ConfigMaps", "ConfigMap"),
    "pods": ("pods", "Pod"),
    "events": ("events", "事件"),
    "jobs": ("Jobs", "Job"),
    "pods/log": ("pod logs", "Pod 日志"),
}
NONE = "–"
Cells = tuple[str, ...]


def roles() -> dict[str, list[Object]]:
    """Return the rules in the namespace of the release for each ServiceAccount."""
    objects = render(
        {"master": {"datastore": DATABASE}}, "master-and-alice", "object-store", "alice-tables", "alice-engines-apart",
        namespace=NAMESPACE,
    )  # fmt: skip
    rules = {
        item["metadata"]["name"]: item["rules"]
        for item in objects
        if item["kind"] == "Role" and item["metadata"].get("namespace", NAMESPACE) == NAMESPACE
    }
    found: dict[str, list[Object]] = {}
    for binding in (item for item in objects if item["kind"] == "RoleBinding"):
        name, (subject,) = binding["roleRef"]["name"], binding["subjects"]
        # The Role of the reader of a deploy token, and those of the engine namespace, are described below the table.
        if "-token-" not in name and binding["metadata"].get("namespace", NAMESPACE) == NAMESPACE:
            found.setdefault(subject["name"], []).extend(rules[name])
    return found


def by_name(rules: list[Object], resource: str, language: int) -> str:
    groups: dict[str, list[str]] = {}
    for rule in rules:
        if rule["resources"] == [resource] and "resourceNames" in rule:
            verbs = ", ".join(rule["verbs"]) if language == 0 else "、".join(rule["verbs"])
            groups.setdefault(verbs, []).extend(NAMES[name][language] for name in rule["resourceNames"])
    return joined(groups, language)


def joined(groups: dict[str, list[str]], language: int) -> str:
    comma, colon, semicolon = ((", ", ": ", "; "), ("、", "：", "；"))[language]
    return (
        semicolon.join(f"{verbs}{colon}{comma.join(dict.fromkeys(names))}" for verbs, names in groups.items()) or NONE
    )


def expected(rules: list[Object], language: int) -> Cells:
    create = [NAMES[name][language] for rule in rules if rule["verbs"] == ["create"] for name in rule["resources"]]
    create = sorted(set(create), key=lambda name: not name.startswith("Secret"))
    others: dict[str, list[str]] = {}
    for rule in sorted(rules, key=lambda rule: rule["verbs"] != ["list"]):
        if not {*rule["resources"]} & {"secrets", "configmaps"}:
            (verb,) = rule["verbs"]
            names = rule.get("resourceNames") or rule["resources"]
            others.setdefault(verb, []).extend(NAMES[name][language] for name in names)
    return (
        by_name(rules, "secrets", language),
        (", " if language == 0 else "、").join(create) or NONE,
        by_name(rules, "configmaps", language),
        joined(others, language),
    )


def documented(page: str) -> dict[str, Cells]:
    text = (ROOT / "docs" / page).read_text()
    table = text.split("<!-- roles:")[1].split("<!-- end of roles -->")[0]
    rows = re.findall(r"^\| (?:master|lite) \| `([^`]+)` \| (.*) \|$", table, re.MULTILINE)
    return {account: tuple(cells.split(" | ")) for account, cells in rows}


@pytest.mark.parametrize("language", range(len(PAGES)))
def test_table_equals_the_roles(language: int) -> None:
    assert documented(PAGES[language]) == {account: expected(rules, language) for account, rules in roles().items()}
