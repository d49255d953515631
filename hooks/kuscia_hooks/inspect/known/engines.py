"""Known causes in the logs of engines."""

from kuscia_hooks.inspect.finding import Known

# What an engine prints, or its data source answers.
ENGINE: tuple[Known, ...] = (
    Known(
        "too-few-threads",
        r"pthread_create failed: Resource temporarily unavailable",
        "the node's podPidsLimit is too small for the engine's threads",
        "kubectl get --raw /api/v1/nodes/<node>/proxy/configz   # podPidsLimit; raise it on the node",
    ),
    Known(
        "oss-style",
        r"\(400\)[^\n]*ListObjectsV2|ListObjectsV2[^\n]*\b400\b",
        "the object store refuses the style of the address: Aliyun needs virtualhost, Baidu a host s3.…",
        "{upgrade} --set lite.data.source.virtualhost=true",
    ),
    Known(
        "read-times-out",
        r"ReadTimeoutError|Read timed out",
        "large answers do not arrive: the path's MTU is smaller than the pods', or a proxy cuts them",
        "kubectl exec deploy/{fullname} -n {namespace} -- cat /sys/class/net/eth0/mtu   # compare along the path",
    ),
)
