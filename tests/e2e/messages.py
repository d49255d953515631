"""What the chart and the steps print, by stable ID and facts. No other module of these tests contains their prose."""

import re
from dataclasses import dataclass

from tests.e2e.variants import Variant
from tests.e2e.waiting import eventually

_CHART_ERROR = re.compile(r"^ *\d+\. \[([a-z0-9-]+)\] (\S+)$", re.MULTILINE)
_CHART_WARNING = re.compile(r"^WARNING \[([a-z0-9-]+)\] (\S+): ", re.MULTILINE)
_CHECK = re.compile(r"^(PASS|FAIL) ([^:\n]+)(.*(?:\n(?!PASS|FAIL).*)*)", re.MULTILINE)
_ACTION = re.compile(r"\b(create|update|recreate|delete) [A-Z]\w+ (\S+)")
_COUNT = re.compile(r"\b(created|updated|deleted|unchanged|failed|printed|lost)=(\d+)")


@dataclass(frozen=True)
class Message:
    """One message of the steps.

    Args:
        id: its stable ID (docs/errors.md).
        words: part of its text; used until the steps print IDs.
    """

    id: str
    words: str

    def printed_in(self, text: str, *facts: str) -> bool:
        """Return whether the message is in a text, and all facts (names, values, commands) are too."""
        return self.words in text and all(fact in text for fact in facts)


def chart_errors(text: str) -> set[tuple[str, str]]:
    """Return ID and path of the errors of a failed `helm install` or `helm upgrade`."""
    return set(_CHART_ERROR.findall(text))


def chart_warnings(notes: str) -> set[tuple[str, str]]:
    """Return ID and path of the warnings in NOTES."""
    return set(_CHART_WARNING.findall(notes))


def checks(log: str) -> dict[str, tuple[bool, str]]:
    """Return the checks of `helm test`: title -> whether it passed, and its text."""
    return {title: (result == "PASS", text) for result, title, text in _CHECK.findall(log)}


def passed(log: str, title: str, *facts: str) -> bool:
    """Return whether a check passed, with all facts in its text."""
    result, text = checks(log).get(title, (False, ""))
    return result and all(fact in text for fact in facts)


def failed(log: str, title: str, *facts: str) -> bool:
    """Return whether a check failed, with all facts in its text."""
    result, text = checks(log).get(title, (True, ""))
    return not result and all(fact in text for fact in facts)


def failures(log: str) -> list[str]:
    """Return the titles of the checks that failed."""
    return [title for title, (result, _) in checks(log).items() if not result]


def actions(log: str) -> list[tuple[str, str]]:
    """Return the changes that a step made, in order: verb and object name."""
    return _ACTION.findall(log)


def counts(log: str) -> dict[str, int]:
    """Return the counts in the last line of a step; counts that it omits are 0."""
    found = {name: int(value) for name, value in _COUNT.findall(log.strip().splitlines()[-1])}
    return dict.fromkeys(("created", "updated", "deleted", "failed"), 0) | found


def wait_for_message(
    made: Variant, party: str, message: Message, *facts: str, container: str = "prepare", timeout: float = 120
) -> None:
    """Wait until a container of a party's pod prints a message with all facts."""

    def printed() -> bool:
        log = made.log(party, container)
        assert message.printed_in(log, *facts), log
        return True

    eventually(printed, timeout, f"{container} of {party} prints [{message.id}]")


# Progress.
DOWNLOAD_RESUMED = "going on after"

# Titles of checks.
EXAMPLE_JOB = "example job"
RESULT = "result of the example job"
DATA_SOURCE = "data source default-data-source"
ENGINE_NAMES = "names for engine pods"
ENGINE_NAMESPACE = "engine namespace"
ENGINE_PULL_SECRETS = "pull secrets of engine pods"

# Secrets and the API server.
SECRET_NOT_FOUND = Message("secret-not-found", "does not exist")
SECRET_KEY_MISSING = Message("secret-key-missing", "has no value under")
CHANGED_SECRET = Message("changed-secret", "was changed after the pod started")
API_SERVER_CREDENTIALS_REJECTED = Message("api-server-credentials-rejected", "(401: Unauthorized)")

# Domain key and admission.
DOMAIN_KEY_LOST = Message("domain-key-lost", "Restore the Secret from your backup")
WRONG_SCHEME = Message("wrong-scheme", "has the wrong scheme")
GATEWAY_UNREACHABLE = Message("gateway-unreachable", "no Kuscia gateway answers at")
NOT_A_GATEWAY_NO_HEADER = Message("not-a-gateway", "without a kuscia-error-message header")
NOT_A_GATEWAY_REDIRECT = Message("not-a-gateway", "a redirect to")
NOT_A_GATEWAY_BACKEND = Message("not-a-gateway", "does not reach the gateway behind it")
PATH_NOT_STRIPPED = Message("ingress-path-not-stripped", "from the path")
DOMAIN_NOT_ADMITTED = Message("domain-not-admitted", "does not know")
DEPLOY_TOKEN_MISMATCH = Message("deploy-token-mismatch", "is not the domain's unused one")
DOMAIN_CERTIFICATE_REJECTED = Message("domain-certificate-rejected", "another certificate")
CERTIFICATE_OF_ANOTHER_DOMAIN = Message("certificate-of-another-domain", "is the certificate of domain")
CONFIG_KUSCIA_API = Message("config-kuscia-api", "a kusciaAPI block")

# Datastore.
DATABASE_UNREACHABLE_MYSQL = Message("database-unreachable", "2003 Can't connect to MySQL server on")
DATABASE_UNREACHABLE_POSTGRES = Message("database-unreachable", "Can't create a connection to host")
DATABASE_LOGIN_FAILED = Message("database-login-failed", "user and password are not the server's")
DATABASE_NOT_FOUND = Message("database-not-found", "make it: CREATE DATABASE")
DATABASE_PERMISSION_DENIED = Message("database-permission-denied", "lacks rights to make table kine")
DASH_IN_DATABASE_NAME = Message("dash-in-database-name", "holds a '-'")
DATASTORE_OF_ANOTHER_MASTER = Message(
    "datastore-of-another-master", "table kine was made for another domainId or with another clusterToken"
)
STATE_OF_ANOTHER_MASTER = Message(
    "datastore-of-another-master", "the state belongs to another domain ID or clusterToken"
)
VOLUME_NOT_WRITABLE = Message("volume-not-writable", "cannot be written to")

# RunK.
RUNK_PERMISSION_DENIED_SERVICEACCOUNT = Message("runk-permission-denied", "this lite's ServiceAccount may not")
RUNK_PERMISSION_DENIED_KUBECONFIG = Message("runk-permission-denied", "the user of the kubeconfig may not")
RUNK_PERMISSION_DENIED = Message("runk-permission-denied", "RunK may not make engine pods in")
ENGINE_NAMESPACE_TAKEN = Message("engine-namespace-taken", "holds the engines of domain")
INVALID_KUBECONFIG = Message("invalid-kubeconfig", "is no kubeconfig for engine pods")
ENGINE_SERVICE_RECREATED = Message("engine-service-recreated", "was made anew")
ENGINE_PODS_OF_EARLIER_START = Message("orphaned-engine-pods", "engine pods of an earlier start of this lite run in")
ORPHANED_ENGINE_PODS = Message("orphaned-engine-pods", "engine pods of other domains were left behind in")

# Data.
TABLE_NOT_WRITABLE = Message("table-not-writable", "cannot be written: Permission denied")
URL_FAILED = Message("url-failed", "answers 404")
URL_REQUIRES_LOGIN = Message("url-requires-login", "answers 401 Unauthorized to no credentials")
CHECKSUM_MISMATCH = Message("checksum-mismatch", "has the SHA-256")
COLUMN_NOT_FOUND = Message("column-not-found", "columns that the file has not")
CLAIM_FILE_NOT_FOUND = Message("claim-file-not-found", "there is no file")
OBJECT_NOT_FOUND = Message("object-not-found", "has no object")
BUCKET_NOT_FOUND = Message("bucket-not-found", "does not exist")
STORE_CREDENTIALS_REJECTED = Message("store-credentials-rejected", "The store refuses the keys in Secret")
STORE_WRONG_SCHEME = Message("store-wrong-scheme", "does not speak https; try http://")
STORE_CREDENTIALS_OUTDATED = Message("store-credentials-outdated", "other keys than Secret")

# Doctor.
POD_NOT_SCHEDULED = Message("pod-not-scheduled", "no node takes the pod")
IMAGE_PULL_FAILED = Message("image-pull-failed", "the image cannot be pulled")
