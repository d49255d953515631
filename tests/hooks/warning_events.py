"""Warning events of pods and Jobs that hang, as Kubernetes words them, with the ID and fix that `doctor` prints."""

# Reason, message, error ID, part of the fix.
OF_PODS = [
    ("FailedMount", 'MountVolume.SetUp failed for volume "ca" : secret "my-ca" not found', "secret-not-found",
     "kubectl create secret generic my-ca -n ns --from-file="),
    ("FailedMount", 'MountVolume.SetUp failed for volume "k" : secret "kuscia-master-domain-key" not found',
     "secret-not-found", "kubectl logs -n ns -l app.kubernetes.io/component=keys"),
    ("FailedMount", 'MountVolume.SetUp failed for volume "ca" : references non-existent secret key: ca.crt',
     "secret-key-missing", "kubectl describe pod the-pod -n ns"),
    ("FailedMount", 'MountVolume.SetUp failed for volume "c" : configmap "extra" not found', "configmap-not-found",
     "upgrade release kuscia "),
    ("FailedAttachVolume", "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) other",
     "volume-mount-failed", "kubectl describe pod the-pod -n ns"),
    ("FailedScheduling", '0/2 nodes are available: persistentvolumeclaim "state" not found. not found',
     "claim-not-found", "kubectl get persistentvolumeclaims -n ns"),
    ("FailedScheduling", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
     "claim-not-bound", "storageClass"),
    ("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", "pod-unscheduled", "master.resources"),
    ("FailedScheduling", "0/1 nodes are available: 1 node(s) had untolerated taint {a: b}.", "pod-unscheduled",
     "kubectl describe pod the-pod -n ns"),
    ("FailedCreatePodSandBox", "Failed to create pod sandbox: network plugin is not ready", "pod-warning",
     "kubectl describe pod the-pod -n ns"),
]  # fmt: skip
# Message, error ID, part of the fix.
OF_JOBS = [
    ('pods "kuscia-master-register-1-x" is forbidden: exceeded quota: compute, requested: limits.cpu=1, used: '
     "limits.cpu=4, limited: limits.cpu=4", "quota-exceeded", "kubectl describe resourcequota compute -n ns"),
    ('pods "x" is forbidden: failed quota: compute: must specify limits.cpu for: register; requests.cpu for: register',
     "quota-exceeded", "master.jobs.resources"),
    ('pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
     "pod-security-rejected", "kubectl get namespace ns --show-labels"),
    ("admission webhook \"policy.example.com\" denied the request", "pod-not-created",
     "kubectl describe job kuscia-master-register-1 -n ns"),
]  # fmt: skip
