"""The findings that only `doctor` has, by ID. The catalog of errors has the IDs that it shares with the steps."""

from collections.abc import Mapping

_SUMMARIES: Mapping[str, str] = {
    # Pods
    "pod-not-created": "Kubernetes rejected a pod.",
    "quota-exceeded": "A ResourceQuota does not permit a pod.",
    "pod-security-rejected": "Pod Security of the namespace does not permit a pod.",
    "no-pod": "The release has no Kuscia pod.",
    "pod-unscheduled": "No node meets the requirements of the pod.",
    "pod-evicted": "The node ended a pod, for example because its disk or memory was full.",
    "pod-warning": "Kubernetes reports a warning about a pod that has not started yet.",
    "configmap-not-found": "A pod waits for a ConfigMap that does not exist.",
    "claim-not-found": "A pod waits for a PersistentVolumeClaim that does not exist.",
    "claim-not-bound": "A PersistentVolumeClaim of a pod has no volume.",
    "volume-mount-failed": "A volume of a pod cannot be mounted.",
    "pull-secret-not-found": "imagePullSecrets names a Secret that does not exist.",
    "image-pull": "An image cannot be pulled.",
    "container-create": "A container cannot be created.",
    "out-of-memory": "A container exceeded its memory limit.",
    "cpu-unsupported": "The CPU of the node does not have the features that the image requires.",
    "wrong-architecture": "The image is built for a different CPU architecture.",
    "port-not-permitted": "The user of the container may not listen on a port below 1024.",
    "disk-full": "A volume or the disk of the node is full.",
    "host-not-ready": "The node of a pod does not report to Kubernetes.",
    "not-ready": "Kuscia runs, but is not ready.",
    "probe-failed": "A probe fails, so Kubernetes restarts Kuscia.",
    "job-failed": "The Job of a step failed, and its pod was deleted.",
    "job-suspended": "The Job of a step is suspended.",
    "container-failed": "A container that the values add to the Kuscia pod failed.",
    "step-failed": "A step exited without reporting an error.",
    "secret-changed": "A Secret changed after the Kuscia pod started; the pod still uses the old value.",
    # Log of Kuscia
    "unknown-exit": "Kuscia exited for a reason that doctor does not recognize.",
    "unknown-mode": "kuscia.yaml has an unknown mode.",
    "domain-id-missing": "kuscia.yaml has no domainID.",
    "reserved-domain-id": "Kuscia reserves the domain ID master.",
    "unknown-protocol": "kuscia.yaml has an unknown protocol.",
    "runc-requires-privileged": "Runtime runc requires a privileged container.",
    "no-eth0": "The pod has no network interface eth0, which Kuscia requires.",
    "invalid-datastore-address": "Kuscia does not accept the datastore address.",
    "k3s-not-ready": "The K3s inside the master was not ready within 30 s.",
    "deploy-token-used": "The deploy token is already used, with a different domain key.",
    "certificate-request-rejected": "The certificate request of the lite names a different domain.",
    "node-name-taken": "A pod of another domain has the same name.",
    "runk-requires-capacity": "RunK requires capacity: cpu, memory and storage.",
    "service-account-token-missing": "RunK has no ServiceAccount token.",
    "unknown-runtime": "lite.runtime is not runk, runp or runc.",
    "inotify-limit": "The node has too few inotify instances.",
    "handshake-timeout": "The gateway of the master does not complete the handshake.",
    # Domains and routes, as KusciaAPI reports them
    "domain-not-found": "A domain of the values does not exist at the master.",
    "route-missing": "A route does not exist.",
    "route-no-handshake": "No handshake of a route has succeeded.",
    "route-no-token": "One side of a route has no token.",
    "route-unreachable": "The gateway of the source of a route cannot reach that of the destination.",
    "route-heartbeat-timeout": "The destination of a route has not seen the source for 30 s.",
    "route-revision-mismatch": "Both sides of a route hold tokens of different revisions.",
    "route-not-registered": "One of the two domains of a route has never registered.",
    # Database and engines
    "engine-no-room": "An engine does not start, because its AppImage requests more than the lite offers.",
    "kernel-parameters": "Engines lose connections, and kernel parameters are not as Kuscia recommends.",
    "engine-pods-without-lite": "Engine pods run although their lite has no pod.",
    "too-few-threads": "podPidsLimit of the node is too small for the threads of the engine.",
    "object-store-address-style": "The object store rejects the address style of the engine.",
    "read-timeout": "Large responses do not reach the engine.",
}


def finding_ids() -> Mapping[str, str]:
    """Return the summary of each finding that is not in the catalog of errors, by ID."""
    return _SUMMARIES
