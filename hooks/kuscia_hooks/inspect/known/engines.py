"""Known causes in the logs of engines (Kuscia facts 12.6)."""

from kuscia_hooks.inspect.finding import LogPattern

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
        "{upgrade} --set lite.data.source.virtualhost=true",
    ),
    LogPattern(
        "read-timeout",
        r"ReadTimeoutError|Read timed out",
        "large responses do not arrive: the MTU of the path is smaller than that of the pods, or a proxy cuts them",
        "kubectl exec deploy/{fullname} -n {namespace} -- cat /sys/class/net/eth0/mtu   # compare along the path",
    ),
)
