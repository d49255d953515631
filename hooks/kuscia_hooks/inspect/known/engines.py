"""Known causes in the logs of engines and in the status of jobs (Kuscia facts 12.6)."""

import re

from kuscia_hooks.inspect.finding import LogPattern
from kuscia_hooks.inspect.known.commands import CA_BUNDLE

ENGINE: tuple[LogPattern, ...] = (
    LogPattern(
        "too-few-threads",
        r"pthread_create failed: Resource temporarily unavailable",
        "podPidsLimit of the node is too small for the threads of the engine",
        "kubectl get --raw /api/v1/nodes/<node>/proxy/configz   # shows podPidsLimit; increase it on the node",
    ),
    LogPattern(
        "object-store-address-style",
        r"\(400\)[^\n]*ListObjectsV2|ListObjectsV2[^\n]*\b400\b",
        "the object store rejects the address style: Aliyun requires virtualhost, Baidu requires a host s3.…",
        "set lite.data.source.virtualhost: true, then {upgrade}",
    ),
    LogPattern(
        "s3-certificate-not-trusted",
        # Text of DataMesh, which runs in Kuscia and reports it to the engine (Go's crypto/x509).
        r"x509: (?P<value>certificate (signed by unknown authority|is valid for|has expired)[^\n]*)",
        "Kuscia does not trust the object store: {value}",
        CA_BUNDLE,
    ),
    LogPattern(
        "read-timeout",
        r"ReadTimeoutError|Read timed out",
        "large responses do not arrive: the MTU of the path is smaller than that of the pods, or a proxy cuts them",
        "kubectl exec deploy/{fullname} -n {namespace} -- cat /sys/class/net/eth0/mtu   # compare along the path",
    ),
)

NO_ROOM = "engine-no-room"
JOB: tuple[LogPattern, ...] = (
    LogPattern(
        "quota-exceeded",
        # Text of the API server, with which RunK fails to create the pod.
        r"exceeded quota: (?P<value>[\w.-]+)",
        "a ResourceQuota does not permit the engine pod",
        "kubectl describe resourcequota {value} -n {engines}   # increase it, or reduce the requests in {resources}",
    ),
    LogPattern(
        NO_ROOM,
        # Text of a task that failed because a domain had no room for 13 minutes (Kuscia's resource_plugin.go).
        r"resource-check no node (cache to|status available for domain) (?P<value>[a-z0-9-]+)",
        "domain {value} has no room for an engine: its AppImage requests more than the capacity, or no node is Ready",
        "{more_room}",
    ),
    LogPattern(
        NO_ROOM,
        # Texts of the scheduler and of the resource manager of Kuscia (recording "job query j-cf").
        r"waiting for task resource|find related task resource|reserve resources for pods|Insufficient (cpu|memory)",
        "a lite has no room for an engine: its AppImage requests more than the capacity, or no node is Ready",
        "{more_room}",
    ),
    LogPattern(
        "out-of-memory",
        r"terminated state reason [\\\"]*OOMKilled",
        "an engine exceeded its memory limit",
        "{more_memory}",
    ),
    LogPattern(
        "image-pull",
        r"ErrImagePull|ImagePullBackOff",
        "an engine image cannot be pulled",
        "kubectl get events -n {engines}   # fix the image in master.appImages, or the registry login of the default "
        "ServiceAccount",
    ),
)
CONNECTION_LOST = re.compile(
    r"[Cc]onnection reset by peer|[Bb]roken pipe|keepalive (watchdog|ping) |Got EOF of|Connection closed by remote"
)
"""Texts of engines whose connections break."""
