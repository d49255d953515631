"""Known causes that any program reports when its node, its image or its limits do not fit."""

from kuscia_hooks.inspect.finding import LogPattern

HOST: tuple[LogPattern, ...] = (
    LogPattern(
        "cpu-unsupported",
        r"CPU does not support x86-64-v\d|requires? (at least )?x86-64-v\d",
        "the CPU of the node is too old for the image, or the virtual machine hides its features",
        "kubectl get pod {pod} -n {namespace} -o wide   # shows the node; set the CPU type of the VM to host, or "
        "select other nodes with {node}.nodeSelector",
    ),
    LogPattern(
        "wrong-architecture",
        r"exec format error",
        "the image is built for a different CPU architecture than that of the node",
        "kubectl get nodes -L kubernetes.io/arch   # use an image for that architecture, or select other nodes with "
        "{node}.nodeSelector",
    ),
    LogPattern(
        "port-not-permitted",
        r"bind: permission denied",
        "Kuscia may not listen on a port below 1024: the user of the container is not root",
        "kubectl get pod {pod} -n {namespace} -o yaml   # see Rootless in docs/variants.md: the sysctl "
        "net.ipv4.ip_unprivileged_port_start=0, or the capability NET_BIND_SERVICE",
    ),
    LogPattern(
        "disk-full",
        r"[Nn]o space left on device",
        "a volume or the disk of the node is full",
        "kubectl get persistentvolumeclaims,pods -n {namespace} -o wide   # enlarge the volume, or free disk space on "
        "the node",
    ),
    LogPattern(
        "out-of-memory",
        r"signal: killed",
        "the kernel killed a process: the container exceeded its memory limit",
        "{more_memory}",
    ),
)
