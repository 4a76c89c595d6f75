"""What the node runs, with which options, in which order. Pure: it only makes text.

Kubernetes 1.34 with containerd 1.6 is a pair that works on cgroup v1 and v2 (`failCgroupV1: false`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cluster.netns import DNS_IP, NODE_IP, POD_CIDR, SERVICE_CIDR
from cluster.pki import SERVER

NODE = "node1"
PAUSE_IMAGE = "localhost/pause:1"
ETCD = "http://127.0.0.1:2379"
API_READY = f"{SERVER}/readyz"


@dataclass(frozen=True, slots=True)
class Component:
    """A process of the node: started once all it `needs` is there (`unix:PATH` accepts, `https:…` answers 200)."""

    name: str
    argv: list[str]
    needs: list[str] = field(default_factory=list)


def plan(state: Path, tools: Path) -> list[Component]:
    """Return the node's processes, in the order in which they are looked at."""
    return [
        _etcd(state),
        Component("containerd", ["containerd", "--config", str(state / "containerd.toml")]),
        _apiserver(state, tools),
        _kubelet(state, tools),
        _controller_manager(state, tools),
        _scheduler(state, tools),
        _proxy(state, tools),
        Component("coredns", [str(tools / "coredns"), "-conf", str(state / "Corefile")], [API_READY]),
    ]


def to_json(components: list[Component]) -> str:
    """Return what `cluster.init` reads."""
    return json.dumps([asdict(component) for component in components], indent=1)


def containerd_socket(state: Path) -> Path:
    """The socket of the cluster's containerd, reachable from everywhere on the machine."""
    return state / "containerd.sock"


def _etcd(state: Path) -> Component:
    argv = ["etcd", "--data-dir", str(state / "etcd"), "--unsafe-no-fsync", "--logger", "zap"]
    argv += ["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]
    argv += ["--listen-peer-urls", "http://127.0.0.1:2380"]
    return Component("etcd", argv)


def _apiserver(state: Path, tools: Path) -> Component:
    pki = state / "pki"
    options: dict[str, str | Path] = {
        "etcd-servers": ETCD,
        "bind-address": NODE_IP,
        "advertise-address": NODE_IP,
        "secure-port": "6443",
        "service-cluster-ip-range": SERVICE_CIDR,
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "client-ca-file": pki / "ca.crt",
        "service-account-key-file": pki / "service-accounts.key",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "kubelet-client-certificate": pki / "admin.crt",
        "kubelet-client-key": pki / "admin.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "requestheader-client-ca-file": pki / "ca.crt",
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki / "front-proxy.crt",
        "proxy-client-key-file": pki / "front-proxy.key",
    }
    return Component("apiserver", _argv(tools / "kube-apiserver", options))


def _controller_manager(state: Path, tools: Path) -> Component:
    config = state / "controller-manager.kubeconfig"
    options: dict[str, str | Path] = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "service-account-private-key-file": state / "pki/service-accounts.key",
        "root-ca-file": state / "pki/ca.crt",
        "cluster-signing-cert-file": state / "pki/ca.crt",
        "cluster-signing-key-file": state / "pki/ca.key",
        "use-service-account-credentials": "true",
        "leader-elect": "false",
    }
    return Component("controller-manager", _argv(tools / "kube-controller-manager", options), [API_READY])


def _scheduler(state: Path, tools: Path) -> Component:
    config = state / "scheduler.kubeconfig"
    options: dict[str, str | Path] = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "leader-elect": "false",
    }
    return Component("scheduler", _argv(tools / "kube-scheduler", options), [API_READY])


def _proxy(state: Path, tools: Path) -> Component:
    options: dict[str, str | Path] = {
        "kubeconfig": state / "proxy.kubeconfig",
        "cluster-cidr": POD_CIDR,
        "hostname-override": NODE,
        "proxy-mode": "iptables",
        "conntrack-max-per-core": "0",  # the machine's own limit is not ours to change
    }
    return Component("proxy", _argv(tools / "kube-proxy", options), [API_READY])


def _kubelet(state: Path, tools: Path) -> Component:
    options: dict[str, str | Path] = {
        "config": state / "kubelet.yaml",
        "kubeconfig": state / "kubelet.kubeconfig",
        "hostname-override": NODE,
        "node-ip": NODE_IP,
        "v": "2",
    }
    needs = [f"unix:{containerd_socket(state)}", API_READY]
    return Component("kubelet", _argv(tools / "kubelet", options), needs)


def _argv(program: Path, options: dict[str, str | Path]) -> list[str]:
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


def files(state: Path, cgroup_root: str, snapshotter: str) -> dict[str, str]:
    """Return the configuration files: path relative to the state folder, then text."""
    return {
        "containerd.toml": _containerd(state, snapshotter),
        "kubelet.yaml": json.dumps(_kubelet_configuration(state, cgroup_root), indent=1),
        "cni/10-pods.conflist": json.dumps(_cni(state), indent=1),
        "Corefile": _corefile(state),
    }


def _containerd(state: Path, snapshotter: str) -> str:
    unused = ["aufs", "btrfs", "devmapper", "zfs"]
    disabled = json.dumps([f"io.containerd.snapshotter.v1.{name}" for name in unused])
    return f"""\
version = 2
root = "{state}/containerd"
state = "{state}/containerd-state"
disabled_plugins = {disabled}
[grpc]
  address = "{containerd_socket(state)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"""


def _kubelet_configuration(state: Path, cgroup_root: str) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{state}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{state}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{state}/pki/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{containerd_socket(state)}",
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%", "memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "volumeStatsAggPeriod": "5s",  # how soon the kubelet notices a full volume; the default is a minute
        "syncFrequency": "10s",  # how soon a changed Secret reaches its volume; the default is a minute
        "nodeStatusUpdateFrequency": "2s",
        "enforceNodeAllocatable": [],
    }


def _cni(state: Path) -> dict[str, object]:
    # A routed pair for each pod: a bridge would need br_netfilter for a pod to reach its neighbour by a service.
    ranges = [[{"subnet": POD_CIDR}]]
    routes = [{"dst": "0.0.0.0/0"}]
    ipam = {"type": "host-local", "dataDir": f"{state}/cni-addresses", "ranges": ranges, "routes": routes}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": ipam}, portmap]}


def _corefile(state: Path) -> str:
    return f"""\
.:53 {{
    bind {NODE_IP}
    errors
    cache 5
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {state}/admin.kubeconfig
        ttl 5
    }}
}}
"""


def dns_service() -> list[dict[str, object]]:
    """Return the objects that make CoreDNS, a process of the node, the cluster's DNS service."""
    both = [("dns", "UDP"), ("dns-tcp", "TCP")]
    ports = [{"name": name, "port": 53, "protocol": protocol} for name, protocol in both]
    named = {"name": "kube-dns", "namespace": "kube-system"}
    labels = {"kubernetes.io/service-name": "kube-dns"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": named, "spec": {"clusterIP": DNS_IP, "ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "kube-dns-node", "namespace": "kube-system", "labels": labels},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [NODE_IP], "conditions": {"ready": True}}],
        },
    ]
