"""Pytest fixtures: the real cluster, the images in it, the installed chart, a namespace for each test."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from cluster import images as image_store
from cluster import machine, monitoring_stack, paths
from cluster.errors import CommandFailed
from cluster.lock import locked
from cluster.monitoring_stack import Monitoring
from cluster.node import Cluster

NAME = os.environ.get("TRACEKEEPER_CLUSTER", "tracekeeper-test")
SYSTEM = "tracekeeper-system"
RELEASE = "tracekeeper"
DEMO_IMAGE = "localhost/tracekeeper-demo:dev"
LIMIT = 180.0
ON_NODE = "kept-on-the-node"
"""The one namespace where the installed chart allows buffers on the node."""
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give cluster tests a limit that leaves out the fixtures: images take minutes, and have limits of their own."""
    for item in items:
        if item.get_closest_marker("cluster") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LIMIT, func_only=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests failed, for the fixtures that then show the state of the cluster."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def project_version() -> str:
    """The project's version, which is the images' tag and the chart's appVersion."""
    return str(tomllib.loads((paths.REPO / "pyproject.toml").read_text())["project"]["version"])


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster, new and removed at the end.

    With $TRACEKEEPER_KEEP_CLUSTER=1 it is kept, and used again by the next run that says so, even by several at once.
    """
    node = Cluster(NAME)
    keep = os.environ.get("TRACEKEEPER_KEEP_CLUSTER") == "1"
    machine.check()
    paths.cache().mkdir(parents=True, exist_ok=True)
    what = f"another test run uses the cluster {NAME}; $TRACEKEEPER_CLUSTER names another one"
    with locked(paths.cache() / f"{NAME}.lock", 5, what, shared=keep):
        if not keep:
            node.down()
        node.up()
        yield node
        if not keep:
            node.down()


@pytest.fixture(scope="session")
def demo_image(cluster: Cluster) -> str:
    """The name of the loaded image of examples/demo: an application with the OpenTelemetry SDK, and a backend."""
    image_store.build(DEMO_IMAGE, paths.REPO / "examples/demo")
    image_store.load(cluster, DEMO_IMAGE)
    return DEMO_IMAGE


@pytest.fixture(scope="session")
def project_images(cluster: Cluster) -> dict[str, str]:
    """The names of the loaded images `operator` and `sidecar`, built from the project's Dockerfile."""
    built = image_store.build_project(project_version())
    image_store.load(cluster, *built.values())
    return built


@pytest.fixture(scope="session")
def images(project_images: dict[str, str], demo_image: str) -> dict[str, str]:
    """The names of all loaded images: `operator`, `sidecar`, `demo`."""
    return {**project_images, "demo": demo_image}


@pytest.fixture(scope="session")
def tracekeeper(cluster: Cluster, project_images: dict[str, str]) -> str:
    """The chart, installed by Helm as a user would, into the namespace tracekeeper-system; the release's name."""
    install(cluster)
    return RELEASE


@pytest.fixture(scope="session")
def monitoring(cluster: Cluster, demo_image: str) -> Iterator[Monitoring]:
    """The namespace for Prometheus and Alertmanager, empty, with their images loaded and no CRD of theirs there.

    It is removed at the end, with the CRDs: the other tests have the machine for themselves.
    """
    stack = Monitoring(cluster)
    stack.load()
    stack.remove()
    cluster.kubectl("create", "namespace", monitoring_stack.NAMESPACE)
    yield stack
    stack.remove()


def install(cluster: Cluster, *options: str, release: str = RELEASE, namespace: str = SYSTEM) -> None:
    """Install or upgrade the chart and wait until it is ready; on failure the error shows the pods and their logs."""
    chart = str(paths.REPO / "charts/tracekeeper")
    argv = ["upgrade", "--install", release, chart, "-n", namespace, "--create-namespace"]
    argv += ["--set", "image.registry=localhost", "--wait", "--timeout", "90s"]
    argv += ["--set", f"sidecar.hostPath.path={node_folder(cluster)}"]
    argv += ["--set", f"sidecar.hostPath.namespaces={{{ON_NODE}}}", *options]
    try:
        cluster.helm(*argv)
        # Helm waits until the injector is ready; the next test's pod is asked about only once it can be reached, too.
        injector = f"deployment/{release}-injector"
        cluster.kubectl("rollout", "status", injector, "-n", namespace, "--timeout=60s", timeout=70)
    except CommandFailed as error:
        error.add_note(describe(cluster, namespace))
        raise


def node_folder(cluster: Cluster) -> Path:
    """The folder on the node for such buffers, made as the platform's owner makes it. It goes with the cluster."""
    folder = cluster.state / "spans"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new namespace, deleted after the test; when the test failed, what is in it is printed first."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    yield from _made(cluster, request, f"{slug}-{uuid.uuid4().hex[:6]}")


@pytest.fixture
def namespace_on_node(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The namespace where buffers may be on the node, as new, and deleted after the test like any other."""
    cluster.kubectl("delete", "namespace", ON_NODE, "--ignore-not-found", "--wait=true", timeout=90)
    shutil.rmtree(node_folder(cluster) / ON_NODE, ignore_errors=True)
    yield from _made(cluster, request, ON_NODE)


def _made(cluster: Cluster, request: pytest.FixtureRequest, name: str) -> Iterator[str]:
    cluster.kubectl("create", "namespace", name)
    yield name
    if request.node.stash.get(FAILED, False):
        print(describe(cluster, name))
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def describe(cluster: Cluster, namespace: str) -> str:
    """What a person would look at in a namespace where something is wrong: pods, events, the ends of the logs."""
    pods = cluster.kubectl("get", "pods", "-n", namespace, "-o", "name", check=False).split()
    looks = [["get", "all", "-o", "wide"], ["get", "events", "--sort-by=.lastTimestamp"]]
    looks += [["describe", pod] for pod in pods]
    looks += [["logs", "--all-containers", "--prefix", "--tail=40", pod] for pod in pods]
    parts = []
    for look in looks:
        done = cluster.run(["kubectl", "-n", namespace, *look], check=False)
        parts.append(f"--- kubectl -n {namespace} {' '.join(look)}\n{done.stdout}{done.stderr}")
    return "\n".join(parts)
