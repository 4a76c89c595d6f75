"""The demo's agent out of hand, and the stand-in for Slack that hears of it, each as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.wait import wait_for
from programs import DEMO, Backend, RunningAgent, ask


@pytest.fixture
def slack() -> Iterator[int]:
    """The port of a running slack.py."""
    command = [sys.executable, str(DEMO / "slack.py"), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["port"]
        process.terminate()


def test_an_agent_out_of_hand_pays_for_every_turn_until_it_is_told_to_stop(
    backend: Backend, start_agent: Callable[..., RunningAgent], to: Callable[[Backend, str], dict[str, str]]
) -> None:
    where = to(backend, "grpc")
    agent = start_agent(
        **where, AGENT_RUNS="1", AGENT_LISTEN="127.0.0.1:0", AGENT_LINGER="60", OTEL_BSP_SCHEDULE_DELAY="100"
    )
    port = int(agent.until("listening ").split()[1])
    ask(port, "/misbehave", "POST")

    def bad() -> dict[str, Any] | None:
        roots = [span for span in backend.json("/spans?limit=1000") if span["name"] == "invoke_agent weather"]
        return next((root for root in roots if root["status"] == "error"), None)

    root = wait_for(bad, 30, "a failed request arrives")
    ask(port, "/behave", "POST")
    assert root["duration_ms"] == pytest.approx(20_000)
    spans = [span for span in backend.json("/spans?limit=1000") if span["parent_span_id"] == root["span_id"]]
    chats = [span["attributes"] for span in spans if span["name"] == "chat gpt-4o"]
    tools = [span for span in spans if span["name"].startswith("execute_tool")]
    assert (len(chats), len(tools)) == (150, 10)
    assert {chat["gen_ai.usage.output_tokens"] for chat in chats} == {10_000}
    assert {chat["gen_ai.conversation.id"] for chat in chats} == {root["attributes"]["gen_ai.conversation.id"]}
    assert {tool["status"] for tool in tools} == {"error"}
    assert len({tool["attributes"]["gen_ai.tool.call.arguments"] for tool in tools}) == 1


def test_the_stand_in_for_slack_shows_what_it_was_sent_and_refuses_as_slack_does(slack: int) -> None:
    def post(path: str, body: bytes) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{slack}{path}", body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert post("/services/T0/B0/secret", b'{"text": "it fires"}') == 200
    assert post("/services/T0/B0/secret", b"it fires") == 400
    assert post("/services/T0/B0/refused", b"{}") == 404
    assert post("/elsewhere", b"{}") == 404
    (found,) = json.loads(ask(slack, "/messages"))
    assert (found["path"], found["message"]) == ("/services/T0/B0/secret", {"text": "it fires"})
    ask(slack, "/reset", "POST")
    assert json.loads(ask(slack, "/messages")) == []
