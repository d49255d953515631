"""Commands that fix several of the known causes."""

UPGRADE = "helm upgrade {release} ./charts/kuscia -n {namespace} --reuse-values"
MASTER_UPGRADE = "helm upgrade <the master's release> ./charts/kuscia -n <the master's namespace> --reuse-values"
RESTART = "kubectl rollout restart deployment/{fullname} -n {namespace}"
FIREWALL = (
    "curl -kv --max-time 5 {endpoint}/   # from a pod here; then open firewall, whitelist or NetworkPolicy on the way"
)
REKEY = (
    "{master_upgrade} --set master.domains.{domain}.allowRekey=true   # or restore the old key into Secret "
    "{namespace}/{key_secret}"
)
SHOW_CONFIG = "kubectl get configmap {fullname}-config -n {namespace} -o yaml   # then mend the values, and: {upgrade}"
SHOW_KEY = (
    "kubectl get secret {key_secret} -n {namespace} -o jsonpath='{{.data}}' | head -c 200   # one RSA key in PEM; mend "
    "it, then: {restart}"
)
