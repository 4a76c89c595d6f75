"""`tracekeeper rollout status` and `undo`, against an API server over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from cli_world import install
from control_api import Api
from control_objects import backend, config
from tracekeeper_cli.__main__ import main
from waiting import until

Run = Callable[..., Any]
OLD: dict[str, Any] = {"backends": [backend("a")], "rollout": {"canaryPercent": 10}}


@pytest.fixture
def api(empty_api: Api) -> Api:
    return empty_api


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def command(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["rollout", *arguments, "-n", "shop"])
        return code, "".join(capsys.readouterr())

    return command


def put(api: Api, phase: str, *, seen: int = 2, previous: Any = None, **more: Any) -> None:
    """Generation 2 of a config, as far as its rollout has come."""
    found = {
        "phase": phase,
        "reason": "Why",
        "message": "as it is",
        "generation": 2,
        "effective": 2 if phase == "Complete" else 1,
        "since": "2026-01-01T00:00:00Z",
        "previous": {"generation": 1, "spec": OLD} if previous is None else previous,
        **more,
    }
    if ("tracingconfigs", "shop", "agents") not in api.objects:
        api.put("tracingconfigs", config(**OLD))
    manifest = config(backends=[backend("a"), backend("b")], rollout={"canaryPercent": 10})
    api.put("tracingconfigs", {**manifest, "status": {"observedGeneration": seen, "rollout": found}})


@pytest.mark.parametrize(
    ("phase", "more", "code", "words"),
    [
        ("Progressing", {"canaries": 3, "ready": 2}, 0, "generation 2 is tried by 3 pods, 2 run it"),
        ("Halted", {}, 1, "generation 2 was taken back, generation 1 is in effect for all pods"),
        ("Complete", {}, 0, "generation 2 is in effect for all pods"),
    ],
)
async def test_status_says_how_far_it_is(
    api: Api, run: Run, phase: str, more: dict[str, Any], code: int, words: str
) -> None:
    put(api, phase, **more)
    found, text = await run("status", "agents")
    assert found == code and words in text and "as it is" in text
    assert "to go back to generation 1: tracekeeper rollout undo agents" in text


async def test_who_waits_is_told_what_it_came_to(api: Api, run: Run) -> None:
    put(api, "Progressing")
    waiting = asyncio.create_task(run("status", "agents", "--wait", "30s"))
    await until(lambda: bool(api.requests("GET")), "it has looked")
    put(api, "Complete")
    assert (await waiting)[0] == 0
    put(api, "Progressing")
    assert (await run("status", "agents", "--wait", "1ms"))[0] == 1, "it is not complete"


async def test_what_the_operator_has_not_seen_is_not_told_of(api: Api, run: Run) -> None:
    put(api, "Complete", seen=1)
    assert (await run("status", "agents"))[1].endswith("the operator has not seen generation 2 yet\n")
    code, text = await run("undo", "agents")
    assert code == 1 and "has not seen generation 2" in text


async def test_what_is_told_of_an_older_generation_is_not_taken_for_the_newest(api: Api, run: Run) -> None:
    put(api, "Complete", generation=1, effective=1)
    code, text = await run("status", "agents", "--wait", "1ms")
    assert code == 1 and "generation 2 is not rolled out: generation 1 is Complete" in text
    put(api, "Progressing", reason="WaitingForNamespaces", effective=1)
    code, text = await run("status", "agents", "--wait", "1ms")
    assert code == 1 and "generation 2 is not in all namespaces yet" in text


async def test_a_config_without_the_section_says_so(api: Api, run: Run) -> None:
    api.put("tracingconfigs", {**config(), "status": {"observedGeneration": 1}})
    assert (await run("status", "agents"))[1] == (
        "TracingConfig shop/agents has no section spec.rollout: a changed policy comes to all pods at once\n"
    )
    code, text = await run("undo", "agents")
    assert code == 1 and "no section spec.rollout" in text


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("Halted", "what all pods run already"),
        ("Progressing", "The pods that try generation 2 go back to it"),
        ("Complete", "Some pods try it first"),
    ],
)
async def test_undo_writes_what_it_said_before(api: Api, run: Run, phase: str, words: str) -> None:
    put(api, phase)
    code, text = await run("undo", "agents")
    assert code == 0 and words in text and "version control" in text
    written = api.get("tracingconfigs", "shop", "agents")
    assert written["spec"] == OLD and written["metadata"]["uid"] == "uid-agents"


async def test_a_dry_run_is_only_checked(api: Api, run: Run) -> None:
    put(api, "Halted")
    assert (await run("undo", "agents", "--dry-run"))[1].startswith("(dry run: nothing was changed)")
    (request,) = api.requests("PUT")
    assert request.query.get("dryRun") == "All"


@pytest.mark.parametrize(
    ("previous", "words"), [({"generation": 1}, "too large"), ("", "nothing is known that"), ([], "nothing is known")]
)
async def test_what_is_not_known_cannot_be_gone_back_to(api: Api, run: Run, previous: Any, words: str) -> None:
    put(api, "Complete", previous=previous)
    code, text = await run("undo", "agents")
    assert code == 1 and words in text and not api.requests("PUT")


async def test_what_somebody_changed_meanwhile_is_not_overwritten(api: Api, run: Run) -> None:
    put(api, "Complete")
    api.fail("PUT", "agents", 409, '{"message": "the object has been modified"}')
    code, text = await run("undo", "agents")
    assert code == 1 and "TracingConfig shop/agents is not changed" in text and "modified" in text


async def test_what_is_not_there_is_said(api: Api, run: Run) -> None:
    code, text = await run("status", "agents")
    assert code == 1 and "cannot read TracingConfig shop/agents" in text


async def test_the_doctor_names_what_was_taken_back_once(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    install(api)
    put(api, "Halted")
    manifest = dict(api.get("tracingconfigs", "shop", "agents"))
    halted = {"status": "False", "reason": "RolloutHalted", "message": "generation 2 was taken back"}
    manifest["status"] = {
        **manifest["status"],
        "conditions": [{"type": "Ready", **halted}, {"type": "RolledOut", **halted}],
    }
    api.put("tracingconfigs", manifest)
    assert await asyncio.to_thread(main, ["doctor", "-n", "shop", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    found = [each for each in findings if each["reason"] == "RolloutHalted"]
    assert len(found) == 1, findings
    assert found[0]["problem"].startswith("RolledOut is False")
    assert "rollout undo" in found[0]["next"]
