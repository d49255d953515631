"""The daemons of a cluster: arguments, configuration and health of each, one function per daemon."""

import json
import shutil
from pathlib import Path

import yaml

from . import namespaces, probes, toolchain, versions
from .names import Names
from .processes import Daemon

PAUSE_IMAGE = "docker.io/local/pause:1"
CLUSTER_DOMAIN = "cluster.local"
DEBIAN_CNI_PLUGINS = "/usr/lib/cni"
CAP_SYS_RESOURCE = 24
APISERVER_SOCKET = "/run/apiserver.sock"  # inside the mount namespace


def all_daemons(names: Names) -> list[list[Daemon]]:
    """Return the daemons in the order of their start: each group starts when the previous one is healthy."""
    return [
        [etcd(names), containerd(names)],
        [apiserver(names), gate(names), forwarder(names)],
        [
            controller_manager(names),
            scheduler(names),
            proxy(names),
            network_policies(names),
            coredns(names),
            kubelet(names),
        ],
    ]


def _tool(name: str) -> str:
    """Absolute path of the current build; it carries the version, so that a new build restarts a daemon."""
    return str((toolchain.bin_dir() / name).resolve())


def _kubernetes(names: Names, program: str) -> str:
    """Absolute path of a program of the Kubernetes that the cluster runs."""
    return _tool(program + versions.of(names).suffix)


def _system(name: str) -> str:
    return shutil.which(name, path=namespaces.SYSTEM_PATH) or name


def _kubeconfig(names: Names, client: str) -> str:
    return str(names.pki / f"{client}.kubeconfig")


def etcd(names: Names) -> Daemon:
    return Daemon(
        "etcd",
        (
            _tool("etcd"),
            f"--data-dir={names.state}/etcd",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            # Speed is more important than to survive a power failure, after which `up` recreates the cluster.
            "--unsafe-no-fsync",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        ),
        lambda: probes.unhealthy(names, "http://127.0.0.1:2379/health"),
    )


def apiserver(names: Names) -> Daemon:
    pki = names.pki
    return Daemon(
        "kube-apiserver",
        (
            _kubernetes(names, "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=6443",
            f"--advertise-address={names.node_address}",
            f"--service-cluster-ip-range={names.service_network}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,PodSecurity",
            "--anonymous-auth=false",
            "--allow-privileged=true",
            "--profiling=false",
            "--v=1",
        ),
        lambda: probes.unhealthy(names, f"{names.api_url}/readyz", admin=True),
        seconds=120,
    )


def gate(names: Names) -> Daemon:
    """Inner half of the one way into the network namespace: from a unix socket to the API server."""
    return Daemon(
        "gate",
        (
            _system("socat"),
            f"UNIX-LISTEN:{APISERVER_SOCKET},fork,unlink-early,mode=600",
            f"TCP:{names.node_address}:6443",
        ),
        lambda: probes.refuses(str(names.run / "run" / "apiserver.sock")),
    )


def forwarder(names: Names) -> Daemon:
    """Outer half: from a port on the machine's loopback to the unix socket."""
    return Daemon(
        "forwarder",
        (
            _system("socat"),
            f"TCP-LISTEN:{names.loopback_port},bind=127.0.0.1,fork,reuseaddr",
            f"UNIX-CONNECT:{APISERVER_SOCKET}",
        ),
        lambda: probes.unhealthy(names, f"{names.loopback_url}/readyz", inside=False, admin=True),
        seconds=120,
        outside=True,
    )


def controller_manager(names: Names) -> Daemon:
    config, pki = _kubeconfig(names, "kube-controller-manager"), names.pki
    return Daemon(
        "kube-controller-manager",
        (
            _kubernetes(names, "kube-controller-manager"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            # Dynamic volumes: directories below /tmp/hostpath_pv, which names.binds makes the cluster's own.
            "--enable-hostpath-provisioner=true",
            "--profiling=false",
            "--v=1",
        ),
        lambda: probes.unhealthy(names, "https://127.0.0.1:10257/healthz"),
    )


def scheduler(names: Names) -> Daemon:
    config = _kubeconfig(names, "kube-scheduler")
    return Daemon(
        "kube-scheduler",
        (
            _kubernetes(names, "kube-scheduler"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--profiling=false",
            "--v=1",
        ),
        lambda: probes.unhealthy(names, "https://127.0.0.1:10259/healthz"),
    )


def proxy(names: Names) -> Daemon:
    return Daemon(
        "kube-proxy",
        (
            _kubernetes(names, "kube-proxy"),
            f"--kubeconfig={_kubeconfig(names, 'kube-proxy')}",
            "--proxy-mode=iptables",
            f"--hostname-override={names.name}",
            f"--cluster-cidr={names.pod_network}",
            # Some machines permit neither to write the conntrack limits nor to lower the OOM score.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--oom-score-adj=0",
            "--healthz-bind-address=127.0.0.1:10256",
            "--metrics-bind-address=127.0.0.1:10249",
            "--iptables-min-sync-period=0s",
            "--v=1",
        ),
        lambda: probes.unhealthy(names, "http://127.0.0.1:10256/healthz"),
    )


def network_policies(names: Names) -> Daemon:
    health = "127.0.0.1:10260"
    return Daemon(
        "network-policies",
        (
            _tool("network-policies"),
            f"--kubeconfig={_kubeconfig(names, 'network-policies')}",
            f"--hostname-override={names.name}",
            f"--health-bind-address={health}",
        ),
        lambda: probes.unhealthy(names, f"http://{health}/healthz"),
    )


def coredns(names: Names) -> Daemon:
    corefile = f"""\
{CLUSTER_DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {names.node_address}
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {_kubeconfig(names, "coredns")}
        pods insecure
        ttl 5
    }}
    cache 5
}}
.:53 {{
    bind {names.node_address}
    errors
    health 127.0.0.1:8181
    # No other network exists. Return NXDOMAIN at once, because clients retry after REFUSED.
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""
    path = names.config / "Corefile"
    return Daemon(
        "coredns",
        (_tool("coredns"), "-conf", str(path)),
        lambda: probes.unhealthy(names, "http://127.0.0.1:8181/health"),
        {path: corefile},
    )


def containerd(names: Names) -> Daemon:
    cni = names.config / "cni"
    config = names.config / "containerd.toml"
    restrict_oom = "true" if not _capable(CAP_SYS_RESOURCE) else "false"
    text = f"""\
version = 2
root = "{names.state}/containerd"
state = "/run/containerd"
oom_score = 0

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{names.state}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {restrict_oom}
  disable_tcp_service = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{DEBIAN_CNI_PLUGINS}"
  conf_dir = "{cni}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""
    network = {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            # hairpinMode: a pod reaches itself through its own Service.
            {
                "type": "bridge",
                "bridge": "pods0",
                "isDefaultGateway": True,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": str(names.pod_network)}]]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    return Daemon(
        "containerd",
        (_system("containerd"), "--config", str(config)),
        lambda: probes.refuses(str(names.containerd_socket)),
        {config: text, cni / "10-pods.conflist": json.dumps(network, indent=2)},
        leaves_children=True,
    )


def kubelet(names: Names) -> Daemon:
    resolv = names.config / "resolv.conf"
    config = names.config / "kubelet.yaml"
    socket = "unix:///run/containerd/containerd.sock"
    settings: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(names.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(names.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(names.pki / "kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": names.cgroup,
        "failSwapOn": False,
        "clusterDNS": [str(names.node_address)],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(resolv),
        "maxPods": 110,
        "oomScoreAdj": 0,
        # Images were imported and cannot be pulled again: a full disk must not delete them or evict pods.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "volumePluginDir": str(names.state / "volume-plugins"),
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "shutdownGracePeriod": "0s",
        "logging": {"verbosity": 1},
    }
    flags = [f"--container-runtime-endpoint={socket}"] if versions.older_than(names, 27) else []
    if not flags:
        settings["containerRuntimeEndpoint"] = socket
    if not versions.older_than(names, 31):
        settings["failCgroupV1"] = False
    if not versions.older_than(names, 35):
        # An image must not be pulled again because a test has pulled the same one with a Secret.
        settings["imagePullCredentialsVerificationPolicy"] = "NeverVerify"
    return Daemon(
        "kubelet",
        (
            _kubernetes(names, "kubelet"),
            f"--config={config}",
            f"--kubeconfig={_kubeconfig(names, 'kubelet-client')}",
            f"--hostname-override={names.name}",
            f"--node-ip={names.node_address}",
            *flags,
        ),
        lambda: probes.unhealthy(names, "http://127.0.0.1:10248/healthz"),
        {config: yaml.safe_dump(settings, sort_keys=False), resolv: f"nameserver {names.node_address}\n"},
    )


def _capable(capability: int) -> bool:
    """Whether this process, and so the daemons it starts, holds a capability."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False
