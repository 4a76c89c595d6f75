"""The cluster's programs, built from the Go module in tools/ into the cache, once for each content of that folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from cluster import golang, paths
from cluster.commands import run
from cluster.errors import ClusterError
from cluster.lock import locked

MODULE = paths.HERE / "tools"
KUBERNETES = "k8s.io/kubernetes/cmd"
PROGRAMS = {
    "kube-apiserver": f"{KUBERNETES}/kube-apiserver",
    "kube-controller-manager": f"{KUBERNETES}/kube-controller-manager",
    "kube-scheduler": f"{KUBERNETES}/kube-scheduler",
    "kube-proxy": f"{KUBERNETES}/kube-proxy",
    "kubelet": f"{KUBERNETES}/kubelet",
    "kubectl": f"{KUBERNETES}/kubectl",
    "helm": "helm.sh/helm/v3/cmd/helm",
    "coredns": "./coredns",
}
REPORT_EVERY = 20.0
LIMIT = 3600.0


def folder(module: Path = MODULE) -> Path:
    """The folder of the built programs: its name is the hash of all that goes into them."""
    digest = hashlib.sha256()
    for file in sorted(path for path in module.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(module)}\0".encode() + file.read_bytes() + b"\0")
    digest.update(json.dumps([PROGRAMS, link_flags()]).encode())
    return paths.cache() / "tools" / digest.hexdigest()[:16]


def ensure() -> Path:
    """Return the folder of the programs; build what is missing, saying so. The first time takes about 10 minutes.

    Raises ClusterError with the compiler's words when it fails.
    """
    done = folder()
    if not _complete(done):
        done.mkdir(parents=True, exist_ok=True)
        with locked(done.parent, LIMIT, "building the cluster's programs"):
            if not _complete(done):
                _build_into(done)
    return done


def _complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in PROGRAMS)


def _build_into(done: Path) -> None:
    go = golang.ensure()
    partial = done.with_name(f"{done.name}.{os.getpid()}")
    partial.mkdir(exist_ok=True)
    try:
        _build(go, partial)
        for name in PROGRAMS:
            (partial / name).replace(done / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def version(module: str) -> str:
    """Return the version of a module that go.mod requires, e.g. `v1.34.4`."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"tests/cluster/tools/go.mod does not require {module}")
    return found[1]


def link_flags() -> str:
    """Return the linker's options: no debug information, and the versions that the programs tell."""
    # Without the stamp Kubernetes calls itself v0.0.0-master, and a chart's kubeVersion refuses it.
    kubernetes = version("k8s.io/kubernetes")
    major, minor, _ = kubernetes.lstrip("v").split(".")
    base, helm = "k8s.io/component-base/version", "helm.sh/helm/v3"
    stamps = {
        f"{base}.gitVersion": kubernetes,
        f"{base}.gitMajor": major,
        f"{base}.gitMinor": minor,
        f"{base}.gitTreeState": "clean",
        f"{base}.buildDate": "2026-01-01T00:00:00Z",
        f"{helm}/internal/version.version": version(helm),
        f"{helm}/pkg/chartutil.k8sVersionMajor": major,
        f"{helm}/pkg/chartutil.k8sVersionMinor": minor,
    }
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in stamps.items())])


def _build(go: Path, output: Path) -> None:
    """Build all programs in one go: packages that they share are compiled once, the links overlap."""
    env = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    print(f"Building {', '.join(PROGRAMS)} into {output.parent}: about 10 minutes on 2 cores.", flush=True)
    packages = list(PROGRAMS.values())
    print("  fetching the Go modules …", flush=True)
    listed = run([str(go), "list", "-deps", *packages], timeout=LIMIT, env=env, cwd=str(MODULE))
    build = [str(go), "build", "-v", "-o", f"{output}/", "-ldflags", link_flags(), *packages]
    with subprocess.Popen(
        build, cwd=MODULE, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        watch = threading.Timer(LIMIT, process.kill)
        watch.start()
        try:
            said = _report(process, output, len(listed.stdout.splitlines()))
        finally:
            watch.cancel()
    if process.returncode != 0:
        raise ClusterError(f"go build failed with {process.returncode}:\n" + "\n".join(said[-40:]))


def _report(process: subprocess.Popen[str], output: Path, total: int) -> list[str]:
    """Print a line every so often: packages compiled, programs linked. Return what the compiler said."""
    began = time.monotonic()
    said: list[str] = []

    def collect() -> None:
        assert process.stderr is not None
        said.extend(line.rstrip() for line in process.stderr)

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    linked: set[str] = set()
    last = 0.0
    while process.poll() is None:
        elapsed = time.monotonic() - began
        if elapsed - last >= REPORT_EVERY:
            last = elapsed
            print(f"  {_clock(elapsed)}  {len(said)} of at most {total} packages compiled", flush=True)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        for name in PROGRAMS:
            if name not in linked and (output / name).exists():
                linked.add(name)
                print(f"  {_clock(elapsed)}  {name}", flush=True)
    reader.join(10)
    return said


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:2d}:{int(seconds) % 60:02d}"
