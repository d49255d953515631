"""Fixes of several known causes: commands, and values to set. `names.py` defines the names in braces."""

# Not a command: the values of a release may be in a file or in Git, where `helm upgrade --set` would be undone.
UPGRADE = "upgrade release {release} in namespace {namespace}"
# More room for engines, at the lite that has too little, and at the master, whose AppImages request too much.
MORE_CAPACITY = (
    "set a larger lite.capacity.cpu and lite.capacity.memory, then {upgrade}   # or smaller requests in "
    "master.appImages of the master; is its node Ready: kubectl kuscia status -n {namespace}"
)
SMALLER_REQUESTS = (
    "set smaller requests in master.appImages.<name>.deployTemplates, then {upgrade}   # or set a larger lite.capacity "
    "in the release of the lite; are its nodes Ready: kubectl kuscia status -n {namespace}"
)
RESTART = "kubectl rollout restart deployment/{fullname} -n {namespace}"
PEER = "kubectl kuscia doctor -n {peer_namespace}   # and: kubectl get pods,endpoints -n {peer_namespace}"
CURL = "curl -kv {endpoint}/   # must return 401 with a kuscia-error-message header; fix the proxy in front"
FIREWALL = (
    "curl -kv --max-time 5 {endpoint}/   # run it in a pod of {namespace}, then fix the firewall or NetworkPolicy "
    "that blocks it"
)
FIND_GATEWAY = (
    "kubectl get services -A | grep 1080   # find the gateway, set {endpoint_value} to its address, then {upgrade}"
)
REKEY = (
    "set master.domains.{domain}.allowRekey: true, then {master_upgrade}   # or restore the old key in Secret "
    "{namespace}/{key_secret}"
)
ADMIT = "set master.domains.{value}.endpoint: {gateway}, then {master_upgrade}"
CA_BUNDLE = "add the CA of the server to global.kuscia.caBundle, then {upgrade}   # or correct the name of the host"
SHOW_CONFIG = "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # fix the values, then {upgrade}"
SHOW_KEY = (
    "kubectl describe secret {key_secret} -n {namespace}   # must contain one RSA key in PEM; fix it, then: {restart}"
)
DATABASE_LOGIN = (
    "kubectl edit secret {db_secret} -n {namespace}   # base64 of the password of {db_user}; if Kuscia has started "
    "before: {restart}"
)
CREATE_DATABASE = "{create_database}   # on {db_host}, by its administrator; Kuscia does not create it"
DATABASE_ENDPOINTS = (
    "kubectl get endpoints -A | grep {db_host}   # is it running, and does a NetworkPolicy allow {namespace}?"
)
MORE_CONNECTIONS = "SET GLOBAL max_connections = 1000   # on {db_host}, and in its configuration file"
ROLE = (
    "{upgrade}   # creates Role and RoleBinding {fullname}-runk in {engines}; with lite.runk.kubeconfigSecret you "
    "create them"
)
PREVIOUS_STATE = (
    "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # restore the previous domainId and "
    "clusterToken, or set master.datastore.database to a new database, then {upgrade}"
)
