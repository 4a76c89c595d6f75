"""`tracekeeper status` and `ledger` against an API server over HTTP, and without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_api import Api
from control_objects import config
from tracekeeper_cli.__main__ import main

Run = Callable[..., Any]


def kubeconfig(path: Path, server: str) -> str:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "shop"}}],
                "clusters": [{"name": "k", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "t0ken"}}],
            }
        )
    )
    return str(path)


@pytest.fixture
def api(empty_api: Api) -> Api:
    return empty_api


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def command(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, arguments)
        return status, *capsys.readouterr()

    return command


def injected(api: Api, ledger: Any) -> None:
    """A pod with a sidecar that answers with this."""
    sidecar = {"name": "tracekeeper-sidecar", "ports": [{"containerPort": 14317}]}
    spec = {"containers": [{"name": "app"}], "initContainers": [sidecar]}
    api.put("pods", {"metadata": {"name": "care", "namespace": "shop"}, "spec": spec})
    api.objects[("pods", "shop", "care:14317")] = ledger


async def test_status_is_of_the_contexts_namespace_unless_told(api: Api, run: Run) -> None:
    api.put("tracingconfigs", config("a"))
    api.put("tracingconfigs", config("b", "else"))
    status, out, _ = await run("status")
    assert status == 0 and "shop/a" in out and "else/b" not in out
    assert "else/b" in (await run("status", "-n", "else"))[1]
    _, out, _ = await run("status", "-A")
    assert "shop/a" in out and "else/b" in out
    assert "no TracingConfig in namespace none" in (await run("status", "-n", "none"))[1]


async def test_the_ledger_comes_through_the_proxy(api: Api, run: Run) -> None:
    injected(api, {"received": "3", "acknowledged": "3", "unknownField": True})
    status, out, _ = await run("ledger", "care")
    assert status == 0 and out.splitlines()[1].split()[:2] == ["3", "3"]
    _, out, _ = await run("ledger", "care", "-o", "json")
    assert json.loads(out)["unknownField"] is True


async def test_an_answer_that_is_no_ledger_is_an_error_in_words(api: Api, run: Run) -> None:
    injected(api, {"received": "many"})
    status, _, err = await run("ledger", "care")
    assert status == 1 and err.startswith("tracekeeper: the sidecar of shop/care answers with something else than")


async def test_a_pod_without_a_sidecar_is_told_how_to_get_one(api: Api, run: Run) -> None:
    api.put("pods", {"metadata": {"name": "care", "namespace": "shop"}, "spec": {"containers": [{"name": "app"}]}})
    status, _, err = await run("ledger", "care")
    assert status == 1 and "has no tracekeeper-sidecar" in err and "tracekeeper.dev/inject" in err


async def test_what_the_server_refuses_is_said(api: Api, run: Run) -> None:
    api.fail("GET", "/tracingconfigs", 403, '{"message": "tracingconfigs is forbidden"}')
    status, _, err = await run("status")
    assert (status, err) == (1, "tracekeeper: cannot list TracingConfigs: 403 tracingconfigs is forbidden\n")
    api.fail("GET", "/tracingconfigs", 404, "404 page not found")
    assert "is the chart installed" in (await run("status"))[2]
    status, _, err = await run("ledger", "nobody")
    assert status == 1 and 'cannot read pod shop/nobody: 404 pods "nobody" not found' in err


@pytest.mark.parametrize("command", [["status"], ["status", "-A"], ["ledger", "care"]])
async def test_a_cluster_that_does_not_answer_is_one_line(
    command: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1"))
    status, out, err = await run(*command)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "does not answer" in err and "Connection refused" in err and "http://127.0.0.1:1" in err


async def test_a_connection_that_breaks_is_one_line(api: Api, run: Run) -> None:
    for _ in range(5):
        api.fail("GET", "/tracingconfigs", 0)
    status, _, err = await run("status")
    assert status == 1 and err.count("\n") == 1 and "does not answer" in err


@pytest.mark.parametrize(
    "text", ["", "a: [", "[]", "word", "current-context: c", "current-context: c\ncontexts: 1", "\0", "\udcff"]
)
async def test_a_damaged_kubeconfig_is_one_line(
    text: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "damaged").write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "damaged"))
    status, _, err = await run("status")
    assert status == 1 and err.startswith("tracekeeper: no usable kubeconfig: ") and "KUBECONFIG" in err


async def test_a_context_that_is_not_there_is_named(api: Api, run: Run) -> None:
    status, _, err = await run("status", "--context", "elsewhere")
    assert status == 1 and "elsewhere" in err
