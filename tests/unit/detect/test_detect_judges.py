"""Whom detectors judge by what: declarations by service, calls that are meant to be alike, names and their room."""

from __future__ import annotations

import pytest

from corpus.detect.story import BEGIN, SECOND, Story
from detect_world import told as told_by
from detect_world import watching
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.wire.models import is_own_name, same_model
from tracekeeper_sidecar.wire.waits import is_to_wait

DAY = 86_400 * SECOND


def _calls(step: DetectStep) -> dict[tuple[str, ...], float]:
    return {sample.labels[1:]: sample.value for sample in step.samples() if len(sample.labels) == 4}


def test_an_agent_of_another_service_is_not_judged_by_what_one_of_its_name_says() -> None:
    step = watching()
    told_by(step, Story().invoke("triage", handoffs=["nobody"]), "one")
    assert told_by(step, Story().hand_over("triage", "refunds"), "two") == []
    assert told_by(step, Story(trace=2).hand_over("triage", "refunds"), "one") == [
        (0, "triage has handed over to refunds, which is not declared")
    ]


def test_what_an_agent_declares_last_holds() -> None:
    step = watching()
    told_by(step, Story().invoke("triage", handoffs=["nobody"]))
    told_by(step, Story(trace=2).invoke("triage", handoffs=["refunds"]))
    assert told_by(step, Story(trace=3).hand_over("triage", "refunds")) == []
    assert len(told_by(step, Story(trace=4).hand_over("triage", "nobody"))) == 1


def test_hand_offs_before_an_agent_has_declared_are_judged_when_it_does() -> None:
    story = Story().hand_over("lobby", "weather").hand_over("lobby", "billing").hand_over("lobby", "legal")
    told = told_by(watching(), story.invoke("lobby", handoffs=["weather", "billing"]).end())
    assert told == [(3, "lobby has handed over to legal, which is not declared")]
    other = Story().hand_over("lobby", "legal").next_trace().invoke("lobby", handoffs=["weather"])
    assert told_by(watching(), other) == []


def test_what_the_config_declares_is_not_judged_by_what_the_agent_does() -> None:
    step = watching(handoffs=_declared({"lobby": ["legal"]}))
    assert told_by(step, Story().hand_over("lobby", "legal").invoke("lobby", handoffs=["weather"])) == []


def _declared(handoffs: dict[str, list[str]]) -> tuple[object, ...]:
    from tracekeeper_spec.detect import Handoffs

    return tuple(Handoffs(agent, tuple(others)) for agent, others in handoffs.items())


@pytest.mark.parametrize(
    ("pattern", "same"),
    [
        ('{"q":"a","attempt":#}', True),
        ('{"attempt":#,"q":"a"}', True),
        ('{"request_id":"r-#","q":"a","retry":#}', True),
        ('{"q":"a","timestamp":"2026-03-01T10:00:0#Z"}', True),
        ('{"attempt":#', True),
        ('{"attempt":"#', True),
        ('{"page":#}', False),
        ('{"text":"attempt","q":#}', False),
        ('{"attempts_of":#}', False),
        ('{"q":"attempt #"}', False),
        ('{"attempt":#,"padding":"' + "x" * 500 + '"}', False),
        ("attempt #", False),
    ],
)
def test_what_only_counts_attempts_makes_no_other_call(pattern: str, same: bool) -> None:
    story = Story()
    for number in range(6):
        story.tool("search", pattern.replace("#", str(number)))
    assert [number for number, _ in told_by(watching(), story)] == ([5] if same else [])


def test_calls_that_differ_in_more_than_the_attempt_are_others() -> None:
    story = Story()
    for number in range(9):
        story.tool("search", f'{{"attempt":1,"q":{number}}}').tool("search", f'{{"q":{number},"retry":2}}')
    assert told_by(watching(), story) == []


def test_versions_without_an_end_are_looked_at_once() -> None:
    assert not same_model("gpt-4", "gpt-4" + "-2024-08-06" * 60 + "x")  # Each date can be read in two ways.
    name = ("gpt-4" + "-2024-08-06" * 11)[:127] + "x"
    story = Story(model="gpt-4", answered=name).chat()
    assert len(told_by(watching(), story)) == 1
    assert is_own_name("x" * 100_000)


@pytest.mark.parametrize(
    ("deployment", "answered", "other"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini", "gpt-4o-2024-08-06", True),
        ("gpt-35-turbo", "gpt-3.5-turbo-0125", False),
        ("gpt-41-mini", "gpt-4.1-mini-2025-04-14", False),
        ("GPT-4", "gpt-4o-2024-08-06", True),
        ("o1", "o3-mini-2025-01-31", True),
        ("gpt-4o-search", "gpt-4o-2024-08-06", False),
        ("prod", "gpt-4o-2024-08-06", False),
        ("chat-2", "gpt-4o-2024-08-06", False),
    ],
)
def test_a_deployment_that_is_called_after_a_model_is_to_be_that_one(
    deployment: str, answered: str, other: bool
) -> None:
    story = Story(model=deployment, answered=answered, provider="azure.ai.openai").chat()
    assert bool(told_by(watching(), story)) is other


@pytest.mark.parametrize("mask", ["[REDACTED]", "__REDACTED__"])
@pytest.mark.parametrize("times", [39, 40])
def test_calls_whose_arguments_are_masked_need_not_be_the_same(times: int, mask: str) -> None:
    mail = Story().tool("send_mail", f'{{"to":"{mask}","subject":"Hello"}}', times=times)
    ask = Story().invoke("worker", mask, times=times)
    expected = [39] if times == 40 else []
    assert [number for number, _ in told_by(watching(), mail)] == expected
    assert [number for number, _ in told_by(watching(), ask)] == expected


def test_hashed_arguments_are_as_good_as_plain_ones() -> None:
    story = Story().tool("send_mail", '{"to":"[sha256:abcdefghijklmnop]"}', times=6)
    assert [number for number, _ in told_by(watching(), story)] == [5]


@pytest.mark.parametrize(
    ("tool", "waits"),
    [
        ("get_job", True),
        ("check-status", True),
        ("waitForBuild", True),
        ("JOB_STATE", True),
        ("getHTTPStatus", True),
        ("sleep", True),
        ("poll", True),
        ("search", False),
        ("stateful_search", False),
        ("jobless_report", False),
        ("", False),
        ("7", False),
    ],
)
def test_tools_that_wait_are_known_by_a_word_in_their_name(tool: str, waits: bool) -> None:
    assert is_to_wait(tool) is waits
    if tool:
        assert [number for number, _ in told_by(watching(), Story().tool(tool, '{"id":"17"}', times=6))] == (
            [] if waits else [5]
        )


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("fast", True),
        ("prod-chat", True),
        ("team/default", True),
        ("gpt-4o", False),
        ("o1", False),
        ("mistral-large-latest", False),
        ("openrouter/deepseek/deepseek-chat", False),
        ("claude-opus", False),
        ("us.amazon.nova-pro-v1:0", False),
        ("", True),
    ],
)
def test_names_of_gateways_are_told_from_makers(name: str, own: bool) -> None:
    assert is_own_name(name) is own


def test_a_gateway_s_name_is_no_other_model_but_what_answers_to_it_may_change() -> None:
    step = watching()
    assert told_by(step, Story(model="fast", answered="gpt-4o-mini").chat(times=3)) == []
    story = Story(model="fast", answered="gpt-4.1-nano", trace=2).chat()
    assert told_by(step, story) == [(0, "gpt-4.1-nano has answered, and not gpt-4o-mini")]


def test_a_ring_of_three_is_told_as_one_and_a_round_of_four_is_none() -> None:
    ring = Story()
    for _ in range(3):
        ring.hand_over("a", "b").hand_over("b", "c").hand_over("c", "a")
    assert told_by(watching(), ring) == [
        (6, "three agents have handed over round in a ring 6 times in a row, a to b last")
    ]
    four = Story()
    for _ in range(8):
        four.hand_over("a", "b").hand_over("b", "c").hand_over("c", "d").hand_over("d", "a")
    assert told_by(watching(), four) == []


def test_who_reports_back_has_not_handed_over() -> None:
    story = Story()
    for _ in range(6):
        story.tool("transfer_to_math", agent="boss").tool("transfer_back_to_boss", agent="math")
    assert [number for number, _ in told_by(watching(), story)] == [10]


@pytest.mark.parametrize(("failed", "told"), [(3, False), (4, True), (5, True)])
def test_a_trace_that_ends_in_failures_is_told(failed: int, told: bool) -> None:
    story = Story()
    for number in range(failed):
        story.tool("query", f'{{"n":{number}}}', failed=True)
    messages = [text for _, text in told_by(watching(), story.chat().end())]
    expected = {
        4: ["4 calls of tools have failed one after another, and the trace has ended"],
        5: ["5 calls of tools have failed one after another, query last"],
    }
    assert messages == expected.get(failed, [])
    assert bool(messages) is told


def test_a_plain_request_at_the_root_ends_the_trace_as_well() -> None:
    story = Story()
    for number in range(4):
        story.tool("query", f'{{"n":{number}}}', failed=True)
    story.plain("GET /ask")
    story.spans[-1].root = True
    assert [number for number, _ in told_by(watching(), story)] == [4]


def test_names_that_nobody_has_used_for_a_day_make_room_for_others() -> None:
    step = watching()
    for number in range(130):
        story = Story(agent=f"agent-{number}").tool(f"tool-{number}", "{}").end()
        told_by(step, story, f"day {number}", BEGIN + number * DAY)
    calls = _calls(step)
    assert calls["agent-129", "tool-129", "tool"] == 1
    assert ("agent-0", "tool-0", "tool") not in calls
    assert not any("other" in labels for labels in calls)


def test_names_of_tools_and_of_agents_do_not_take_each_other_s_room() -> None:
    step = watching()
    for number in range(99):
        told_by(step, Story(agent="one").tool(f"tool-{number}", "{}"), f"t{number}")
        told_by(step, Story(agent="").tool("search", "{}", agent=f"agent-{number}"), f"a{number}")
    assert not any("other" in labels for labels in _calls(step))
    assert len(_calls(step)) == 198


def test_names_in_use_keep_their_room_though_nothing_is_counted_under_them_yet() -> None:
    step = watching()
    told_by(step, Story(agent="").tool("late-tool", "{}"), "late")
    for number in range(99):
        told_by(step, Story(agent=f"agent-{number}").tool(f"tool-{number}", "{}"), f"old {number}")
    told_by(step, Story(agent="").chat(times=2), "late", BEGIN + 1_000 * SECOND)
    # Half an hour is over, all names are taken, and those that nothing was counted under go.
    told_by(step, Story(agent="").chat(), "other", BEGIN + 1_900 * SECOND)
    told_by(step, Story(agent="late-agent").plain("GET /").end(), "late", BEGIN + 1_910 * SECOND)
    assert _calls(step)["late-agent", "late-tool", "tool"] == 1
