"""Known causes in the messages of the steps."""

from kuscia_hooks.inspect.finding import Known
from kuscia_hooks.inspect.known.commands import FIREWALL, REKEY

# What a step says it waits for, or what needs a human.
STEP: tuple[Known, ...] = (
    Known(
        "wrong-scheme",
        r"(?P<endpoint>\S+) has the wrong scheme: a Kuscia gateway answers at (?P<value>\S+)",
        "{line}",
        "{upgrade} --set lite.master.endpoint={value}",
    ),
    Known(
        "not-a-gateway",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): (HTTP \d+ instead|HTTP 401 without)",
        "{line}",
        "curl -kv {endpoint}/   # has to answer 401 with a kuscia-error-message header; mend what is in front",
    ),
    Known(
        "no-such-host",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): [^\n]*(Name or service not known|No address|"
        r"name resolution|nodename nor servname)",
        "{line}",
        "kubectl get service -A | grep 1080   # is the master installed, and is this its name? "
        "{upgrade} --set lite.master.endpoint=<its address>",
    ),
    Known(
        "master-down",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): [^\n]*[Cc]onnection (refused|reset)",
        "{line}",
        "kubectl get pods,endpoints -n <the master's namespace>   # kubectl kuscia doctor there",
    ),
    Known(
        "master-unreachable",
        r"no Kuscia gateway answers at (?P<endpoint>[^\s:]+://[^\s]+?): ",
        "{line}",
        FIREWALL,
    ),
    Known(
        "unknown-domain",
        r"the master's release has to name it under master\.domains",
        "{line}",
        "{master_upgrade} --set master.domains.{domain}.endpoint={gateway}",
    ),
    Known(
        "token-wrong",
        r"is not the domain's unused one",
        "{line}",
        REKEY,
    ),
    Known(
        "certificate-of-another",
        r"the master has another certificate for it",
        "{line}",
        "kubectl get configmap {fullname}-domain-cert -n {namespace} -o jsonpath='{{.data.domain\\.crt}}'   # what "
        "this prints goes into master.domains.{domain}.cert, with allowRekey: true, of the master's release",
    ),
    Known(
        "runk-forbidden",
        r"refuses (what RunK does in|to (list pods in|\w+ configmaps \S+/kuscia-engines))",
        "RunK may not make engine pods in {engines}: {line}",
        "{upgrade}   # makes Role and RoleBinding {fullname}-runk in {engines}; with lite.runk.kubeconfigSecret they "
        "are yours to make",
    ),
    Known(
        "database-login",
        r"user and password are not the server's",
        "{line}",
        "kubectl edit secret {db_secret} -n {namespace}   # the password of {db_user}, base64; the pod goes on",
    ),
    Known(
        "no-database",
        r"make it: (?P<value>CREATE DATABASE [^)\n]*)",
        "{line}",
        "{value}   # on {db_host}, by its administrator; the pod goes on by itself",
    ),
    Known(
        "state-of-another-domain",
        r"was made for another domainId or with another clusterToken",
        "{line}",
        "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # give back the former domainId or "
        "clusterToken, or name a database of its own: {upgrade} --set master.datastore.database=<another>",
    ),
    Known(
        "too-many-connections",
        r"Too many connections|too many clients",
        "{line}",
        "SET GLOBAL max_connections = 1000   # on {db_host}, and in its configuration file",
    ),
    Known(
        "no-secret",
        r"Secret (?P<value>\S+) (does not exist|has no value)",
        "{line}",
        "kubectl get secret -n {namespace}   # make or mend it; the step goes on by itself",
    ),
)
