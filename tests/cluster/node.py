"""A real Kubernetes on this machine: one node, in namespaces of its own, from nothing to Ready in seconds."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from cluster import binaries, components, images, kernel, machine, netns, paths, pki
from cluster.client import Client
from cluster.commands import run
from cluster.errors import ClusterError, CommandFailed, DeadlinePassed
from cluster.lock import locked
from cluster.process import Process
from cluster.wait import wait_for

KUBELET_FOLDER = Path("/var/lib/kubelet")
START = 180.0  # seconds; 12 on an idle machine with 2 cores


class Cluster(Client):
    """One cluster, named; clusters of different names do not touch each other.

    `up` and `down` can be called in any state, also after a run that was killed half way.
    """

    def __init__(self, name: str = "tracekeeper") -> None:
        self.state = paths.states() / name
        super().__init__(name, self.state)

    def running(self) -> bool:
        """Whether the cluster's process 1 lives."""
        process = Process.load(self.state / "init.pid")
        return process is not None and process.alive()

    def up(self) -> None:
        """Start the cluster and return when pods can run: node Ready, DNS answers. About 12 s.

        Raises NotPrepared when something is missing on the machine, and ClusterError, with the end of the log of
        what failed, when it does not come up.
        """
        machine.check()
        tools = binaries.ensure()
        with self._locked():
            if self.running() and not (self.state / "failed").exists():
                return
            self._remove()
            try:
                self._start(tools)
            except BaseException:
                self._keep_logs()
                self._remove()
                raise

    def down(self) -> None:
        """Remove the cluster and everything that it left on the machine. About 2 s."""
        machine.check_root()
        if paths.states().exists():
            with self._locked():
                self._remove()
            with suppress(OSError):
                paths.states().rmdir()

    def log(self, component: str, lines: int = 25) -> str:
        """Return the end of a component's log, e.g. `kubelet`, or `init` for the process that starts all others."""
        file = self.state / "log" / f"{component}.log"
        text = file.read_text(errors="replace") if file.exists() else "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def _start(self, tools: Path) -> None:
        self.state.mkdir(mode=0o755)
        (self.state / "log").mkdir()
        pki.make(self.state)
        snapshotter = "overlayfs" if machine.overlay_works(self.state) else "native"  # native: slow copies
        for name, text in components.files(self.state, f"/{self.name}", snapshotter).items():
            file = self.state / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        (self.state / "components.json").write_text(components.to_json(components.plan(self.state, tools)))
        kernel.save_tunables(paths.states() / "tunables.json")
        kernel.make_cgroups(self.name)
        KUBELET_FOLDER.mkdir(parents=True, exist_ok=True)
        netns.make(self.name)
        self._spawn()
        self._wait_ready()

    def _spawn(self) -> None:
        spaces = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private"]
        argv = [*netns.enter(self.name), *spaces, sys.executable, "-m", "cluster.init", str(self.state)]
        env = {**os.environ, "PYTHONPATH": str(paths.HERE.parent)}
        env["PATH"] = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        with (self.state / "log/init.log").open("w") as log:
            # setsid ends at once; what it starts belongs to nobody here, and outlives this process.
            argv = ["setsid", "--fork", *argv]
            subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/", check=True)

    def _wait_ready(self) -> None:
        end = time.monotonic() + START
        wait_for((self.state / "init.pid").exists, 10, lambda: f"process 1 of {self.name} starts:\n{self.log('init')}")
        self._wait(end, "containerd", lambda: components.containerd_socket(self.state).is_socket())
        self._wait(end, "containerd", self._pause_image_loaded)
        self._wait(end, "apiserver", lambda: self._try("get", "--raw", "/readyz") is not None)
        self._wait(end, "controller-manager", lambda: self._try("get", "serviceaccount", "default") is not None)
        self.apply(components.dns_service())
        self._wait(end, "kubelet", self._node_ready)
        self._wait(end, "coredns", self._dns_answers)

    def _wait(self, end: float, component: str, condition: Callable[[], bool]) -> None:
        def come_true() -> bool:
            if not self.running():
                raise ClusterError(f"the cluster {self.name} ended while it started:\n{self.log('init')}")
            if (failed := self.state / "failed").exists():
                name = failed.read_text()
                raise ClusterError(f"{name} of the cluster {self.name} ends again and again:\n{self.log(name)}")
            return condition()

        try:
            wait_for(come_true, max(1.0, end - time.monotonic()), component)
        except DeadlinePassed:
            raise ClusterError(
                f"the cluster {self.name} did not start within {START:g} s: waiting for {component}.\n"
                f"What was started:\n{self.log('init')}\nThe end of {component}.log:\n{self.log(component)}"
            ) from None

    def _pause_image_loaded(self) -> bool:
        return self.ctr("images", "import", str(images.pause()), check=False).returncode == 0

    def _try(self, *args: str) -> str | None:
        with suppress(CommandFailed):
            return self.kubectl(*args, timeout=15)
        return None

    def _node_ready(self) -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return self._try("get", "node", components.NODE, f"-o=jsonpath={path}") == "True"

    def _dns_answers(self) -> bool:
        def ask() -> bool:
            # One question: the address of kubernetes.default.svc.cluster.local.
            labels = b"".join(bytes([len(part)]) + part for part in b"kubernetes.default.svc.cluster.local".split(b"."))
            question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.settimeout(0.5)
                udp.sendto(question, (netns.DNS_IP, 53))
                answer = udp.recv(512)
            return answer[3] & 15 == 0 and answer[7] > 0

        with suppress(OSError):
            return netns.inside(self.name, ask)
        return False

    def _remove(self) -> None:
        """Remove what is there, whatever the state: processes first, then what they held."""
        if process := Process.load(self.state / "init.pid"):
            process.kill()
            wait_for(lambda: not process.alive(), 20, f"process {process.pid} of {self.name} does not die")
        kernel.remove_cgroups(self.name)
        netns.remove(self.name)
        run(["rm", "-rf", "--one-file-system", str(self.state)], timeout=120)  # thousands of files of the images
        if not any(entry.is_dir() for entry in paths.states().iterdir()):
            kernel.restore_tunables(paths.states() / "tunables.json")
            with suppress(OSError):
                KUBELET_FOLDER.rmdir()

    def _keep_logs(self) -> None:
        kept = paths.cache() / "failed" / self.name
        if (self.state / "log").exists():
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.state / "log", kept)
            print(f"The logs of the cluster that did not start are in {kept}", file=sys.stderr)

    def _locked(self) -> AbstractContextManager[None]:
        """The lock of all clusters of this machine: starting and removing are done one at a time."""
        paths.states().mkdir(parents=True, exist_ok=True)
        return locked(paths.states(), 300, "starting or removing a cluster")
