"""kubectl and helm on the cluster that the demo runs on, and the one of its own that it starts on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo_progress import DemoFailed, Progress

REPO = Path(__file__).resolve().parents[1]
DEMO_IMAGE = "tracekeeper-demo"
MONITORING_IMAGE = "tracekeeper-demo-monitoring"
DEMO_IMAGES = {DEMO_IMAGE: "examples/demo", MONITORING_IMAGE: "examples/demo/monitoring"}
"""The images that only the demo uses, and what each is built from."""
OWN_NAME = "tracekeeper-demo"
SYSTEM, SHOP = "tracekeeper-system", "tracekeeper-demo"
RELEASE = "tracekeeper"
OURS = "app.kubernetes.io/part-of=tracekeeper-demo"
"""The label of every namespace that the demo makes; nothing without it is ever removed."""


def version() -> str:
    """The project's version: the images' tag and the chart's appVersion."""
    for line in (REPO / "pyproject.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    raise DemoFailed("pyproject.toml names no version")


class Kube:
    """kubectl and helm on one cluster. `prefix` is what a person types before `kubectl` to do the same."""

    prefix = ""
    registry = ""
    pull_policy = "IfNotPresent"
    chart_options: tuple[str, ...] = ()

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def argv(self, tool: str, *args: str) -> list[str]:
        """The words that run a tool on this cluster."""
        return [tool, *args]

    def try_kubectl(self, *args: str, stdin: str | None = None, timeout: float = 60) -> tuple[bool, str]:
        """Whether kubectl succeeded, and what it printed: stdout, or stderr after a failure."""
        try:
            done = subprocess.run(
                self.argv("kubectl", *args), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return False, f"no answer within {timeout:.0f} s"
        return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr.strip()

    def kubectl(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What kubectl printed; raises DemoFailed with its complaint."""
        good, text = self.try_kubectl(*args, stdin=stdin, timeout=timeout)
        if not good:
            raise DemoFailed(f"kubectl {' '.join(args[:6])} failed", *text.splitlines()[-8:])
        return text

    def json(self, *args: str) -> Any:
        """An object or list as kubectl prints it with -o json; raises DemoFailed."""
        return json.loads(self.kubectl(*args, "-o", "json"))

    def run(self, what: str, argv: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> None:
        """Run a long command, showing its newest line; raises DemoFailed with the last ones and the file with all."""
        with tempfile.NamedTemporaryFile("w+", prefix="tracekeeper-demo-", suffix=".log", delete=False) as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=REPO,
                env={**os.environ, **(environment or {})},
            )
            code = self._follow(what, process, Path(log.name), timeout)
        lines = Path(log.name).read_text(errors="replace").splitlines()
        if code != 0:
            problem = f"{what}: not done within {timeout:.0f} s" if code is None else f"{what}: exit code {code}"
            raise DemoFailed(problem, *lines[-20:], f"all of its output: {log.name}")
        os.unlink(log.name)

    def _follow(self, what: str, process: subprocess.Popen[bytes], log: Path, timeout: float) -> int | None:
        deadline = time.monotonic() + timeout
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    return None
                lines = log.read_bytes()[-400:].decode(errors="replace").strip().splitlines()
                self._progress.live(f"{what}{': ' + lines[-1].strip()[:90] if lines else ''}")
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
        return process.returncode

    def prepare(self) -> None:
        """Make sure that the cluster is there and may be used."""

    def images(self) -> None:
        """Build the four images and make them known to the cluster."""

    def remove(self) -> None:
        """Remove every trace of the demo."""

    def image(self, name: str) -> str:
        """The full name of one of our images."""
        return f"{self.registry}/{name}:{version()}"


class OwnCluster(Kube):
    """A real Kubernetes that the demo starts on this machine: see scripts/cluster.sh."""

    prefix = f"scripts/cluster.sh --name {OWN_NAME} "
    registry = "localhost"
    chart_options = ("--set", "injector.replicas=1")  # One node: a second injector protects from nothing.
    _script = str(REPO / "scripts" / "cluster.sh")

    def argv(self, tool: str, *args: str) -> list[str]:
        return [self._script, "--name", OWN_NAME, tool, *args]

    def prepare(self) -> None:
        with self._progress.step("starting Kubernetes, in namespaces of its own", "Kubernetes runs"):
            self.run("starting Kubernetes", self.argv("up"), 1800)

    def images(self) -> None:
        ours = [self.image(f"tracekeeper-{target}") for target in ("operator", "sidecar")]
        with self._progress.step("building the images (minutes the first time)", "four images are built"):
            self.run("making the base image", self.argv("base-image"), 900)
            base = subprocess.run(
                self.argv("base-image"), capture_output=True, text=True, timeout=60, check=True
            ).stdout
            for target, tag in zip(("operator", "sidecar"), ours, strict=True):
                self._build(base.split()[0], tag, ".", "--target", target)
            for name, context in DEMO_IMAGES.items():
                self._build(base.split()[0], self.image(name), context)
        with self._progress.step("loading the images into the cluster", "the cluster has the images"):
            self.run("loading images", self.argv("load-image", *ours, *map(self.image, DEMO_IMAGES)), 300)

    def _build(self, base: str, tag: str, context: str, *options: str) -> None:
        """As `build-image` does, with buildah's own lines as progress."""
        arguments = ["bud", "--layers", "--pull-never", "--tag", tag, "--build-arg", f"BASE_IMAGE={base}"]
        self.run(f"building {tag}", self.argv("buildah", *arguments, *options, context), 1500)

    def remove(self) -> None:
        if os.geteuid() != 0:
            raise DemoFailed("removing the demo's cluster needs root", "sudo make demo-down")
        with self._progress.step("removing the demo's Kubernetes", "the demo's Kubernetes is gone"):
            self.run("removing Kubernetes", self.argv("down"), 120)
        cache = self._cache()
        if os.environ.get("CACHES", "0") not in ("", "0"):
            shutil.rmtree(cache, ignore_errors=True)
            self._progress.good(f"removed the caches, {cache}")
        elif cache.exists():
            self._progress.say(
                f"Kept: built programs and images in {cache}. To remove them too: make demo-down CACHES=1"
            )

    def _cache(self) -> Path:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Path(os.environ.get("TRACEKEEPER_CACHE") or base / "tracekeeper")
