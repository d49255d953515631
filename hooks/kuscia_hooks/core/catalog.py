"""The catalog of errors and warnings: every ID that a step can print, whether the step retries, and what it means.

docs/errors.md has one row for each entry; `doctor` looks entries up by ID. An ID is never reused for another meaning.
Raise an error with an ID of this list: `RetryableError` where `retryable` is true, else `PermanentError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One kind of error.

    Args:
        id: stable slug, lower-case words joined by `-`.
        retryable: whether the step retries without a change to its input.
        summary: what it means, in one sentence.
        warning: whether the step continues; such an ID is not raised, but logged as a `StepWarning`.
    """

    id: str
    retryable: bool
    summary: str
    warning: bool = False


def _retryable(error_id: str, summary: str) -> Entry:
    return Entry(error_id, True, summary)


def _permanent(error_id: str, summary: str) -> Entry:
    return Entry(error_id, False, summary)


def _warning(warning_id: str, summary: str) -> Entry:
    return Entry(warning_id, False, summary, warning=True)


GENERAL = (
    _permanent("several-errors", "Several errors, at least one of which requires manual action; each is listed."),
    _retryable("several-retryable", "Several retryable errors; each is listed."),
    _permanent("invalid-config", "The configuration file of the step is invalid; each wrong value is listed."),
    _permanent("unknown-config-file-key", "A configuration file has a key that the step does not support."),
    _permanent("wrong-type", "A value of a configuration file has the wrong type."),
    _permanent("number-out-of-range", "A number in a configuration file is out of range."),
    _permanent("invalid-path", "A path in a configuration file is not absolute."),
    _permanent("endpoint-protocol-mismatch", "The scheme of an endpoint does not match its protocol."),
    _permanent("invalid-config-value", "A value of a configuration file is invalid."),
    _permanent("foreign-object", "An object exists with different content, and this release did not create it."),
    _permanent("leftover-object", "An object that this release created is no longer in its values."),
)

KUBERNETES = (
    _retryable("already-exists", "Another client created the object at the same time; the step reads it again."),
    _permanent("api-server-rejected", "The Kubernetes API server rejected the request."),
    _retryable(
        "api-server-certificate-not-trusted",
        "The certificate of the Kubernetes API server is not signed by the CA of the login.",
    ),
    _retryable("api-server-unauthorized", "The Kubernetes API server rejected the token or certificate (401)."),
    _retryable("api-server-unavailable", "The Kubernetes API server cannot process the request at the moment."),
    _retryable("api-server-unreachable", "Cannot reach the Kubernetes API server."),
    _permanent("invalid-cluster-login", "Neither the ServiceAccount of a pod nor a usable kubeconfig was found."),
    _retryable("log-interrupted", "The connection broke while a container log was being read."),
    _retryable("no-log-yet", "A container has no log because it has not started or is gone."),
    _retryable("object-not-found", "The namespace or the object that the request names does not exist."),
    _retryable("permission-denied", "No Role grants the ServiceAccount of the step a permission that it needs."),
    _retryable("request-forbidden", "A quota, a policy or the deletion of the namespace forbids a Kubernetes object."),
    _retryable("secret-key-missing", "A Secret exists, but has no value under the configured key."),
    _retryable("secret-not-found", "A Secret that the configuration names does not exist."),
    _retryable("secret-not-text", "A value of a Secret is not UTF-8 text."),
    _retryable("service-account-not-found", "A ServiceAccount does not exist."),
    _retryable("service-not-found", "A Service does not exist."),
)

KUSCIA = (
    _retryable("deploy-token-mismatch", "The master accepts neither the deploy token nor the domain key."),
    _retryable("deploy-token-pending", "The master has not generated a deploy token for the domain yet."),
    _permanent("gateway-of-another-domain", "The endpoint leads to the gateway of another domain."),
    _retryable("ca-bundle-expired", "All certificates of a CA bundle have expired."),
    _retryable("ca-bundle-not-found", "The ConfigMap or Secret with a CA bundle is missing or incomplete."),
    _retryable("invalid-ca-bundle", "A CA bundle has no valid PEM certificate."),
    _retryable("gateway-certificate-not-trusted", "The certificate of the gateway is not signed by the CA bundle."),
    _retryable("host-not-found", "The host name of the master has no address, or is not absolute."),
    _retryable("invalid-domain-key", "The value in the Secret is not a domain key that Kuscia accepts."),
    _permanent("kusciaapi-already-exists", "KusciaAPI already has the object."),
    _retryable("kusciaapi-busy", "KusciaAPI cannot process the request at the moment."),
    _permanent("kusciaapi-certificate-mismatch", "The TLS certificate of KusciaAPI is not signed with the domain key."),
    _retryable("kusciaapi-certificate-not-yet-valid", "The TLS certificate of KusciaAPI is not valid yet."),
    _retryable("kusciaapi-not-found", "KusciaAPI does not have the object (yet)."),
    _retryable("kusciaapi-not-ready", "KusciaAPI reports that the node is not ready."),
    _permanent("kusciaapi-protocol-mismatch", "KusciaAPI uses a protocol that differs from the configured one."),
    _permanent("kusciaapi-rejected", "KusciaAPI rejected the request."),
    _retryable("kusciaapi-timeout", "KusciaAPI did not answer in time; the request may have been carried out."),
    _permanent("kusciaapi-token-rejected", "The node runs with a different domain key or domain ID than the release."),
    _permanent("kusciaapi-unexpected-answer", "An answer of KusciaAPI does not have the expected fields."),
    _retryable("kusciaapi-unreachable", "Cannot reach KusciaAPI."),
    _permanent("master-access-denied", "A firewall or proxy in front of the master denies the request."),
    _retryable("master-busy", "The master, or a proxy in front of it, limits the number of requests."),
    _retryable("master-down", "Nothing listens at the master endpoint."),
    _retryable("master-error", "The master, or a proxy in front of it, reports an internal error."),
    _retryable("master-restarted", "The former gateway of a restarted master still counts as live."),
    _retryable("master-unavailable", "A proxy answers at the master endpoint, but the master behind it does not."),
    _retryable(
        "master-unreachable", "The master endpoint does not answer: a firewall or NetworkPolicy may drop traffic."
    ),
    _retryable("not-a-gateway", "Something other than a Kuscia gateway answers at the master endpoint."),
    _retryable("proxy-drops-headers", "A proxy in front of the master does not forward the Kuscia-Host header."),
    _retryable("proxy-keeps-path", "A proxy in front of the master does not strip the path of the endpoint."),
    _permanent("proxy-limits-requests", "A proxy in front of the master rejects the size or type of the request."),
    _retryable("proxy-requires-sni", "A proxy in front of the master requires a TLS server name, which Kuscia omits."),
    _permanent("registration-rejected", "The master found the registration of the domain itself invalid."),
    _retryable("unknown-domain", "The master has no such domain."),
    _retryable("wrong-scheme", "The endpoint says http where the gateway uses https, or the reverse."),
)

DATABASE = (
    _warning("cluster-state-empty", "The datastore is empty, although this release created objects in its cluster."),
    _retryable("database-access-denied", "The database does not exist, or the user has no access to it."),
    _warning("database-auto-increment", "The database server has several writable nodes, which K3s does not support."),
    _retryable("database-error", "The database server returned an error."),
    _retryable("database-host-not-found", "The host name of the database server has no address, or is not absolute."),
    _warning("database-name-unsupported", "The database name contains '-', which Kuscia before 1.0 does not support."),
    _retryable("database-login", "The database server rejected the user or the password."),
    _retryable("database-not-found", "The database server has no such database."),
    _retryable("database-password-unsupported", "The password has characters that the check cannot send."),
    _retryable("database-permission-denied", "The database user does not have all permissions that Kuscia needs."),
    _retryable(
        "database-certificate-not-trusted", "The TLS certificate of the database server is not signed by a trusted CA."
    ),
    _retryable("database-tls", "TLS between the step and the database server failed or is required."),
    _warning("database-setting", "A setting of the database server harms the datastore."),
    _retryable("database-unreachable", "Cannot reach the database server."),
    _warning("database-version", "The version of the database server is too old."),
    _retryable("invalid-database-password", "A database address cannot contain the password."),
    _retryable("state-not-writable", "The user of the container cannot write to the volume for the master state."),
    _retryable("state-of-another-domain", "The database holds the state of a different domain ID or clusterToken."),
    _retryable("too-many-connections", "The database server has no free connection."),
    _permanent("volume-not-mounted", "The volume for the master state is not mounted."),
)

ENGINES = (
    _retryable("dns-service-recreated", "The DNS Service for engines was recreated after the lite started."),
    _retryable("engine-marker-not-found", "The release's ConfigMap in the engine namespace does not exist."),
    _retryable("engine-namespace-taken", "The engine namespace belongs to a different lite."),
    _retryable("engine-pods-orphaned", "Engine pods of other domains are left in the engine namespace."),
    _retryable("invalid-kubeconfig", "The Secret does not contain a kubeconfig that works in the Kuscia container."),
    _retryable("pull-secrets-missing", "The ServiceAccount of engine pods does not have all imagePullSecrets."),
    _retryable("runk-forbidden", "RunK does not have all permissions that it needs in the engine namespace."),
)

TABLES = (
    _permanent("bucket-not-found", "The bucket does not exist, or these access keys have no access to it."),
    _permanent("download-certificate-not-trusted", "The TLS certificate of the server of a table is not trusted."),
    _retryable("download-changed", "The file behind a URL changed between two attempts; the download restarts."),
    _permanent("download-credentials-rejected", "The server of a table requires credentials, or rejected them."),
    _retryable("download-interrupted", "The connection broke while a table was being downloaded."),
    _retryable("download-not-saved", "A downloaded table cannot be saved in the pod."),
    _permanent("download-rejected", "The server does not provide the file behind a URL."),
    _retryable("download-unavailable", "The server of a table cannot process the request at the moment."),
    _retryable("download-unreachable", "Cannot reach the server of a table."),
    _permanent("download-wrong-scheme", "A URL says https where the server uses http."),
    _permanent("forward-proxy-rejected", "The proxy requires credentials, or does not permit the target."),
    _permanent("invalid-proxy", "A variable such as HTTPS_PROXY is not the URL of an HTTP proxy."),
    _permanent("invalid-url", "A URL is not valid or redirects too often."),
    _permanent("not-a-table", "The content of a table is empty, HTML, XML, JSON, an archive or another binary format."),
    _retryable("not-an-s3-endpoint", "Something other than an S3 store answers at the endpoint."),
    _permanent("s3-certificate-not-trusted", "The TLS certificate of the object store is not trusted."),
    _permanent("s3-credentials-rejected", "The object store rejected the access keys."),
    _retryable("s3-host-not-found", "The host name of the object store does not resolve, or is not a full name."),
    _permanent("s3-permission-denied", "The access keys do not permit a request to the object store."),
    _permanent("s3-rejected", "The object store, or its client, rejected the request."),
    _retryable("s3-unavailable", "The object store cannot process the request at the moment."),
    _retryable("s3-unreachable", "Cannot reach the object store."),
    _retryable("s3-upload-aborted", "Another client aborted the upload of a table, or the store did."),
    _permanent("s3-wrong-scheme", "The endpoint says http where the object store uses https, or the reverse."),
    _permanent("store-requires-virtualhost", "The object store rejects requests with the bucket in the path."),
    _permanent("table-checksum-mismatch", "The content of a table does not have the configured SHA-256."),
    _permanent("table-column-types-incomplete", "`columnTypes` has no type for some columns of the file."),
    _permanent("table-column-types-unsupported", "`columnTypes` requires a file that the step can read."),
    _permanent("table-columns-mismatch", "A table declares columns that are missing from its file."),
    _permanent("table-file-not-found", "The file of a table does not exist."),
    _permanent("table-file-not-readable", "The step has no permission to read the file of a table."),
    _permanent("table-header-invalid", "A CSV file does not begin with a line of unique column names in UTF-8."),
    _permanent("table-row-invalid", "A row of a CSV file is not UTF-8 or not valid CSV."),
    _permanent("object-not-uploaded", "The bucket has a different object for a table, which the chart did not upload."),
    _permanent("table-object-not-found", "The bucket has no object for a table that the chart does not upload."),
    _permanent("table-size-mismatch", "The content of a table does not have the configured size."),
)

STEPS = (
    # keys
    _retryable("existing-secret-not-found", "The Secret that existingSecret names does not exist."),
    _permanent("domain-key-lost", "The domain certificate exists, but its key does not."),
    _permanent("domain-key-missing", "The Secret of the domain key has no value under the configured key."),
    _permanent("domain-key-invalid", "The Secret of the domain key does not contain a valid RSA key."),
    _permanent("domain-certificate-invalid", "The ConfigMap of the domain certificate does not contain a certificate."),
    _permanent("domain-certificate-mismatch", "The domain certificate does not belong to the domain key."),
    _permanent("domain-id-changed", "The domain certificate was issued for a different domain ID."),
    # prepare
    _retryable("invalid-extra-config", "The Secret with additional configuration is not a YAML mapping."),
    _retryable("extra-config-key-rejected", "The Secret with additional configuration sets keys that it must not set."),
    _retryable("domain-not-admitted", "The master does not admit the domain at the moment."),
    _retryable("certificate-mismatch", "The master has a different certificate for the domain."),
    _retryable("dns-service-not-found", "The host name of the release's own DNS Service does not resolve."),
    # seed
    _permanent("volume-write-failed", "A table cannot be written to the volume."),
    # register
    _permanent(
        "registered-with-different-key", "The key of the registered domain differs from the key in its certificate."
    ),
    _permanent("domain-in-use", "A domain that left the values stays: routes of other clients use it."),
    # routes
    _retryable("domains-not-registered", "The register step has not created every Domain yet."),
    # data
    _permanent("foreign-data-source", "The data source exists with different content, and is not of this release."),
    _permanent("id-taken-by-partner", "A table or grant of a partner, granted to this domain, has the same ID."),
    # check
    _retryable("datastore-empty", "The datastore has no rows, so the master does not store its state there."),
    _retryable("node-not-ready", "A domain has no node that is Ready."),
    _retryable("route-not-ready", "A route is not READY."),
    _retryable("table-not-declared", "A domain has not declared a table that the example job reads."),
    _retryable("table-not-granted", "A domain has not granted a table that the example job reads."),
    _permanent("table-in-different-data-source", "A table is in a different data source than the example job."),
    _retryable("result-not-registered", "A result of the example job is not registered."),
    _permanent("result-not-a-table", "A result of the example job is not registered as a table."),
    _retryable("data-source-keys-outdated", "The access keys of the data source differ from those in the Secret."),
    _retryable("table-content-missing", "A table is declared, but its object or file does not exist."),
    _permanent("table-unreadable", "The file of a table cannot be read."),
    # example job
    _retryable("example-job-running", "The example job has not ended within the deadline of `helm test`."),
)

INSPECT = (
    # doctor
    _permanent("bundle-not-saved", "The bundle of `doctor` cannot be written to the file."),
    # logs
    _permanent("no-job", "The domain does not take part in any job."),
    _permanent("job-not-found", "The job does not exist, or the domain does not take part in it."),
    _permanent("container-required", "The engine has several containers; --container must name one."),
    _permanent("engine-log-not-found", "The engine has no log: it never started, or its log was deleted with a pod."),
    _permanent("engine-logs-not-kept", "The engine pod is gone, and the lite does not keep logs of engines."),
    _retryable("log-wait-timeout", "The deadline passed while `logs` was waiting for an engine."),
    # invite
    _permanent("not-a-master", "Only a master can invite a partner."),
    _permanent("invalid-arguments", "Arguments of the command are invalid; each is listed."),
    _permanent("external-service-not-found", "The Service that exposes the gateway of the master does not exist."),
    _permanent("external-service-differs", "The Service that exposes the gateway has a different type."),
    _permanent("load-balancer-without-address", "The load balancer has not assigned an address to the Service."),
    # adopt
    _permanent("adopt-input-invalid", "The input of `adopt` is not the output of `kubectl get -o json`."),
    _permanent("adopt-nothing-found", "The input of `adopt` has no Deployment of Kuscia."),
    _permanent("adopt-domain-required", "The input of `adopt` has several domains, or not the named one."),
    _permanent("adopt-config-invalid", "A kuscia.yaml is missing in the input of `adopt`, or cannot be taken over."),
    _warning("adopt-setting-left-out", "Settings of a deployment made by hand have no place in the printed values."),
    _warning("adopt-image-not-pinned", "A deployment made by hand runs the tag `latest`, which can change."),
    _warning("adopt-state-in-pod", "A master made by hand keeps its state in its pod; it is lost with the pod."),
    _warning("adopt-address-may-change", "The load balancer of a deployment made by hand is replaced."),
    # example job
    _permanent("example-job-failed", "The example job failed, and retrying does not help."),
    _permanent("example-job-deleted", "The example job was deleted while it ran."),
)

CATALOG: Mapping[str, Entry] = {
    entry.id: entry
    for area in (GENERAL, KUBERNETES, KUSCIA, DATABASE, ENGINES, TABLES, STEPS, INSPECT)
    for entry in area
}
