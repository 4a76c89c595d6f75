"""The cluster that kubectl points to: somebody else's, where only what the demo made may be changed or removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

from demo_cluster import DEMO_IMAGES, OURS, RELEASE, REPO, SHOP, SYSTEM, Kube, version
from demo_progress import DemoFailed, Progress

DEFINITION = "tracingconfigs.tracekeeper.dev"


class CurrentCluster(Kube):
    """The cluster of the current kube context; images go through a registry that its nodes can pull from."""

    pull_policy = "Always"  # A node may hold an older image under the same tag, from the last demo.
    chart_options = ("--set", "image.pullPolicy=Always")

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.registry = os.environ.get("REGISTRY", "").rstrip("/")

    def prepare(self) -> None:
        self._check_tools("kubectl", "helm")
        if not self.registry:
            raise DemoFailed(
                "CLUSTER=current needs REGISTRY=…: a registry that you may push to and the cluster can pull from",
                "make demo CLUSTER=current REGISTRY=registry.example.com/you",
            )
        good, context = self.try_kubectl("config", "current-context")
        good, server = self.try_kubectl("version") if good else (False, context)
        if not good:
            raise DemoFailed("kubectl reaches no cluster", server, "try: kubectl config get-contexts; kubectl version")
        self._check_foreign()
        self._progress.say(f"On the kube context {context.strip()!r}. It creates: namespaces tracekeeper-system and")
        self._progress.say(
            "tracekeeper-demo, a Helm release, its webhooks and cluster roles, and the CRD of TracingConfig."
        )
        self._progress.say(f"It pushes four images to {self.registry}. To remove it: make demo-down CLUSTER=current")
        self._ask()

    def _ask(self) -> None:
        """Raises DemoFailed unless somebody agrees; where nobody can be asked, YES=1 has to have been said."""
        if os.environ.get("YES", "0") not in ("", "0"):
            return
        unasked = "without the question: make demo CLUSTER=current REGISTRY=… YES=1"
        if not self._progress.interactive:
            raise DemoFailed("nothing was done: there is no terminal to ask on whether to go on", unasked)
        if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
            raise DemoFailed("nothing was done", unasked)

    def _check_tools(self, *tools: str) -> None:
        for tool in tools:
            if shutil.which(tool) is None:
                raise DemoFailed(f"{tool} is not on the PATH", f"install {tool}, or leave CLUSTER=current out")

    def _check_foreign(self) -> None:
        """Raises DemoFailed when what the demo would make is there already: it would change it, and later remove it."""
        for release in self._releases():
            if release["chart"].startswith("tracekeeper-") and not self.ours(release["namespace"]):
                raise DemoFailed(
                    f"Tracekeeper is already installed here: release {release['name']} in {release['namespace']}",
                    "use it: kubectl apply -f examples/demo/manifests (set the image's registry first)",
                )
        for name in (SYSTEM, SHOP):
            namespace = self._find("namespace", name)
            if namespace is not None and not _made_by_demo(namespace):
                raise DemoFailed(
                    f"namespace {name} is there already, and the demo did not make it: it would be used, then removed",
                    f"what is in it: kubectl get all,tracingconfigs -n {name}",
                    "use another cluster, or remove the namespace yourself if nobody needs it",
                )
        if self._find("namespace", SYSTEM) is None and self._find("crd", DEFINITION) is not None:
            raise DemoFailed(
                f"the CRD {DEFINITION} is there already, and the demo did not make it: Tracekeeper is or was in use",
                "who uses it: kubectl get tracingconfigs --all-namespaces",
                f"if nobody does: kubectl delete crd {DEFINITION}",
            )

    def _releases(self) -> list[dict[str, str]]:
        argv = ["helm", "list", "--all-namespaces", "--output", "json"]
        try:
            listed = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"{' '.join(argv)}: no answer within 60 s") from None
        if listed.returncode != 0:
            raise DemoFailed(f"{' '.join(argv)} failed", *listed.stderr.strip().splitlines()[-4:])
        releases: list[dict[str, str]] = json.loads(listed.stdout or "[]")
        return releases

    def _find(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object as kubectl prints it; None when there is none."""
        text = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(text)) if text.strip() else None

    def ours(self, namespace: str) -> bool:
        """Whether the demo made this namespace."""
        found = self._find("namespace", namespace)
        return found is not None and _made_by_demo(found)

    def images(self) -> None:
        environment = {"REGISTRY": self.registry, "PUSH": "1", "VERSION": version()}
        with self._progress.step("building and pushing operator and sidecar", "operator and sidecar are pushed"):
            self.run("scripts/image.sh", [str(REPO / "scripts" / "image.sh")], 1800, environment)
        for name, context in DEMO_IMAGES.items():
            with self._progress.step(f"building and pushing {name}", f"pushed {self.image(name)}"):
                for argv in self._demo_commands(self.image(name), context):
                    self.run(" ".join(argv[:2]), argv, 900, {"BUILDAH_ISOLATION": "chroot", "BUILDAH_FORMAT": "docker"})

    def _demo_commands(self, tag: str, context: str) -> list[list[str]]:
        docker = (
            shutil.which("docker")
            and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
        )
        tool = os.environ.get("TOOL") or ("docker" if docker else "podman" if shutil.which("podman") else "buildah")
        if tool == "buildah":
            return [["buildah", "bud", "--layers", "--tag", tag, context], ["buildah", "push", tag, f"docker://{tag}"]]
        return [[tool, "build", "--tag", tag, context], [tool, "push", tag]]

    def remove(self) -> None:
        """Remove the two namespaces with what is in them, the release and its CRD; nothing that others made."""
        self._check_tools("kubectl", "helm")
        for namespace in (SHOP, SYSTEM):
            if not self.ours(namespace):
                self._progress.say(f"Namespace {namespace}: not there, or not made by the demo; left alone.")
                continue
            with self._progress.step(f"removing namespace {namespace} and what is in it", f"{namespace} is gone"):
                if namespace == SYSTEM:
                    argv = ["helm", "uninstall", RELEASE, "-n", namespace, "--ignore-not-found", "--wait"]
                    self.run("helm uninstall", argv, 180)
                    self._remove_definition()  # While the namespace is there: it proves that the release was ours.
                self.kubectl("delete", "namespace", namespace, "--timeout=120s", timeout=150)

    def _remove_definition(self) -> None:
        """Remove the CRD, which helm keeps, if it is of the demo's release and nobody has a TracingConfig."""
        definition = self._find("crd", DEFINITION)
        if definition is None:
            return
        annotations = definition["metadata"].get("annotations") or {}
        owner = (annotations.get("meta.helm.sh/release-namespace"), annotations.get("meta.helm.sh/release-name"))
        if owner != (SYSTEM, RELEASE):
            self._progress.say(f"Kept the CRD {DEFINITION}: the demo's release did not make it.")
            return
        if left := self.json("get", DEFINITION, "--all-namespaces")["items"]:
            where = ", ".join(sorted({item["metadata"]["namespace"] for item in left}))
            self._progress.say(f"Kept the CRD {DEFINITION}: TracingConfigs that the demo did not make are in {where}.")
            return
        self.kubectl("delete", "crd", DEFINITION)
        self._progress.good(f"removed the CRD {DEFINITION}")


def _made_by_demo(namespace: dict[str, Any]) -> bool:
    key, _, value = OURS.partition("=")
    labels = namespace["metadata"].get("labels") or {}
    return bool(labels.get(key) == value)
