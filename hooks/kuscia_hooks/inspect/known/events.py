"""Known causes in the warning events of pods and Jobs, and in the messages of containers that cannot start.

The text is `<reason>: <message>`.
"""

from kuscia_hooks.inspect.finding import LogPattern

DESCRIBE = "kubectl describe {kind} {object} -n {object_namespace}"
# Reasons that only repeat what a log or another event says.
CONSEQUENCES = (
    "BackOff",
    "BackoffLimitExceeded",
    "DNSConfigForming",
    "DeadlineExceeded",
    "ProbeWarning",
    "Unhealthy",
)
# The first pattern that matches decides, so specific ones come first.
EVENTS: tuple[LogPattern, ...] = (
    LogPattern(
        "quota-exceeded",
        r"exceeded quota: (?P<value>[\w.-]+)[^\n]*",
        "a ResourceQuota does not permit the pod: {message}",
        "kubectl describe resourcequota {value} -n {object_namespace}   # increase it, or reduce the requests and "
        "limits in {resources}",
    ),
    LogPattern(
        "quota-exceeded",
        r"failed quota: (?P<value>[\w.-]+): must specify (?P<missing>[^\n]*)",
        "a ResourceQuota requires values for {missing}, which the pod does not set",
        "kubectl describe resourcequota {value} -n {object_namespace}   # then set {missing} in {resources}",
    ),
    LogPattern(
        "pod-security-rejected",
        r"violates PodSecurity",
        "Pod Security does not permit the pod: {message}",
        "kubectl get namespace {object_namespace} --show-labels   # relax pod-security.kubernetes.io/enforce, or "
        "change the security context in the values",
    ),
    LogPattern(
        "secret-not-found",
        r'secret "(?P<value>[\w.-]+-domain-key)" not found',
        "the pod waits for Secret {object_namespace}/{value}, which the step keys creates",
        "kubectl logs -n {object_namespace} -l app.kubernetes.io/component=keys --tail 20   # then {upgrade}",
    ),
    LogPattern(
        "secret-not-found",
        r'secrets? "(?P<value>[\w.-]+)" not found',
        "the pod waits for Secret {object_namespace}/{value}, which does not exist",
        "kubectl create secret generic {value} -n {object_namespace} --from-file=<key>=<file>",
    ),
    LogPattern(
        "secret-key-missing",
        r"couldn't find key (?P<value>[\w.-]+) in Secret (?:[\w.-]+/)?(?P<secret>[\w.-]+)",
        "Secret {object_namespace}/{secret} has no key {value}",
        "kubectl create secret generic {secret} -n {object_namespace} --from-file={value}=<file> --dry-run=client -o "
        "yaml | kubectl apply -f -",
    ),
    LogPattern(
        "secret-key-missing",
        r"references non-existent secret key: (?P<value>[\w.-]+)",
        "a Secret that the pod mounts has no key {value}",
        DESCRIBE + "   # shows the volumes; add the key to the Secret",
    ),
    LogPattern(
        "configmap-not-found",
        r'configmaps? "(?P<value>[\w.-]+)" not found',
        "the pod waits for ConfigMap {object_namespace}/{value}, which does not exist",
        "{upgrade}   # creates it; create a ConfigMap that the values name yourself",
    ),
    LogPattern(
        "claim-not-found",
        r'persistentvolumeclaims? "(?P<value>[\w.-]+)" not found',
        "PersistentVolumeClaim {object_namespace}/{value} does not exist",
        "kubectl get persistentvolumeclaims -n {object_namespace}   # create it, or correct the value that names it",
    ),
    LogPattern(
        "claim-not-bound",
        r"unbound immediate PersistentVolumeClaims",
        "a PersistentVolumeClaim of the pod has no volume",
        "kubectl describe persistentvolumeclaims -n {object_namespace}   # set a storageClass that exists",
    ),
    LogPattern(
        "claim-not-bound",
        r"^ProvisioningFailed: ",
        "PersistentVolumeClaim {object_namespace}/{object} gets no volume: {message}",
        DESCRIBE + "   # correct its storageClass, or the provisioner of the class",
    ),
    LogPattern(
        "volume-mount-failed",
        r"^(FailedMount|FailedAttachVolume|FailedMapVolume): ",
        "a volume of the pod cannot be mounted: {message}",
        DESCRIBE,
    ),
    LogPattern(
        "pod-unscheduled",
        r"Insufficient (cpu|memory|ephemeral-storage|pods)|^OutOf\w+: ",
        "no node has enough free resources for the pod: {message}",
        "kubectl describe nodes   # shows allocatable and allocated resources; add a node, or reduce the requests in "
        "{resources}",
    ),
    LogPattern(
        "pod-unscheduled",
        r"^FailedScheduling: ",
        "the pod cannot be scheduled: {message}",
        DESCRIBE + "   # add a node that meets its requirements, or change them",
    ),
    LogPattern(
        "pull-secret-not-found",
        r"^FailedToRetrieveImagePullSecret: [^\n]*\((?P<value>[\w., -]+)\)",
        "imagePullSecrets names a Secret that does not exist in {object_namespace}: {value}",
        "kubectl create secret docker-registry {value} -n {object_namespace} --docker-server=<registry> "
        "--docker-username=<user> --docker-password=<password>",
    ),
    LogPattern(
        "image-pull",
        r"kuscia-hooks[^\n]*(pull|not found|not present)|(pull|Pull|Image)[^\n]*kuscia-hooks",
        "the image of the steps cannot be pulled: {message}",
        "set global.kuscia.hooksImage.repository: <registry>/kuscia-hooks, then {upgrade}   # build and push it "
        "first, or load it into the nodes (README.md, Install)",
    ),
    LogPattern(
        "image-pull",
        r"^(ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|ImageInspectError)|[Pp]ull(ing)? image|"
        r"ErrImageNeverPull|InvalidImageName",
        "the image cannot be pulled: {message}",
        DESCRIBE + "   # fix the image name, or the registry login (global.kuscia.imagePullSecrets; for engine pods "
        "the default ServiceAccount of their namespace)",
    ),
    LogPattern(
        "pod-evicted",
        r"^(Evicted|Preempting|Preempted|NodeShutdown|Terminated): ",
        "the node ended the pod: {message}",
        "kubectl describe nodes   # free memory or disk on the node, or increase the requests in {resources}",
    ),
    LogPattern(
        "host-not-ready",
        r"^NodeLost: ",
        "the node of the pod does not report to Kubernetes: {message}",
        "kubectl get nodes   # repair the node, or delete the pod so that another node runs it",
    ),
    LogPattern(
        "container-create",
        r"^(CreateContainerConfigError|CreateContainerError|RunContainerError): ",
        "the container cannot be created: {message}",
        DESCRIBE,
    ),
    LogPattern("pod-not-created", r"^FailedCreate: ", "the pod could not be created: {message}", DESCRIBE),
)
OTHER_EVENT = LogPattern("pod-warning", r"^", "{message}", DESCRIBE)
