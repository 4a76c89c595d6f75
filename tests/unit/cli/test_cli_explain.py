"""`tracekeeper explain`: which configs apply to a pod and why, as the operator decides, and what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cli_world import IMAGE, INJECT, SYSTEM, pod, well, workload
from control_api import Api
from control_objects import OPTIONS, backend, config
from control_objects import scope as scope_of
from tracekeeper_cli.__main__ import main
from tracekeeper_cli.levels import choose
from tracekeeper_cli.missing import causes
from tracekeeper_cli.world import World, valid
from tracekeeper_operator.inject import Injection, inject

Explain = Callable[..., Any]


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    async def command(*arguments: str) -> str:
        status = await asyncio.to_thread(main, ["explain", "pod", "care", *arguments])
        out, err = capsys.readouterr()
        assert (status, err) == (0, "")
        return str(out)

    return command


def line(text: str, start: str) -> str:
    """The one that begins so, with single spaces."""
    return next(" ".join(each.split()) for each in text.splitlines() if each.startswith(start))


def put(api: Api, name: str, namespace: str = "shop", created: str = "2026-01-02T00:00:00Z", **spec: Any) -> None:
    body = well(config(name, namespace, **spec))
    body["metadata"]["creationTimestamp"] = created
    api.put("tracingconfigs", body)


async def test_each_level_and_why_the_others_do_not_apply(api: Api, explain: Explain) -> None:
    put(api, "all", SYSTEM, allowedNamespaces={"from": "All"}, logLevel="Debug", enforced=["LogLevel"])
    put(api, "later", SYSTEM, "2026-01-03T00:00:00Z", allowedNamespaces={"from": "All"})
    put(api, "private", SYSTEM)
    put(api, "picky", SYSTEM, selector={"matchLabels": {"app": "care"}}, allowedNamespaces={"from": "All"})
    put(api, "care", selector={"matchLabels": {"app": "care"}}, sidecar={"ports": {"metrics": 20000}}, logLevel="Error")
    put(api, "care-2", created="2026-01-03T00:00:00Z", selector={"matchLabels": {"app": "care"}})
    put(api, "other", selector={"matchLabels": {"app": "other"}})
    put(api, "second")
    put(api, "broken", nonsense=1)
    api.put("pods", pod(injected=f"shop/care@1,shop/agents@1,{SYSTEM}/all@1"))
    out = await explain()
    assert line(out, "shop/care@1") == "shop/care@1 selector yes its selector matches the pod: app=care"
    assert "namespace yes it has no selector" in line(out, "shop/agents@1")
    assert "root namespace yes the default" in line(out, f"{SYSTEM}/all@1")
    assert "no an older config's selector" in line(out, "shop/care-2@1")
    assert "no its selector does not match the pod: app=other" in line(out, "shop/other@1")
    assert "no shop/agents@1 is older" in line(out, "shop/second@1")
    assert "no it has faults (spec.nonsense" in line(out, "shop/broken")
    assert f"no {SYSTEM}/all@1 is older" in line(out, f"{SYSTEM}/later@1")
    assert "no no consent: its spec.allowedNamespaces is Same" in line(out, f"{SYSTEM}/private@1")
    assert "only those without one are defaults" in line(out, f"{SYSTEM}/picky@1")
    assert line(out, "LogLevel") == f"LogLevel {SYSTEM}/all@1 (enforced: no namespace may replace it)"
    assert line(out, "Sidecar") == "Sidecar shop/care@1"
    assert "metrics 20000" in line(out, "ports")
    assert "Ports: its sidecar declares [14316]" in out


async def test_a_config_that_the_pod_names(api: Api, explain: Explain) -> None:
    put(api, "lent", "care", allowedNamespaces={"from": "All"})
    put(api, "own", "care")
    api.put("pods", pod(wish="care/lent", injected="care/lent@1,shop/agents@1"))
    out = await explain()
    assert line(out, "care/lent@1") == f"care/lent@1 named yes the pod's annotation {INJECT} names it"
    assert "care/own" not in out and "What runs is what would be injected now." in out
    api.put("pods", pod(wish="care/own", injected="none"))
    told = "named no no consent: its spec.allowedNamespaces is Same, which leaves out shop"
    assert told in line(await explain(), "care/own@1")
    api.put("pods", pod(wish="care/none", injected="none"))
    out = await explain()
    assert "named no the pod names it, and there is none" in line(out, "care/none")
    assert "no the pod names care/none instead" in line(out, "shop/agents@1")


async def test_consent_by_labels_of_the_namespace(api: Api, explain: Explain) -> None:
    put(api, "all", SYSTEM, allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "a"}}})
    api.put("pods", pod(wish=None))
    assert "no no consent" in line(await explain(), f"{SYSTEM}/all@1")
    api.put("namespaces", {"metadata": {"name": "shop", "labels": {"team": "a"}}})
    assert "root namespace yes" in line(await explain(), f"{SYSTEM}/all@1")
    api.fail("GET", "/namespaces/shop", 403, '{"message": "it is forbidden"}')
    out = await explain()
    assert "the namespace's labels cannot be read" in out and "Not looked at:" in out


async def test_what_runs_and_would_not_come_about_again(api: Api, explain: Explain) -> None:
    body = pod(injected="shop/agents@1")
    api.put("pods", body)
    assert "What runs is what would be injected now." in await explain()
    body["spec"]["initContainers"][0]["image"] = "registry.example/tracekeeper-sidecar:0"
    body["metadata"]["annotations"]["tracekeeper.dev/sidecar-version"] = "0.0.9"
    api.put("tracingconfigs", well(config(suspend=True)))
    out = await explain()
    assert "ResolvedFrom: it was injected from shop/agents@1, and shop/agents@2 would be used now" in out
    assert f"OutdatedImage: its sidecar's image is registry.example/tracekeeper-sidecar:0, and {IMAGE} would" in out
    assert "OutdatedVersion: it was injected by 0.0.9, and the operator is 0.1.0" in out
    assert line(out, "suspended") == "suspended by shop/agents"


async def test_why_there_is_no_sidecar(api: Api, explain: Explain) -> None:
    maker = workload(api, on_itself="true")
    api.put("pods", pod(wish=None, owner=maker))
    out = await explain()
    assert out.startswith("Pod shop/care, of Deployment care has no sidecar; nobody has asked for one.")
    assert "AnnotationOnDeployment" in out and "next: move it to spec.template.metadata.annotations" in out
    assert "Nothing would be injected now." in out
    api.put("pods", pod(hostNetwork=True))
    out = await explain()
    assert "HostNetwork" in out and line(out, "image") == f"image {IMAGE}"
    body = pod(wish=None)
    body["metadata"]["labels"][INJECT] = "true"
    api.put("pods", body)
    assert "LabelOnPod" in await explain()
    api.put("pods", pod(wish="false"))
    assert "OptedOut" in await explain()


async def test_without_any_config_spans_would_wait(api: Api, explain: Explain) -> None:
    api.remove("tracingconfigs", "shop", "agents")
    api.put("pods", pod())
    out = await explain()
    assert "There is no TracingConfig for it" in out and line(out, "backends") == "backends none"


async def test_a_pod_that_is_not_there(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["explain", "pod", "nobody"]) == 1
    assert "there is no pod shop/nobody" in capsys.readouterr().err


SPOILED: list[tuple[str | None, dict[str, Any]]] = [
    ("true", {}),
    ("other", {}),
    ("care/lent", {}),
    ("care/own", {}),
    ("false", {}),
    (None, {}),
    ("Yes please", {}),
    ("true", {"hostNetwork": True}),
    ("true", {"nodeSelector": {"kubernetes.io/os": "windows"}}),
    ("true", {"containers": [{"name": "app", "ports": [{"containerPort": 4318}]}]}),
    ("true", {"containers": [{"name": "app", "ports": [{"containerPort": 4318, "protocol": "UDP"}]}]}),
]


@pytest.mark.parametrize(("wish", "spec"), SPOILED)
def test_it_says_the_same_as_the_injector(wish: str | None, spec: dict[str, Any]) -> None:
    configs = (
        config("agents"),
        config("other", selector={"matchLabels": {"app": "other"}}),
        config("lent", "care", allowedNamespaces={"from": "All"}),
        config("own", "care"),
        config("all", "observability", allowedNamespaces={"from": "All"}, backends=[backend("r")]),
    )
    flag = {"spec": {"template": {"spec": {"containers": [{"args": ["--root-namespace=observability"]}]}}}}
    spaces = {"shop": {"metadata": {"name": "shop"}}}
    world = World(SYSTEM, namespaces=spaces, configs=configs, parts=(flag,))
    known = valid(configs)
    body = pod(wish=wish, **spec)
    scope = scope_of(known["shop"], care=known["care"], observability=known["observability"])
    decided = inject(body, scope, OPTIONS)
    merged = choose(world, body).merged
    if isinstance(decided, Injection):
        assert decided.resolved_from == (",".join(merged.sources) if merged is not None else "none")
        assert [cause.reason for cause in causes(world, body)] == ["CreatedBefore"]
    else:
        reason = {"NotOptedIn": "OptedOut" if wish == "false" else "NotOptedIn"}.get(decided.reason, decided.reason)
        assert [cause.reason for cause in causes(world, body)] == [reason]


async def test_annotations_that_are_not_followed_change_nothing_and_it_says_so(api: Api, explain: Explain) -> None:
    asked = "registry.example/tracekeeper-sidecar:own"
    body = pod(injected="shop/agents@1")
    body["metadata"]["annotations"] |= {"tracekeeper.dev/image": asked, "tracekeeper.dev/metrics-port": "20000"}
    api.put("pods", body)
    out = await explain()
    assert line(out, "image") == f"image {IMAGE}" and "sidecar.imageRegistries allows" in line(out, "not followed")
    assert "OutdatedImage" not in out and "metrics 20000" in line(out, "ports")
    injector = api.get("deployments", SYSTEM, "tracekeeper-injector")
    injector["spec"]["template"]["spec"]["containers"][0]["args"] = ["--image-registries=r.example,registry.example"]
    api.put("deployments", injector)
    out = await explain()
    assert line(out, "image") == f"image {asked}" and "not followed" not in out
    put(api, "all", SYSTEM, allowedNamespaces={"from": "All"}, enforced=["Sidecar"])
    out = await explain()
    assert line(out, "image") == f"image {IMAGE}" and "metrics 14316" in line(out, "ports")
    assert f"none of these: {SYSTEM}/all enforces spec.sidecar" in line(out, "not followed")
