"""Fixes for errors that the steps report, as commands and values for one release.

A step knows its own configuration only. The fixes here also have the names of the release and of its master; an error
without one keeps the fix of the step.
"""

from collections.abc import Mapping

from kuscia_hooks.inspect.known.commands import (
    CREATE_DATABASE,
    CURL,
    DATABASE_ENDPOINTS,
    DATABASE_LOGIN,
    FIND_GATEWAY,
    FIREWALL,
    MORE_CONNECTIONS,
    PEER,
    PREVIOUS_STATE,
    REKEY,
    ROLE,
)

FIXES: Mapping[str, str] = {
    "wrong-scheme": "set {endpoint_value}: {swapped}, then {upgrade}",
    "not-a-gateway": CURL,
    "host-not-found": FIND_GATEWAY,
    "master-down": PEER,
    "master-unavailable": PEER,
    "master-busy": PEER,
    "master-error": PEER,
    "master-access-denied": CURL,
    "proxy-limits-requests": CURL,
    "gateway-of-another-domain": FIND_GATEWAY,
    "master-unreachable": FIREWALL,
    "unknown-domain": "set master.domains.{domain}.endpoint: {gateway}, then {master_upgrade}",
    "deploy-token-mismatch": REKEY,
    "deploy-token-pending": PEER,
    "certificate-mismatch": (
        "kubectl get configmap {fullname}-domain-cert -n {namespace} -o jsonpath='{{.data.domain\\.crt}}'   # set the "
        "output as master.domains.{domain}.cert in the master release, with allowRekey: true"
    ),
    "runk-forbidden": ROLE,
    "dns-service-recreated": "{restart}",
    "database-login": DATABASE_LOGIN,
    "database-not-found": CREATE_DATABASE,
    "database-unreachable": DATABASE_ENDPOINTS,
    "too-many-connections": MORE_CONNECTIONS,
    "state-of-another-domain": PREVIOUS_STATE,
    "kusciaapi-token-rejected": "{restart}",
    "kusciaapi-certificate-mismatch": "{restart}",
    "kusciaapi-unreachable": "kubectl get networkpolicies,pods -n {namespace}",
}
