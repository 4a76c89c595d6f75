"""What detectors do not say again: from turn to turn, by the hour, of what repeats others, or for one limit of two."""

from __future__ import annotations

import pytest

from corpus.detect.story import BEGIN, SECOND, Story
from detect_world import told as told_by
from detect_world import watching
from tracekeeper_spec.detect import Tokens, ToolFailures

MINUTE = 60 * SECOND


def test_an_input_that_grows_from_turn_to_turn_is_told_at_the_limit_and_at_twice_that() -> None:
    story, size = Story(conversation="talk"), 10_000
    for _ in range(20):
        size = int(size * 1.12)
        story.chat(size).end().next_trace()
    told = told_by(watching(), story)
    assert [number // 2 for number, _ in told] == [10, 16]
    assert [text.split()[7] for _, text in told] == ["34779", "68644"]


def test_two_agents_of_a_conversation_are_told_of_each_by_itself() -> None:
    story = Story(conversation="talk")
    for step in range(7):
        story.chat(3_000 * 2**step, agent="a").chat(3_000 * 2**step, agent="b").end().next_trace()
    assert [number for number, _ in told_by(watching(), story)] == [12, 13, 15, 16, 18, 19]


def test_one_hand_off_in_each_turn_is_told_at_6_12_and_24() -> None:
    story = Story(conversation="talk")
    for _ in range(15):
        story.hand_over("triage", "refunds").next_trace().hand_over("refunds", "triage").next_trace()
    assert [number + 1 for number, _ in told_by(watching(), story)] == [6, 12, 24]


def test_a_row_of_hand_offs_that_begins_anew_is_not_told_anew_in_its_conversation() -> None:
    story = Story(conversation="talk")
    for _ in range(5):
        for _ in range(3):
            story.hand_over("a", "b").hand_over("b", "a")
        story.hand_over("a", "c").next_trace()
    assert [number for number, _ in told_by(watching(), story)] == [5]


def test_another_model_that_goes_on_to_answer_is_told_once_however_long_it_goes_on() -> None:
    step, told = watching(), []
    for minute in range(6 * 60):
        story = Story(model="gpt-4o", answered="gpt-4o-mini", trace=minute).chat()
        told += [minute for _ in told_by(step, story, at=BEGIN + minute * MINUTE)]
    assert told == [0]


def _wrapped(times: int, mark: bool) -> Story:
    """Calls, and of each a span around it that says the same."""
    story = Story()
    for number in range(times):
        reason = "length" if number == 0 else "stop"
        story.chat(10_000, 100, reason=reason).chat(10_000, 100, reason=reason)
        story.spans[-1].attributes["tracekeeper.usage.repeated"] = mark
    return story


def test_a_span_that_repeats_a_call_is_no_call() -> None:
    assert [text for _, text in told_by(watching(), _wrapped(50, mark=True))] == [
        "1 answers of this trace were cut off because they had become too long"
    ]
    assert len(told_by(watching(), _wrapped(99, mark=True))) == 1
    told = told_by(watching(), _wrapped(100, mark=True))
    assert [number for number, _ in told] == [0, 198, 198]
    assert told[1][1] == "100 calls of models and tools in one trace"
    assert told[2][1] == "this trace has used 1010000 tokens"


def test_a_mark_that_says_no_is_none() -> None:
    told = told_by(watching(), _wrapped(50, mark=False))
    assert [number for number, _ in told] == [0, 1, 99, 99]


def test_tokens_by_the_minute_do_not_hide_those_of_the_trace() -> None:
    story = Story().chat(100_000, 0, seconds=60, times=40)
    told = told_by(watching(tokens=Tokens(1_000_000, 50_000)), story)
    assert told == [
        (0, "this trace has used 100000 tokens a minute"),
        (9, "this trace has used 1000000 tokens"),
        (19, "this trace has used 2000000 tokens"),
        (39, "this trace has used 4000000 tokens"),
    ]


def test_a_share_of_failures_is_told_though_a_row_of_them_was_and_not_the_same_ones_again() -> None:
    story = Story()
    for number in range(5):
        story.tool("query", f'{{"n":{number}}}', failed=True)
    for number in range(20):
        story.tool("query", f'{{"after":{number}}}', failed=number % 4 > 0)
    told = told_by(watching(tool_failures=ToolFailures(5, 0.5, 8)), story)
    assert [text.split(",")[0] for _, text in told] == [
        "5 calls of tools have failed one after another",
        "8 of 9 calls of tools have failed",
        "16 of 20 calls of tools have failed",
    ]


@pytest.mark.parametrize("failed", [4, 5, 9, 10, 20, 40])
def test_a_row_of_failures_is_told_once_at_each_level(failed: int) -> None:
    story = Story()
    for number in range(failed):
        story.tool("query", f'{{"n":{number}}}', failed=True)
    told = [number + 1 for number, _ in told_by(watching(), story)]
    assert told == [level for level in (5, 10, 20, 40) if level <= failed]
