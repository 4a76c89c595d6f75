"""What one does with a running cluster: kubectl, helm, HTTP to its addresses, and a hand on its containers."""

from __future__ import annotations

import http.client
import json
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster import binaries, components, netns
from cluster.commands import Completed, run
from cluster.errors import ClusterError

Manifest = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Client:
    """A handle on the cluster `name`, whose state is in the folder `state`."""

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self.kubeconfig = state / "admin.kubeconfig"
        self._state = state

    def environment(self) -> dict[str, str]:
        """The variables that a command in the cluster's network gets: KUBECONFIG, and PATH with the tools first."""
        path = f"{binaries.folder()}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        home = self._state / "helm"  # what a person's own helm and kubectl keep is left alone
        helm = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": path, "KUBECACHEDIR": str(self._state / "kubectl"), **helm}

    def argv(self, command: Sequence[str]) -> list[str]:
        """The words that run `command` in the network of the node (with `environment()` added)."""
        return [*netns.enter(self.name), *command]

    def kubectl_argv(self, *args: str) -> list[str]:
        """The words of a kubectl command, for callers that run it themselves, e.g. to stream `logs -f`."""
        return self.argv([str(binaries.folder() / "kubectl"), *args])

    def run(
        self, command: Sequence[str], *, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> Completed:
        """Run any command in the network of the node. Raises CommandFailed."""
        return run(self.argv(command), stdin=stdin, check=check, timeout=timeout, env=self.environment())

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl and return what it printed. Raises CommandFailed, with its complaint in the text."""
        return self.run([str(binaries.folder() / "kubectl"), *args], stdin=stdin, check=check, timeout=timeout).stdout

    def helm(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Run helm and return what it printed. Raises CommandFailed, with its complaint in the text."""
        return self.run([str(binaries.folder() / "helm"), *args], stdin=stdin, check=check, timeout=timeout).stdout

    def get(self, *args: str, namespace: str = "default") -> Any:
        """`kubectl get ARGS -o json`, parsed: an object, or a list object with `items`. Raises CommandFailed."""
        return json.loads(self.kubectl("get", *args, "-n", namespace, "-o", "json"))

    def find(self, *args: str, namespace: str = "default") -> Any | None:
        """Like `get` of one object, but None when there is none."""
        text = self.kubectl("get", *args, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def apply(self, manifest: Manifest, namespace: str | None = None) -> str:
        """Apply YAML text, one object, or a list of objects, on the server's side.

        `namespace` is that of objects that name none; objects that name another are refused if it is given.
        """
        if isinstance(manifest, str):
            text = manifest
        else:
            items = [manifest] if isinstance(manifest, Mapping) else list(manifest)
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        where = ["-n", namespace] if namespace else []
        return self.kubectl("apply", "--server-side", "--force-conflicts", *where, "-f", "-", stdin=text)

    def http(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = 5,
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request from the node to a pod's or a service's address: status, headers (lower case), body.

        Raises OSError (also http.client's errors as ClusterError) when there is no whole answer.
        """
        parts = urllib.parse.urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")

        def ask() -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
            try:
                connection.request(method, target or "/", body or None, dict(headers or {}))
                answer = connection.getresponse()
                return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            except http.client.HTTPException as error:
                raise ClusterError(f"{method} {url}: no whole HTTP answer: {error!r}") from error
            finally:
                connection.close()

        return netns.inside(self.name, ask, timeout=timeout + 30)

    def ctr(self, *args: str, check: bool = True, timeout: float = 120) -> Completed:
        """containerd's own client, on the images and containers of Kubernetes."""
        socket = components.containerd_socket(self._state)
        return run(["ctr", "--address", str(socket), "-n", "k8s.io", *args], check=check, timeout=timeout)

    def loaded(self) -> dict[str, str]:
        """The images loaded so far: name, then id."""
        file = self._state / "loaded.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def note_loaded(self, tag: str, identifier: str) -> None:
        """Remember that an image was loaded."""
        (self._state / "loaded.json").write_text(json.dumps({**self.loaded(), tag: identifier}))

    def pod_ip(self, namespace: str, pod: str) -> str:
        """The pod's address; raises ClusterError while it has none."""
        if address := self.get("pod", pod, namespace=namespace)["status"].get("podIP"):
            return str(address)
        raise ClusterError(f"the pod {namespace}/{pod} has no address yet")

    def container_id(self, namespace: str, pod: str, container: str) -> str:
        """The id of the running container (init containers included). Raises ClusterError when it does not run."""
        status = self.get("pod", pod, namespace=namespace)["status"]
        for entry in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
            if entry["name"] == container and "running" in entry.get("state", {}):
                return str(entry["containerID"]).removeprefix("containerd://")
        raise ClusterError(f"the container {container} of the pod {namespace}/{pod} does not run: {status}")

    def container_pid(self, namespace: str, pod: str, container: str) -> int:
        """The process of the container by the machine's numbers: look into /proc/PID for its memory."""
        wanted = self.container_id(namespace, pod, container)
        # containerd's own numbers are those of the cluster's process namespace.
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _runs_in(entry, wanted):
                return int(entry.name)
        raise ClusterError(f"no process of the container {container} of {namespace}/{pod} is there")

    def kill_container(self, namespace: str, pod: str, container: str, signal: str = "KILL") -> None:
        """Send a signal to the container's first process, from the node, as a crash or the OOM killer would."""
        identifier = self.container_id(namespace, pod, container)
        self.ctr("tasks", "kill", "--signal", f"SIG{signal.removeprefix('SIG')}", identifier)

    def crash_pod(self, namespace: str, pod: str) -> None:
        """End every process of the pod at once, its sandbox's too: what a node that loses power does to it."""
        uid = self.get("pod", pod, namespace=namespace)["metadata"]["uid"]
        found = self.ctr("containers", "list", "--quiet", f'labels."io.kubernetes.pod.uid"=={uid}').stdout.split()
        if not found:
            raise ClusterError(f"the pod {namespace}/{pod} has no containers on the node")
        for identifier in found:
            self.ctr("tasks", "kill", "--signal", "SIGKILL", "--all", identifier, check=False)

    def volume(self, namespace: str, pod: str, volume: str) -> Path:
        """The folder on this machine of a pod's emptyDir, to plant or damage files."""
        uid = self.get("pod", pod, namespace=namespace)["metadata"]["uid"]
        folder = self._state / "kubelet/pods" / str(uid) / "volumes/kubernetes.io~empty-dir" / volume
        if not folder.is_dir():
            raise ClusterError(f"the pod {namespace}/{pod} has no emptyDir {volume} on the node: {folder}")
        return folder


def _runs_in(entry: Path, container: str) -> bool:
    """Whether the process is the first one of the container: in its control group, and number 1 in there."""
    try:
        if container not in (entry / "cgroup").read_text():
            return False
        numbers = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:"))
        return numbers.split()[-1] == "1"
    except (OSError, StopIteration):
        return False
