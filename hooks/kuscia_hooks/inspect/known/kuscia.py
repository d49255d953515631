"""Known causes in the log of Kuscia (Kuscia facts 12.6 and the recorded startups)."""

from kuscia_hooks.inspect.finding import Known
from kuscia_hooks.inspect.known.commands import FIREWALL, REKEY, SHOW_CONFIG, SHOW_KEY

# What Kuscia prints before it gives up. The first that fits decides, so the particular ones come first.
KUSCIA: tuple[Known, ...] = (
    Known("bad-mode", r"not support run mode: (?P<value>\S*)", "kuscia.yaml has the unknown mode {value}", SHOW_CONFIG),
    Known("no-domain-id", r"kuscia config domain should not be empty", "kuscia.yaml has no domainID", SHOW_CONFIG),
    Known("reserved-id", r"Domain id can't be 'master'", "the domain ID master is reserved by Kuscia", SHOW_CONFIG),
    Known(
        "bad-protocol",
        r"protocol: ?(?P<value>\S*) is unsupported",
        "kuscia.yaml has the unknown protocol {value!r}; it is TLS, NOTLS, MTLS or absent",
        SHOW_CONFIG,
    ),
    Known(
        "bad-key",
        # A master's, then a lite's, which says it before it has a log.
        r"Decoded keyData error|load key (data |file )?failed|illegal base64 data|can't parse key|"
        r"Domain key data is empty|Load domain key file error|Decode domain key data error|init key failed",
        "the domain key is not one that Kuscia can read",
        SHOW_KEY,
    ),
    Known(
        "runc-unprivileged",
        r"Runc must run with privileged mode",
        "runtime runc needs a privileged container, and this one is not",
        "{upgrade} --set lite.runtime=runk   # or --set lite.runc.privileged=true, which gives it the node",
    ),
    Known(
        "no-eth0",
        r"host IP unknown|[Ff]ailed to get host [Ii][Pp]",
        "the pod has no interface named eth0, which Kuscia insists on: hostNetwork, Multus or a renamed interface",
        "kubectl get pod {pod} -n {namespace} -o yaml   # take hostNetwork and network annotations away",
    ),
    Known(
        "database-login",
        r"(Error 1045[^\n]*|password authentication failed[^\n]*|SQLSTATE 28[^\n]*)",
        "the database refuses user and password",
        "kubectl edit secret {db_secret} -n {namespace}   # the password of {db_user}, base64; then: {restart}",
    ),
    Known(
        "no-database",
        r"Error 1049[^\n]*Unknown database '(?P<value>[^']*)'|database \"(?P<other>[^\"]*)\" does not exist",
        "the database server has no such database",
        "CREATE DATABASE {db_name}   # on {db_host}, by its administrator; Kuscia never makes one",
    ),
    Known(
        "too-many-connections",
        r"Error 1040|Too many connections|too many clients already",
        "the database server takes no more connections",
        "SET GLOBAL max_connections = 1000   # on {db_host}, and in its configuration file",
    ),
    Known(
        "bad-datastore-address",
        r"Driver Name is '[^']*' Not supported|datastore ?endpoint[^\n]*expected format|missing the slash",
        "the datastore's address is none that Kuscia takes",
        SHOW_CONFIG,
    ),
    Known(
        "database-unreachable",
        r"ping datastore endpoint error[^\n]*(connection refused|no such host|i/o timeout|deadline exceeded|no route)",
        "the database server is not reached",
        "kubectl get endpoints -A | grep {db_host}   # is it up, and does a NetworkPolicy let {namespace} in?",
    ),
    Known(
        "database-other",
        r"ping datastore endpoint error: (?P<value>[^\n]*)",
        "the database does not take Kuscia: {value}",
        "kubectl logs deploy/{fullname} -n {namespace} -c {node} --previous",
    ),
    Known(
        "state-of-another-domain",
        # Of a K3s that Kuscia supervises, and of earlier versions. It is interrupted whenever another module fails,
        # and what ends itself has another status than that.
        r"encrypted with different token|etc/kubeconfig: no such file or directory|"
        r"process \[k3s\]\[\d+\] only existed[^\n]*with error: exit status",
        "the state belongs to another domain ID or clusterToken, or its table can neither be found nor made",
        "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # give back the former domainId and "
        "clusterToken, or a database of its own",
    ),
    Known(
        "k3s-not-ready",
        r"\[Module\] k3s wait ready failed",
        "K3s was not ready in 30 s: the database or the volume is slow, or the state belongs to another domain ID or "
        "clusterToken",
        "kubectl exec deploy/{fullname} -n {namespace} -c {node} -- tail -n 50 var/logs/k3s.log   # its words; then: "
        "{restart}",
    ),
    Known(
        "wrong-scheme",
        r"\[PROBE\] failed[^\n]*(?P<endpoint>https://\S+?)[,:]? [^\n]*server gave HTTP response to HTTPS client",
        "the master speaks http, and {endpoint} says https",
        "{upgrade} --set lite.master.endpoint=http{tail}",
    ),
    Known(
        "wrong-scheme",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http://[^\s,]+)[^\n]*(malformed HTTP|EOF|connection reset|400)",
        "the master speaks https, and {endpoint} says http",
        "{upgrade} --set lite.master.endpoint=https{tail}",
    ),
    Known(
        "no-such-host",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)[^\n]*no such host",
        "the master's host name does not resolve: {endpoint}. Inside a cluster it is a full name (…svc.cluster.local)",
        "{upgrade} --set lite.master.endpoint=https://<service>.<namespace>.svc.cluster.local:1080",
    ),
    Known(
        "master-down",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)[^\n]*connection refused",
        "nothing listens at the master's address {endpoint}",
        "kubectl get pods,endpoints -n <the master's namespace>   # kubectl kuscia doctor there",
    ),
    Known(
        "master-unreachable",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)[^\n]*(i/o timeout|deadline exceeded|no route)",
        "the way to the master's address {endpoint} is closed",
        FIREWALL,
    ),
    Known(
        "not-a-gateway",
        r"\[PROBE\] failed[^\n]*endpoint (?P<endpoint>http[^\s,]+)",
        "something else than a Kuscia gateway answers at {endpoint}: a proxy, a login page, another Service",
        "curl -kv {endpoint}/   # has to answer 401 with a kuscia-error-message header; mend what is in front",
    ),
    Known(
        "unknown-domain",
        r"domain \[(?P<value>[^\]]+)\] not found",
        "the master does not know domain {value}: it was never admitted, or the master lost its state",
        "{master_upgrade} --set master.domains.{value}.endpoint={gateway}",
    ),
    Known(
        "token-used",
        r"deploy token found but used",
        "the deploy token was used already, and this key is another than the one it was used with",
        REKEY,
    ),
    Known(
        "token-wrong",
        r"deploy token not found|token not found in cert request",
        "the deploy token is not the domain's unused one, and the master does not know this key",
        REKEY,
    ),
    Known(
        "token-pending",
        r"deploytokenstatus of domain is empty",
        "the master has made no deploy token for this domain yet",
        "kubectl get pods -n <the master's namespace>   # kubectl kuscia doctor there, if this lasts a minute",
    ),
    Known(
        "certificate-of-another",
        r"verify csr failed|csr subject common name must be",
        "the domain ID in the certificate request is not this domain's",
        SHOW_CONFIG,
    ),
    Known(
        "node-name-taken",
        r"duplicate node name with other domain",
        "another domain has a pod of the same name, and the master keeps nodes by pod name",
        "{upgrade} --set lite.domainId=<another ID>   # or install it under another release name",
    ),
    Known(
        "no-capacity",
        r"capacity config is empty",
        "RunK needs capacity: cpu, memory and storage",
        "{upgrade} --set lite.capacity.cpu=4,lite.capacity.memory=8Gi,lite.capacity.storage=100Gi",
    ),
    Known(
        "no-service-account",
        r"failed to get in cluster config",
        "RunK has no ServiceAccount token to make engine pods with",
        "kubectl get deployment {fullname} -n {namespace} -o yaml | grep -n -A3 serviceAccount",
    ),
    Known(
        "runk-forbidden",
        r"(pods|configmaps|secrets)[^\n]* is forbidden",
        "RunK may not make engine pods in {engines}: the Role or its binding is missing there",
        "{upgrade}   # makes Role and RoleBinding {fullname}-runk in {engines}",
    ),
    Known(
        "bad-runtime",
        r"unknown runtime",
        "lite.runtime is none of runk, runp, runc",
        "{upgrade} --set lite.runtime=runk",
    ),
    Known(
        "inotify",
        r"failed to create fsnotify watcher: too many open files",
        "the node has too few inotify instances",
        "sysctl -w fs.inotify.max_user_instances=8192   # on the node, and in /etc/sysctl.d",
    ),
    Known(
        "handshake-times-out",
        r"controller/handshake\.go[^\n]*Client\.Timeout exceeded|handshake\.go[^\n]*context deadline exceeded",
        "the master took the registration, but its gateway does not finish the handshake. After a restart of the "
        "master this lasts up to three minutes",
        "kubectl logs deploy/{fullname} -n {namespace} -c {node} -f   # wait four minutes; then: {restart}",
    ),
)
