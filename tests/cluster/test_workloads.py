"""Every kind of workload runs with a sidecar, in namespaces as strict as they come, and beside a service mesh."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster import images as image_store
from cluster import webhooks
from cluster.errors import CommandFailed
from cluster.fixtures import RELEASE, SYSTEM, install
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import RESTRICTED, SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

RUNS, SPANS = 3, 12
"""Of each application: traces, and the spans in them."""
AGENT = ["python3", "/demo/agent.py"]
PROXY = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(time.sleep(2))); signal.pause()"
"""Like a mesh's: it is asked to end, and takes its time."""
IDLE = ["python3", "-c", "import signal; signal.pause()"]
REGISTRY, LOGIN = "127.0.0.1:5055", "puller:in-the-namespace-only"
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
STRICT = {
    "default": {"cpu": "500m", "memory": "128Mi"},
    "defaultRequest": {"cpu": "20m", "memory": "64Mi"},
    "min": {"cpu": "10m", "memory": "64Mi"},
    "max": {"cpu": "2", "memory": "512Mi", "ephemeral-storage": "256Mi"},
    "maxLimitRequestRatio": {"memory": "2"},
}
QUOTA = {
    "requests.cpu": "2",
    "limits.cpu": "12",
    "limits.memory": "8Gi",
    "limits.ephemeral-storage": "8Gi",
    "pods": "20",
}


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Workload:
    """A namespace like any other."""
    assert tracekeeper
    return Workload(cluster, namespace, demo_image)


@pytest.fixture
def strict(user: Workload) -> Workload:
    """A namespace that takes `restricted` pods only, bounds every container, and counts all that they ask for."""
    user.cluster.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=restricted")
    for kind, spec in (
        ("LimitRange", {"limits": [{"type": "Container", **STRICT}]}),
        ("ResourceQuota", {"hard": QUOTA}),
    ):
        user.cluster.apply({"apiVersion": "v1", "kind": kind, "metadata": in_it(user, "strict"), "spec": spec})
    return user


def in_it(user: Workload, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": user.namespace}


def template(
    user: Workload, name: str, linger: int, annotations: Mapping[str, str] = {}, **spec: Any
) -> dict[str, Any]:
    """A pod template of an application that makes its traces, stays for a while, and ends."""
    variables = {
        "AGENT_RUNS": RUNS,
        "AGENT_RUNS_PER_SECOND": 10,
        "AGENT_LINGER": linger,
        "OTEL_BSP_SCHEDULE_DELAY": 200,
    }
    environment = {"OTEL_SERVICE_NAME": name, **{key: str(value) for key, value in variables.items()}}
    opted = {"tracekeeper.dev/inject": "true", **annotations}
    pod = user.pod(name, AGENT, annotations=opted, environment=environment, **spec)
    del pod["metadata"]["name"], pod["metadata"]["namespace"]
    return {"metadata": pod["metadata"], "spec": pod["spec"]}


def controller(user: Workload, kind: str, name: str, group: str = "apps/v1", **more: Any) -> dict[str, Any]:
    """A controller of pods that stay."""
    spec = {"selector": {"matchLabels": {"app": name}}, **more}
    return {"apiVersion": group, "kind": kind, "metadata": in_it(user, name), "spec": spec}


def job_template(user: Workload, name: str, **spec: Any) -> dict[str, Any]:
    return {"backoffLimit": 0, "template": template(user, name, linger=0, **spec)}


def meshed(user: Workload) -> list[dict[str, Any]]:
    """A mesh's native proxy as its webhook puts it there, and an init container of the application's, which traces."""
    common = {"image": user.image, "imagePullPolicy": "Never", "securityContext": RESTRICTED}
    variables = {"AGENT_RUNS": RUNS, "AGENT_RUNS_PER_SECOND": 10, "OTEL_SERVICE_NAME": "prepare"}
    return [
        {"name": "istio-proxy", "command": ["python3", "-c", PROXY], "restartPolicy": "Always", **common},
        {
            "name": "prepare",
            "command": AGENT,
            "env": [{"name": key, "value": str(value)} for key, value in variables.items()],
            **common,
        },
    ]


def guaranteed(found: dict[str, Any]) -> dict[str, Any]:
    """The same template with limits alone, which are requests too."""
    (app,) = found["spec"]["containers"]
    app["resources"] = {"limits": {"cpu": "400m", "memory": "128Mi"}}
    return found


def pods(user: Workload, name: str) -> list[dict[str, Any]]:
    return list(user.cluster.get("pods", "-l", f"app={name}", namespace=user.namespace)["items"])


def sidecar(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = [item for item in pod["spec"].get("initContainers", []) if item["name"] == SIDECAR]
    return dict(found)


def described(user: Workload, *what: str) -> str:
    return user.cluster.kubectl("describe", *what, "-n", user.namespace, check=False)


def injectors(cluster: Cluster) -> list[Any]:
    """Their pods, those that are about to end included: they answer until they do."""
    return list(cluster.get("pods", "-l", "app.kubernetes.io/component=injector", namespace=SYSTEM)["items"])


def replicas(cluster: Cluster) -> int:
    """How many injectors there are to be."""
    return int(cluster.get("deployment", f"{RELEASE}-injector", namespace=SYSTEM)["spec"]["replicas"])


def ended(pod: dict[str, Any], name: str) -> datetime:
    """When a native sidecar of the pod ended, which must have been once."""
    (status,) = [item for item in pod["status"]["initContainerStatuses"] if item["name"] == name]
    assert status["restartCount"] == 0, status
    return datetime.fromisoformat(status["state"]["terminated"]["finishedAt"])


@pytest.mark.timeout(240, func_only=True)
def test_jobs_and_controllers_of_every_kind_run_injected_where_only_restricted_and_bounded_pods_may(
    strict: Workload,
) -> None:
    cluster = strict.cluster
    strict.backends("backend-a")
    strict.configured(otlp("backend-a", "HTTP"), sidecar={"drainTimeout": "5s"})
    cron = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job_template(strict, "cron", restartPolicy="Never")}}
    stays: dict[str, Any] = {"linger": 3600, "restartPolicy": "Always", "terminationGracePeriodSeconds": 3}
    deployment = controller(strict, "Deployment", "deployed", template=template(strict, "deployed", **stays))
    ports = {"tracekeeper.dev/http-port": "14318"}
    stateful = guaranteed(template(strict, "stateful", annotations=ports, **stays))
    scale = {"kind": "Deployment", "name": "deployed", "apiVersion": "apps/v1"}
    use = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    cluster.apply(
        [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": in_it(strict, "job"),
                "spec": job_template(strict, "job", initContainers=meshed(strict)),
            },
            {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": in_it(strict, "cron"), "spec": cron},
            deployment,
            controller(strict, "DaemonSet", "daemon", template=template(strict, "daemon", **stays)),
            controller(strict, "StatefulSet", "stateful", serviceName="stateful", template=stateful),
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": in_it(strict, "deployed"),
                "spec": {"scaleTargetRef": scale, "maxReplicas": 2, "metrics": [use]},
            },
        ]
    )
    cluster.kubectl("create", "job", "of-cron", "--from=cronjob/cron", "-n", strict.namespace)

    def complete() -> bool:
        jobs = [cluster.get("job", name, namespace=strict.namespace) for name in ("job", "of-cron")]
        conditions = [item for job in jobs for item in job.get("status", {}).get("conditions", [])]
        return [item["status"] for item in conditions if item["type"] == "Complete"] == ["True", "True"]

    wait_for(complete, 120, lambda: f"both jobs complete: {described(strict, 'pods')}")
    # The Job's init container is an application of its own.
    everything = 6 * SPANS

    def seen() -> int:
        return len(strict.ids("backend-a"))

    wait_for(lambda: seen() == everything, 90, lambda: f"{seen()} of {everything}: {described(strict, 'pods')}")

    (job,) = pods(strict, "job")
    assert [item["name"] for item in job["spec"]["initContainers"]] == ["istio-proxy", SIDECAR, "prepare"]
    assert "exec" in sidecar(job)["livenessProbe"]
    assert ended(job, SIDECAR) < ended(job, "istio-proxy")
    ours = {name: pods(strict, name)[0] for name in ("job", "cron", "deployed", "daemon", "stateful")}
    for name, pod in ours.items():
        assert pod["metadata"]["labels"]["tracekeeper.dev/injected"] == "true", name
        assert sidecar(pod)["resources"]["limits"].keys() == {"cpu", "memory", "ephemeral-storage"}, name
    assert {name: pod["status"]["qosClass"] for name, pod in ours.items() if name in ("deployed", "stateful")} == {
        "deployed": "Burstable",
        "stateful": "Guaranteed",
    }
    # What the autoscaler divides by: without a request in each container it does nothing.
    scaled = [*ours["deployed"]["spec"]["initContainers"], *ours["deployed"]["spec"]["containers"]]
    assert all("cpu" in item["resources"]["requests"] for item in scaled)


def test_a_label_on_the_namespace_opts_in_and_the_sidecar_never_sees_the_applications_token(user: Workload) -> None:
    user.backends("backend-a")
    user.cluster.kubectl("label", "namespace", user.namespace, "tracekeeper.dev/inject=true")
    out = {"tracekeeper.dev/inject": "false"}
    user.cluster.apply(
        [
            user.pod("labelled", IDLE, automountServiceAccountToken=True, terminationGracePeriodSeconds=1),
            user.pod("declined", IDLE, annotations=out, terminationGracePeriodSeconds=1),
        ]
    )
    user.running("labelled-0")
    (labelled,), (declined,), (earlier,) = (pods(user, name) for name in ("labelled", "declined", "backend-a"))
    assert sidecar(labelled)["name"] == SIDECAR
    assert "initContainers" not in declined["spec"] and "initContainers" not in earlier["spec"]
    look = ("--", "python3", "-c", f"import os; print(sorted(os.listdir({TOKENS!r})))")
    inside = ("exec", "labelled-0", "-n", user.namespace, "-c")
    assert "'token'" in user.cluster.kubectl(*inside, "app", *look)
    assert user.cluster.kubectl(*inside, SIDECAR, *look).strip() == "[]"
    write = ("--", "python3", "-c", f"open({TOKENS!r} + '/token', 'w')")
    with pytest.raises(CommandFailed, match="Read-only file system"):
        user.cluster.kubectl(*inside, SIDECAR, *write)


def test_while_no_injector_answers_pods_start_without_a_sidecar(user: Workload) -> None:
    cluster, injector = user.cluster, f"deployment/{RELEASE}-injector"
    wanted = replicas(cluster)
    cluster.kubectl("scale", injector, "-n", SYSTEM, "--replicas=0")
    try:
        wait_for(lambda: not injectors(cluster), 60, "the injectors are gone, and every connection to them")
        opted = {"tracekeeper.dev/inject": "true"}
        user.cluster.apply(user.pod("missed", IDLE, annotations=opted, terminationGracePeriodSeconds=1))
        user.running("missed-0")
        (missed,) = pods(user, "missed")
        assert "initContainers" not in missed["spec"]
        # Nobody judges the config at once; the controller does, and publishes it.
        user.configured(otlp("nowhere"))
    finally:
        cluster.kubectl("scale", injector, "-n", SYSTEM, f"--replicas={wanted}")
        cluster.kubectl("rollout", "status", injector, "-n", SYSTEM, "--timeout=90s", timeout=100)

    wait_for(lambda: "initContainers" in tried(user)["spec"], 30, "pods are injected again")
    # And the other way round.
    controller = f"deployment/{RELEASE}-controller"
    cluster.kubectl("scale", controller, "-n", SYSTEM, "--replicas=0")
    try:
        ours = ("pods", "-l", "app.kubernetes.io/component=controller")
        wait_for(lambda: not cluster.get(*ours, namespace=SYSTEM)["items"], 60, "the controller is gone")
        user.cluster.apply(user.pod("injected", IDLE, annotations=opted, terminationGracePeriodSeconds=1))
        user.running("injected-0")
        (injected,) = pods(user, "injected")
        assert sidecar(injected)["name"] == SIDECAR
    finally:
        cluster.kubectl("scale", controller, "-n", SYSTEM, "--replicas=1")
        cluster.kubectl("rollout", "status", controller, "-n", SYSTEM, "--timeout=90s", timeout=100)


def tried(user: Workload, name: str = "tried", **more: Any) -> dict[str, Any]:
    """An opted-in pod as the API server would make it."""
    return as_made(user, user.pod(name, IDLE, **{"annotations": {"tracekeeper.dev/inject": "true"}, **more}))


def as_made(user: Workload, pod: dict[str, Any]) -> dict[str, Any]:
    printed = user.cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod))
    return dict(json.loads(printed))


def test_what_another_webhook_adds_after_us_is_served_too_and_nothing_comes_twice(
    user: Workload, tmp_path: Path
) -> None:
    user.configured(otlp("nowhere"))
    patch = [{"op": "add", "path": "/spec/containers/-", "value": {"name": "added", "image": user.image}}]
    found = webhooks.serve(user.cluster, user.namespace, user.image, tmp_path, json.dumps(patch))
    entry = {
        "name": "add.example.com",
        "clientConfig": found,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": user.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        # Its Service may lead nowhere for a moment after its pod is ready.
        "failurePolicy": "Ignore",
    }
    # By its name it is asked after ours; the API server then asks ours again.
    name, kind = f"zz-{user.namespace}", "MutatingWebhookConfiguration"
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
    user.cluster.apply({**head, "webhooks": [entry]})
    try:
        wait_for(lambda: len(tried(user)["spec"]["containers"]) == 2, 30, "the other webhook adds its container")
        made = tried(user)
    finally:
        user.cluster.kubectl("delete", kind.lower(), name)
    assert [each["name"] for each in made["spec"]["initContainers"]] == [SIDECAR]
    assert [each["name"] for each in made["spec"]["containers"]] == ["app", "added"]
    for each in made["spec"]["containers"]:
        told = sorted(variable["name"] for variable in each["env"] if variable["name"].startswith("OTEL_EXPORTER_"))
        assert told == ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
    volumes = [volume["name"] for volume in made["spec"]["volumes"]]
    assert len(set(volumes)) == len(volumes) and "tracekeeper-buffer" in volumes


def test_annotations_of_a_pod_change_its_sidecar(user: Workload) -> None:
    wishes = {
        "cpu-request": "7m",
        "memory-limit": "300Mi",
        "buffer-size": "2Mi",
        "grpc-port": "14317",
        "cpu-limit": "x",
    }
    wish = {"tracekeeper.dev/inject": "true", **{f"tracekeeper.dev/{key}": value for key, value in wishes.items()}}
    made = tried(user, annotations=wish)
    ours = sidecar(made)
    assert ours["resources"]["requests"]["cpu"] == "7m" and ours["resources"]["limits"]["memory"] == "300Mi"
    assert "cpu" not in ours["resources"]["limits"]
    assert any("14317" in argument for argument in ours["args"])
    (buffer,) = [volume for volume in made["spec"]["volumes"] if volume["name"] == "tracekeeper-buffer"]
    assert buffer["emptyDir"]["sizeLimit"] == "2Mi"


def test_a_pod_that_declares_a_port_of_ours_is_skipped_with_a_reason_in_an_event(user: Workload) -> None:
    made = user.pod("own", IDLE, annotations={"tracekeeper.dev/inject": "true"}, terminationGracePeriodSeconds=1)
    made["spec"]["containers"][0]["ports"] = [{"containerPort": 4317}]
    user.cluster.apply(made)
    assert "initContainers" not in pods(user, "own")[0]["spec"]
    kind, name, message = user.event("InjectionSkipped")
    assert (kind, name) == ("Pod", "own-0")
    assert message.startswith("PortConflict: container app declares port 4317")


def test_a_pod_with_a_budget_of_its_own_is_admitted_with_the_sidecars_share_on_top(user: Workload) -> None:
    budget = {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"memory": "200Mi"}}
    made = user.pod("budget", IDLE, annotations={"tracekeeper.dev/inject": "true"}, resources=budget)
    made["spec"]["containers"][0]["resources"] = {"requests": budget["requests"]}
    assert as_made(user, made)["spec"]["resources"] == {
        "requests": {"cpu": "150m", "memory": "196Mi"},
        "limits": {"memory": "456Mi"},
    }


@pytest.fixture
def registry(user: Workload, project_images: dict[str, str]) -> Iterator[str]:
    """A registry on the node that wants credentials; the name of the sidecar's image there."""
    folder = user.cluster.state / "registry"
    image_store.unpack(project_images["sidecar"], folder)
    source = (Path(__file__).parent / "registry_pod.py").read_text()
    command = ["python3", "-c", source, "/images", REGISTRY.rpartition(":")[2], LOGIN]
    pod = user.pod("registry", command, hostNetwork=True, terminationGracePeriodSeconds=1)
    pod["spec"]["volumes"] = [{"name": "images", "hostPath": {"path": str(folder)}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "images", "mountPath": "/images", "readOnly": True}]
    user.cluster.apply(pod)
    user.running("registry-0")
    install(user.cluster, "--set", "sidecar.pullSecrets={private}", "--set", f"sidecar.imageRegistries={{{REGISTRY}}}")
    # Those that are about to end still answer, as they were told.
    wait_for(lambda: len(injectors(user.cluster)) == replicas(user.cluster), 60, "the old injectors are gone")
    yield f"{REGISTRY}/private/tracekeeper-sidecar:{user.namespace}"
    install(user.cluster)


def test_nodes_pull_the_sidecars_image_from_a_private_registry(user: Workload, registry: str) -> None:
    entry = {"auths": {REGISTRY: {"auth": base64.b64encode(LOGIN.encode()).decode()}}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": in_it(user, "private")}
    kind = "kubernetes.io/dockerconfigjson"
    user.cluster.apply({**secret, "type": kind, "stringData": {".dockerconfigjson": json.dumps(entry)}})
    wanted = {"tracekeeper.dev/inject": "true", "tracekeeper.dev/image": registry}
    user.cluster.apply(user.pod("pulls", IDLE, annotations=wanted, terminationGracePeriodSeconds=1))
    user.running("pulls-0")
    (pulls,) = pods(user, "pulls")
    assert pulls["spec"]["imagePullSecrets"] == [{"name": "private"}]
    assert pulls["metadata"]["annotations"]["tracekeeper.dev/sidecar-image"] == registry
    (status,) = pulls["status"]["initContainerStatuses"]
    assert status["image"] == registry
