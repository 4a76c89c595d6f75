"""Steps of the user's own: what they change is taken, and whatever they do otherwise, the sidecar goes on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from custom_world import LIMITS, Answered, be_seen, begin, install, step, through
from otlp_requests import request, span_ids
from tracekeeper_sidecar.process.custom.child import Failed, Failure, Limits
from tracekeeper_sidecar.process.custom.metrics import BYPASSED, CPU, MEMORY, REQUESTS, STARTS
from tracekeeper_sidecar.process.custom.step import AGAIN_AFTER, CustomStep
from tracekeeper_spec.custom import OnError
from waiting import attempted, until

Make = Callable[..., CustomStep]


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes steps, and sees to it that their processes have ended when the test has."""
    install(tmp_path)
    be_seen(tmp_path, monkeypatch)
    made: list[CustomStep] = []

    def make(*args: object, **options: object) -> CustomStep:
        made.append(step(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()
        await each.gone()


def named(name: str, spans: int = 4) -> bytes:
    """A request whose first span says what is to be done."""
    message = request(spans)
    message.resource_spans[0].scope_spans[0].spans[0].name = name
    return message.SerializeToString()


def sample(step: CustomStep, metric: object, outcome: str = "") -> float:
    labels = ("mine", outcome) if outcome else ("mine",)
    return next(each.value for each in step.samples() if each.metric is metric and each.labels == labels)


async def test_what_the_class_changes_is_taken(make: Make) -> None:
    tag = make("tag", {"value": "blue"})
    found = await through(tag, named("x"), 4)
    assert found.error is None and found.request.spans == 4
    message = ExportTraceServiceRequest.FromString(found.request.body)
    spans = message.resource_spans[0].scope_spans[0].spans
    assert [span.attributes[-1].value.string_value for span in spans] == ["blue"] * 4
    assert sample(tag, REQUESTS, "answered") == 1 and sample(tag, STARTS) == 1 and sample(tag, BYPASSED) == 0
    assert sample(tag, CPU) > 0 and sample(tag, MEMORY) > 1 << 20


async def test_what_it_leaves_alone_stays_the_same_object(make: Make) -> None:
    body = named("looks")
    found = await through(make(), body, 4)
    assert found.error is None and found.request.body is body


async def test_spans_that_it_drops_are_filtered(make: Make) -> None:
    odd, body = make(), named("drops")
    found = await through(odd, body, 4)
    ids = span_ids(ExportTraceServiceRequest.FromString(body))
    assert span_ids(ExportTraceServiceRequest.FromString(found.request.body)) == ids[::2]
    assert found.request.spans == 2 and found.request.filtered == {"mine": 2}
    found = await through(odd, named("drops_all"), 4)
    assert found.request.body == b"" and found.request.spans == 0 and found.request.filtered == {"mine": 4}


HARMFUL = {
    "raises": Failure.RAISED,
    "eats": Failure.RAISED,
    "returns": Failure.RAISED,
    "exits": Failure.DIED,
    "leaves": Failure.DIED,
    "stalls": Failure.TIMED_OUT,
    "spins": Failure.TIMED_OUT,
    "ignores_signals": Failure.TIMED_OUT,
    "loses_ids": Failure.INVALID,
    "doubles": Failure.INVALID,
    "writes_to_everything": Failure.DIED,
    "closes_everything": Failure.DIED,
}


@pytest.mark.parametrize("on_error", OnError)
@pytest.mark.parametrize(("deed", "failure"), HARMFUL.items())
async def test_harm_costs_one_request_and_the_next_is_served(
    make: Make, deed: str, failure: Failure, on_error: OnError
) -> None:
    odd, body = make(on_error=on_error), named(deed)
    found = await through(odd, body, 4)
    if on_error is OnError.REFUSE and failure in (Failure.RAISED, Failure.INVALID):
        assert found.error is None and found.request.refused == {"processor": 4} and not found.request.spans
        assert found.request.problem.startswith("processor mine: ")
    else:
        assert isinstance(found.error, Failed) and found.error.failure == failure, found.error
        assert found.request.body is body and found.request.spans == 4
    assert not found.request.filtered
    assert odd.fails_closed == (on_error is OnError.REFUSE)
    assert sample(odd, REQUESTS, failure) == 1
    assert sample(odd, BYPASSED) == (4 if on_error is OnError.BYPASS else 0)

    async def served() -> bool:
        return (await through(odd, named("drops"), 4)).error is None

    await attempted(served, "its process is started again, and serves")
    assert not list(odd.problems())
    assert sample(odd, STARTS) == (1 if failure in (Failure.RAISED, Failure.INVALID) else 2)


async def test_what_it_prints_does_no_harm_and_is_logged_in_part(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    odd = make()
    assert (await through(odd, named("prints"), 4)).error is None
    await until(lambda: "garbage 3" in caplog.text, lambda: caplog.text)
    assert (await through(odd, named("prints"), 4)).error is None
    assert caplog.text.count("custom step prints") <= 20


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        ("repeats", "KeyError in repeats (spare_parts.py:"),
        ("repeats_elsewhere", "nobody has caught KeyError in repeats (spare_parts.py:"),
        ("repeats_at_the_end", "nobody has caught KeyboardInterrupt in repeats_at_the_end (spare_parts.py:"),
    ],
)
async def test_what_it_raises_over_spans_is_told_by_its_place(
    make: Make, caplog: pytest.LogCaptureFixture, deed: str, says: str
) -> None:
    caplog.set_level(logging.INFO)
    odd = make(on_error=OnError.REFUSE)
    found = await through(odd, named(deed), 4)

    def said() -> str:
        return "\n".join([found.request.problem, str(found.calls), *odd.problems(), caplog.text])

    await until(lambda: says in said(), said)
    assert "hunter2" not in said()


@pytest.mark.parametrize(
    ("deed", "says"), [("raises", "RuntimeError in raises (spare_parts.py:"), ("doubles", "but 5 came out")]
)
async def test_why_requests_bypass_it_is_logged_now_and_then(
    make: Make, caplog: pytest.LogCaptureFixture, deed: str, says: str
) -> None:
    now = 100.0
    odd = make(monotonic=lambda: now)
    for _ in range(3):
        await through(odd, named(deed), 4)
    now += AGAIN_AFTER + 1
    await through(odd, named(deed), 4)
    lines = [record.getMessage() for record in caplog.records if "mine" in record.getMessage()]
    assert len(lines) == 2 and all(says in line for line in lines), lines
    assert lines[0].startswith("processor mine has failed on 1 request, last of all: ") and lines[1].startswith(
        "processor mine has failed on 3 requests"
    )


async def test_children_of_its_own_do_not_answer_and_end_with_it(make: Make) -> None:
    odd = make()
    for deed in ("forks", "drops", "leaves_a_child", "forks", "drops"):
        found = await through(odd, named(deed), 4)
        assert found.error is None and len(found.calls) == 1
    group = odd.pid
    odd.close()
    await odd.gone()
    await until(lambda: not living(group), "no process of the group lives")


def living(group: int) -> list[str]:
    """Processes of a group that have not ended; what has, somebody else may still have to bury."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[2] == str(group) and fields[0] != "Z":
                found.append(entry)
    return found


async def test_a_long_queue_is_cut_and_each_request_is_answered_once(make: Make) -> None:
    odd = make(limits=replace(LIMITS, waiting=8))
    all_of_them = [begin(odd, named("raises" if number % 3 == 0 else "drops"), 4) for number in range(50)]
    await asyncio.gather(*(asyncio.wait_for(each.event.wait(), 60) for each in all_of_them))
    assert all(len(each.calls) == 1 for each in all_of_them)
    failed = [each.error.failure for each in all_of_them if isinstance(each.error, Failed)]
    assert failed.count(Failure.OVERLOADED) == 42 and failed.count(Failure.RAISED) == 3
    assert sum(sample(odd, REQUESTS, outcome) for outcome in ("answered", "raised", "overloaded")) == 50


async def test_requests_behind_one_that_stalls_are_answered_too(make: Make) -> None:
    odd = make(limits=replace(LIMITS, timeout=0.2))
    await through(odd, named("drops"), 4)
    both = begin(odd, named("stalls"), 4), begin(odd, named("drops"), 4)
    await asyncio.gather(*(asyncio.wait_for(each.event.wait(), 60) for each in both))
    first, second = (each.error for each in both)
    assert isinstance(first, Failed) and first.failure == Failure.TIMED_OUT
    assert isinstance(second, Failed) and second.failure in (Failure.OVERLOADED, Failure.UNUSABLE)


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ("unmade", "ValueError: config.table is missing"),
        ("no-method", "has no method process"),
        ("missing", "no package that is installed has an entry point 'missing'"),
    ],
)
async def test_a_class_that_cannot_be_used_is_named(make: Make, point: str, says: str) -> None:
    bad = make(point)
    assert bool(list(bad.problems())) == (point == "missing")  # That much is known before anything is started.
    found = await through(bad, named("x"), 4)
    assert isinstance(found.error, Failed) and found.error.failure == Failure.UNUSABLE
    assert says in str(found.error)
    [problem] = bad.problems()
    assert says in problem and problem.endswith("its spans go on as they are")


async def test_two_packages_with_the_same_name_are_told_apart_by_nobody(make: Make, tmp_path: Path) -> None:
    install(tmp_path, {"odd": "Odd"}, name="other_parts")
    [problem] = make().problems()
    assert "'odd' is there 2 times: other_parts:Odd, spare_parts:Odd" in problem


async def test_a_step_that_replaces_another_takes_its_process_over(make: Make) -> None:
    first = make("tag", {"value": "a"})
    await through(first, named("x"), 4)
    pid = first.pid
    second = make("tag", {"value": "a"}, on_error=OnError.REFUSE)
    second.keep(first)
    first.close()
    assert (await through(second, named("x"), 4)).error is None and second.pid == pid
    third = make("tag", {"value": "b"})
    third.keep(second)
    under_way = begin(second, named("x"), 4)
    second.close()
    found = await through(third, named("x"), 4)
    assert b"b" in found.request.body and third.pid != pid
    await asyncio.wait_for(under_way.event.wait(), 60)
    assert under_way.error is None and sample(third, REQUESTS, "answered") == 4 and sample(third, STARTS) == 2
    await until(lambda: not living(pid), "the old process has ended")


async def test_a_request_under_way_over_a_change_of_the_policy_is_served_and_counted(make: Make) -> None:
    first = make("tag", {"value": "a"})
    await through(first, named("x"), 4)
    second = make("tag", {"value": "a"})
    second.keep(first)
    first.close()
    found = await through(first, named("x"), 4)
    assert found.error is None and b"tag" in found.request.body, "the process is the same"
    assert sample(second, REQUESTS, "answered") == 2
    third = make("tag", {"value": "b"})
    third.keep(second)
    second.close()
    found = await through(second, named("x"), 4)
    assert isinstance(found.error, Failed) and found.error.failure == Failure.UNUSABLE
    assert sample(third, REQUESTS, "unusable") == 1 and sample(third, BYPASSED) == 4


async def test_nobody_waits_for_it_beyond_the_time_at_which_its_sender_gives_up(make: Make) -> None:
    odd, loop = make(), asyncio.get_running_loop()
    await through(odd, named("drops"), 4)
    late = begin(odd, named("drops"), 4, due=loop.time() + LIMITS.timeout / 2)
    assert isinstance(late.error, Failed) and late.error.failure == Failure.OVERLOADED
    assert "its sender would give up" in str(late.error)
    assert begin(odd, named("drops"), 4, due=loop.time() + 60).calls == []
    hung = make("hangs", limits=Limits(timeout=0.1, starting=60.0))
    patient, due = begin(hung, named("x"), 4, due=loop.time() + 60), loop.time() + 0.3
    soon = begin(hung, named("x"), 4, due=due)
    await until(lambda: soon.calls, "the second is told")
    assert isinstance(soon.error, Failed) and not patient.calls
    assert "has not started" in str(soon.error)


async def test_a_process_that_never_starts_is_not_waited_for(make: Make, tmp_path: Path) -> None:
    install(tmp_path, {"slow": "Slow"}, "import time\ntime.sleep(3600)\nclass Slow: pass", name="slow_parts")
    slow = make("slow", limits=Limits(timeout=0.05, starting=0.2))
    found = await through(slow, named("x"), 4)
    assert isinstance(found.error, Failed) and "it has not started" in str(found.error)


async def test_only_the_first_requests_wait_for_a_process_that_hangs_at_its_start(make: Make) -> None:
    hung = make("hangs", limits=Limits(timeout=0.05, starting=0.3, hopeless=60.0))
    first = begin(hung, named("x"), 4)
    assert not first.calls
    await until(lambda: first.calls, "the first is told")
    await until(lambda: list(hung.problems()), "it is a problem")
    [problem] = hung.problems()
    assert problem == "it has not started within 0.3 s, and is not waited for; its spans go on as they are"
    later = begin(hung, named("x"), 4)
    assert isinstance(later.error, Failed) and later.error.failure == Failure.UNUSABLE, "at once"
    assert hung.pid and sample(hung, STARTS) == 1, "it may come to an end yet"


async def test_a_step_that_goes_while_its_process_is_being_started_takes_it_along(make: Make) -> None:
    asked: list[Answered] = []
    steps = [make(limits=Limits(timeout=0.01, starting=0.01)) for _ in range(5)]
    for each in steps:
        asked.append(begin(each, named("x"), 4))
        await asyncio.sleep(0)  # Its process is asked for now, and is not there.
        each.close()
    for each in steps:
        await asyncio.wait_for(each.gone(), 30)
    assert all(len(each.calls) == 1 for each in asked)
    assert not any(each.pid for each in steps)


async def test_a_process_that_never_starts_is_killed_and_started_again(make: Make) -> None:
    hung = make("hangs", limits=Limits(timeout=0.05, starting=0.1, hopeless=0.5, backoff=0.01, max_backoff=0.05))
    begin(hung, named("x"), 4)
    await until(lambda: hung.pid, "it runs")
    pid = hung.pid
    await until(lambda: sample(hung, STARTS) > 1, "it is started again")
    later = begin(hung, named("x"), 4)
    assert isinstance(later.error, Failed), "nobody waits for the second start of what hung at the first"
    await until(lambda: not living(pid), "the first has been killed")


async def test_a_process_that_starts_late_serves_then(make: Make, tmp_path: Path) -> None:
    late = make("late", {"until": str(tmp_path / "now")}, limits=replace(LIMITS, starting=0.1, hopeless=60.0))
    begin(late, named("x"), 4)
    await until(lambda: "not waited for" in str(list(late.problems())), "it is late")
    (tmp_path / "now").touch()
    await until(lambda: not list(late.problems()), "it has started")
    assert (await through(late, named("x"), 4)).error is None
    assert sample(late, STARTS) == 1


async def test_large_requests_go_through(make: Make) -> None:
    message = request(2000, text="x" * 2000)
    found = await through(make("tag"), message.SerializeToString(), 2000)
    assert found.error is None
    assert len(found.request.body) > 12_000_000
