"""What the chart and the steps print, by stable ID and facts. No other module of these tests contains their prose."""

import re
from dataclasses import dataclass

from tests.e2e.variants import Variant
from tests.e2e.waiting import eventually

_CHART_ERROR = re.compile(r"^ *\d+\. \[([a-z0-9-]+)\] (\S+)$", re.MULTILINE)
_CHART_WARNING = re.compile(r"^WARNING \[([a-z0-9-]+)\] (\S+): ", re.MULTILINE)
_CHECK = re.compile(r"^(PASS|FAIL) ([^:\n]+)(.*(?:\n(?!PASS|FAIL).*)*)", re.MULTILINE)
_ACTION = re.compile(r"\b(create|update|recreate|delete) [A-Z]\w+ (\S+)")
_COUNT = re.compile(r"\b(created|updated|deleted|unchanged|failed|foreign|leftover|printed|lost)=(\d+)")


@dataclass(frozen=True)
class Message:
    """One message of the steps.

    Args:
        id: its stable ID (docs/errors.md).
    """

    id: str

    def printed_in(self, text: str, *facts: str) -> bool:
        """Return whether the message is in a text, and all facts (names, values, commands) are too."""
        return f"[{self.id}]" in text and all(fact in text for fact in facts)


def warned(log: str, *facts: str) -> bool:
    """Return whether one warning in a log has all facts."""
    return any(line.startswith("WARNING ") and all(fact in line for fact in facts) for line in log.splitlines())


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
    return dict.fromkeys(("created", "updated", "deleted", "failed", "foreign", "leftover"), 0) | found


def wait_for_message(
    made: Variant, party: str, message: Message, *facts: str, container: str = "prepare", timeout: float = 120
) -> None:
    """Wait until a container of a party's pod prints a message with all facts."""

    def printed() -> bool:
        log = made.log(party, container)
        assert message.printed_in(log, *facts), log
        return True

    eventually(printed, timeout, f"{container} of {party} prints [{message.id}]")


# Titles of checks.
NODES = "nodes"
ROUTES = "routes"
EXAMPLE_JOB = "example job"
RESULT = "result of the example job"
DATA_SOURCE = "data source default-data-source"
ENGINE_NAMES = "names for engine pods"
ENGINE_NAMESPACE = "engine namespace"
ENGINE_PULL_SECRETS = "pull secrets of engine pods"

# IDs of errors and of findings of `doctor` (docs/errors.md).
SECRET_KEY_MISSING = Message("secret-key-missing")
SECRET_NOT_FOUND = Message("secret-not-found")
CHANGED_SECRET = Message("secret-changed")
API_SERVER_UNAUTHORIZED = Message("api-server-unauthorized")
DOMAIN_KEY_LOST = Message("domain-key-lost")
DOMAIN_KEY_INVALID = Message("domain-key-invalid")
EXISTING_SECRET_NOT_FOUND = Message("existing-secret-not-found")
WRONG_SCHEME = Message("wrong-scheme")
HOST_NOT_FOUND = Message("host-not-found")
MASTER_UNAVAILABLE = Message("master-unavailable")
NOT_A_GATEWAY = Message("not-a-gateway")
PATH_NOT_STRIPPED = Message("proxy-keeps-path")
UNKNOWN_DOMAIN = Message("unknown-domain")
DEPLOY_TOKEN_MISMATCH = Message("deploy-token-mismatch")
CERTIFICATE_MISMATCH = Message("certificate-mismatch")
INVALID_CONFIG = Message("invalid-config")
EXTRA_CONFIG_KEY_REJECTED = Message("extra-config-key-rejected")
DATABASE_UNREACHABLE = Message("database-unreachable")
DATABASE_CERTIFICATE_NOT_TRUSTED = Message("database-certificate-not-trusted")
DATABASE_LOGIN = Message("database-login")
DATABASE_NOT_FOUND = Message("database-not-found")
DATABASE_PERMISSION_DENIED = Message("database-permission-denied")
STATE_OF_ANOTHER_DOMAIN = Message("state-of-another-domain")
STATE_NOT_WRITABLE = Message("state-not-writable")
RUNK_FORBIDDEN = Message("runk-forbidden")
ENGINE_NAMESPACE_TAKEN = Message("engine-namespace-taken")
INVALID_KUBECONFIG = Message("invalid-kubeconfig")
DNS_SERVICE_RECREATED = Message("dns-service-recreated")
ENGINE_PODS_ORPHANED = Message("engine-pods-orphaned")
VOLUME_WRITE_FAILED = Message("volume-write-failed")
DOWNLOAD_INTERRUPTED = Message("download-interrupted")
DOWNLOAD_REJECTED = Message("download-rejected")
DOWNLOAD_CREDENTIALS_REJECTED = Message("download-credentials-rejected")
CHECKSUM_MISMATCH = Message("table-checksum-mismatch")
COLUMNS_MISMATCH = Message("table-columns-mismatch")
TABLE_FILE_NOT_FOUND = Message("table-file-not-found")
TABLE_OBJECT_NOT_FOUND = Message("table-object-not-found")
BUCKET_NOT_FOUND = Message("bucket-not-found")
S3_CREDENTIALS_REJECTED = Message("s3-credentials-rejected")
S3_WRONG_SCHEME = Message("s3-wrong-scheme")
DATA_SOURCE_KEYS_OUTDATED = Message("data-source-keys-outdated")
CLAIM_NOT_FOUND = Message("claim-not-found")
IMAGE_PULL = Message("image-pull")
JOB_REJECTED = Message("job-rejected")
OUT_OF_MEMORY = Message("out-of-memory")
RELEASE_INCOMPLETE = Message("release-incomplete")
