"""Known causes in the log of Kuscia (Kuscia facts 12.6 and the recordings of its start).

Text of the log also reaches commands, so the groups match valid IDs and URLs only.
"""

from kuscia_hooks.inspect.finding import LogPattern
from kuscia_hooks.inspect.known.commands import (
    ADMIT,
    CA_BUNDLE,
    CREATE_DATABASE,
    CURL,
    DATABASE_ENDPOINTS,
    DATABASE_LOGIN,
    FIREWALL,
    MORE_CONNECTIONS,
    PEER,
    PREVIOUS_STATE,
    REKEY,
    ROLE,
    SHOW_CONFIG,
    SHOW_KEY,
)

_URL = r"[\w.:\[\]/%~-]*[\w\]/]"
_PROBE = rf"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>https?://{_URL})"

# The first pattern that matches decides, so specific ones come first.
KUSCIA: tuple[LogPattern, ...] = (
    LogPattern(
        "unknown-mode", r"not support run mode: (?P<value>\S*)", "kuscia.yaml: unknown mode {value}", SHOW_CONFIG
    ),
    LogPattern(
        "domain-id-missing",
        r"kuscia config domain should not be empty",
        "kuscia.yaml: domainID is missing",
        SHOW_CONFIG,
    ),
    LogPattern(
        "reserved-domain-id", r"Domain id can't be 'master'", "Kuscia reserves the domain ID master", SHOW_CONFIG
    ),
    LogPattern(
        "unknown-protocol",
        r"protocol: ?(?P<value>\S*) is unsupported",
        "kuscia.yaml: unknown protocol '{value}'; must be TLS, NOTLS, MTLS or absent",
        SHOW_CONFIG,
    ),
    LogPattern(
        "invalid-domain-key",
        # First the texts of a master, then those of a lite, which are printed before it has a log.
        r"Decoded keyData error|load key (data |file )?failed|illegal base64 data|can't parse key|"
        r"Domain key data is empty|Load domain key file error|Decode domain key data error|init key failed",
        "Kuscia cannot read the domain key",
        SHOW_KEY,
    ),
    LogPattern(
        "runc-requires-privileged",
        r"Runc must run with privileged mode",
        "runtime runc requires a privileged container",
        "set lite.runtime: runk, then {upgrade}   # or set lite.runc.privileged: true (grants root on the node)",
    ),
    LogPattern(
        "no-eth0",
        r"host IP unknown|[Ff]ailed to get host [Ii][Pp]",
        "the pod has no network interface eth0, which Kuscia requires (hostNetwork, Multus or a renamed interface?)",
        "kubectl get pod {pod} -n {namespace} -o yaml   # remove hostNetwork and network annotations",
    ),
    LogPattern(
        "database-login",
        r"(Error 1045[^\n]*|password authentication failed[^\n]*|SQLSTATE 28[^\n]*)",
        "the database rejected the user or the password",
        DATABASE_LOGIN,
    ),
    LogPattern(
        "database-not-found",
        r"Error 1049[^\n]*Unknown database|database \"[^\"]*\" does not exist",
        "the database does not exist on the server",
        CREATE_DATABASE,
    ),
    LogPattern(
        "too-many-connections",
        r"Error 1040|Too many connections|too many clients already",
        "the database server has no free connection",
        MORE_CONNECTIONS,
    ),
    LogPattern(
        "invalid-datastore-address",
        r"Driver Name is '[^']*' Not supported|datastore ?endpoint[^\n]*expected format|missing the slash",
        "Kuscia does not accept the datastore address",
        SHOW_CONFIG,
    ),
    LogPattern(
        "database-certificate-not-trusted",
        # Text of Go's crypto/x509; Kuscia trusts the CAs of its image and those of the CA bundle (Kuscia facts 3).
        r"ping datastore endpoint error[^\n]*x509: (?P<value>certificate [^\n]*)",
        "Kuscia does not trust the database server: {value}",
        CA_BUNDLE,
    ),
    LogPattern(
        "database-unreachable",
        r"ping datastore endpoint error[^\n]*(connection refused|no such host|i/o timeout|deadline exceeded|no route)",
        "cannot reach the database server",
        DATABASE_ENDPOINTS,
    ),
    LogPattern(
        "database-error",
        r"ping datastore endpoint error: (?P<value>[^\n]*)",
        "the database rejected Kuscia: {value}",
        "kubectl logs deploy/{fullname} -n {namespace} -c {node} --previous",
    ),
    LogPattern(
        "state-of-another-domain",
        # K3s supervised by Kuscia, and text of earlier versions. Kuscia interrupts K3s whenever another module fails;
        # only a K3s that exits by itself has an exit status.
        r"encrypted with different token|etc/kubeconfig: no such file or directory|"
        r"process \[k3s\]\[\d+\] only existed[^\n]*with error: exit status",
        "the state belongs to a different domain ID or clusterToken, or its table can be neither found nor created",
        PREVIOUS_STATE,
    ),
    LogPattern(
        "k3s-not-ready",
        r"\[Module\] k3s wait ready failed",
        "K3s was not ready within 30 s: the database or the volume is slow, or the state belongs to a different domain "
        "ID or clusterToken",
        "kubectl exec deploy/{fullname} -n {namespace} -c {node} -- tail -n 50 var/logs/k3s.log   # shows the reason; "
        "then: {restart}",
    ),
    LogPattern(
        "wrong-scheme",
        rf"\[PROBE\] failed[^\n]*?(?P<endpoint>https://{_URL})[^\n]*server gave HTTP response to HTTPS client",
        "the master uses http, but the endpoint is {endpoint}",
        "set lite.master.endpoint: {swapped}, then {upgrade}",
    ),
    LogPattern(
        "wrong-scheme",
        rf"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http://{_URL})[^\n]*(malformed HTTP|EOF|connection reset|400)",
        "the master uses https, but the endpoint is {endpoint}",
        "set lite.master.endpoint: {swapped}, then {upgrade}",
    ),
    LogPattern(
        "host-not-found",
        _PROBE + r"[^\n]*no such host",
        "the cluster DNS has no address for the host of the master: {endpoint}",
        "kubectl get services -A | grep 1080   # if the Service exists, look at the DNS of the cluster; otherwise set "
        "lite.master.endpoint: https://<service>.<namespace>.svc.cluster.local:1080, then {upgrade}",
    ),
    LogPattern(
        "master-down", _PROBE + r"[^\n]*connection refused", "nothing listens at the master endpoint {endpoint}", PEER
    ),
    LogPattern(
        "master-unreachable",
        _PROBE + r"[^\n]*(i/o timeout|deadline exceeded|no route)",
        "cannot reach the master at {endpoint} (firewall or NetworkPolicy?)",
        FIREWALL,
    ),
    LogPattern(
        "not-a-gateway",
        _PROBE,
        "something other than a Kuscia gateway answers at {endpoint}: a proxy, a login page or another Service",
        CURL,
    ),
    LogPattern(
        "unknown-domain",
        r"domain \[(?P<value>[a-z0-9-]+)\] not found",
        "the master has no domain {value}: it was never admitted, or the master lost its state",
        ADMIT,
    ),
    LogPattern(
        "deploy-token-used",
        r"deploy token found but used",
        "the deploy token is already used, with a different domain key",
        REKEY,
    ),
    LogPattern(
        "deploy-token-mismatch",
        r"deploy token not found|token not found in cert request",
        "the deploy token is not the unused one of the domain, and the master does not have this domain key",
        REKEY,
    ),
    LogPattern(
        "deploy-token-pending",
        r"deploytokenstatus of domain is empty",
        "the master has not generated a deploy token for this domain yet; this takes less than a minute",
        PEER,
    ),
    LogPattern(
        "certificate-request-rejected",
        r"verify csr failed|csr subject common name must be",
        "the domain ID in the certificate request is not that of this domain",
        SHOW_CONFIG,
    ),
    LogPattern(
        "node-name-taken",
        r"duplicate node name with other domain",
        "a pod of another domain has the same name, and the master identifies nodes by pod name",
        "set lite.domainId to a different ID, then {upgrade}   # or install it under a different release name",
    ),
    LogPattern(
        "runk-requires-capacity",
        r"capacity config is empty",
        "RunK requires capacity: cpu, memory and storage",
        "set lite.capacity: {{cpu: 4, memory: 8Gi, storage: 100Gi}}, then {upgrade}",
    ),
    LogPattern(
        "service-account-token-missing",
        r"failed to get in cluster config",
        "RunK has no ServiceAccount token to create engine pods with",
        "kubectl get deployment {fullname} -n {namespace} -o yaml | grep -n -A3 serviceAccount",
    ),
    LogPattern(
        "runk-forbidden",
        # Of RBAC; a quota or a policy forbids without a user.
        r"(pods|configmaps|secrets)[^\n]* is forbidden: User ",
        "RunK cannot create engine pods in {engines}: the Role or its binding is missing",
        ROLE,
    ),
    LogPattern(
        "unknown-runtime",
        r"unknown runtime",
        "lite.runtime must be runk, runp or runc",
        "set lite.runtime: runk, then {upgrade}",
    ),
    LogPattern(
        "inotify-limit",
        r"failed to create fsnotify watcher: too many open files",
        "the node has too few inotify instances",
        "sysctl -w fs.inotify.max_user_instances=8192   # on the node, and in /etc/sysctl.d",
    ),
    LogPattern(
        "handshake-timeout",
        r"controller/handshake\.go[^\n]*Client\.Timeout exceeded|handshake\.go[^\n]*context deadline exceeded",
        "the master accepted the registration, but its gateway does not complete the handshake; after a restart of the "
        "master this takes up to three minutes",
        "kubectl logs deploy/{fullname} -n {namespace} -c {node} -f   # wait four minutes, then: {restart}",
    ),
)
