"""The cluster's certificates and kubeconfigs, made anew for each cluster, good for 30 days."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cluster.commands import run
from cluster.netns import NODE_IP

SERVER = f"https://{NODE_IP}:6443"
DAYS = "30"
API_SERVER_NAMES = (
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,"
    f"IP:10.96.0.1,IP:{NODE_IP},IP:127.0.0.1"
)
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": "/O=system:nodes/CN=system:node:node1",
    "proxy": "/CN=system:kube-proxy",
}
OPENSSL_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth,serverAuth
"""


def make(state: Path) -> None:
    """Write state/pki/*.crt|key and one state/NAME.kubeconfig (certificates embedded) for each client."""
    folder = state / "pki"
    folder.mkdir(mode=0o700)
    (folder / "openssl.cnf").write_text(OPENSSL_CONFIG)
    _certificate(folder, "ca", "/CN=tracekeeper-test-cluster", "ca")
    key = ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout"]
    run([*key, "-out", str(folder / "service-accounts.key")])
    _certificate(folder, "apiserver", "/CN=kube-apiserver", "leaf", API_SERVER_NAMES)
    _certificate(folder, "front-proxy", "/CN=front-proxy", "leaf")
    for client, subject in CLIENTS.items():
        names = f"DNS:node1,IP:{NODE_IP}" if client == "kubelet" else ""
        _certificate(folder, client, subject, "leaf", names)
        _kubeconfig(state, client)


def _certificate(folder: Path, name: str, subject: str, extensions: str, names: str = "") -> None:
    argv = ["openssl", "req", "-x509", "-config", str(folder / "openssl.cnf"), "-extensions", extensions]
    argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS, "-subj", subject]
    argv += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    if extensions != "ca":
        argv += ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
    if names:
        argv += ["-addext", f"subjectAltName={names}"]
    run(argv)


def _kubeconfig(state: Path, client: str) -> None:
    def data(file: str) -> str:
        return base64.b64encode((state / "pki" / file).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{client}.crt"), "client-key-data": data(f"{client}.key")}
    cluster = {"server": SERVER, "certificate-authority-data": data("ca.crt")}
    name = state.name
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": client}}],
        "current-context": name,
    }
    file = state / f"{client}.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config, indent=1))
