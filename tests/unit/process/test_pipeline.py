"""What steps make of a request, in their order, and what becomes of it when one of them fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import pytest

import otlp_requests
from receivers import Store, export
from tracekeeper_sidecar.errors import StepUnavailable
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.process.pipeline import Pipeline
from tracekeeper_sidecar.process.step import Plain, Request, Sample
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import Accepted, Outcome, Refused
from tracekeeper_sidecar.wire.meter import Meter
from waiting import until


class Told(Plain):
    """A step that does what the test says."""

    def __init__(self, what: Callable[[Request], None], name: str = "told", *, closed: bool = False) -> None:
        super().__init__(name, "Told")
        self._what = what
        self.fails_closed = closed
        self.closed = False

    def run(self, request: Request) -> None:
        self._what(request)

    def problems(self) -> Iterable[str]:
        return ["is told"]

    def close(self) -> None:
        self.closed = True


class Slow(Told):
    """One that takes its time: until the test calls `back`."""

    back: Callable[[Exception | None], None]

    def start(self, request: Request, done: Callable[[Exception | None], None]) -> None:
        self._what(request)
        self.back = done


class Rig:
    """A receiver with steps before a store in memory."""

    def __init__(self, *steps: Told) -> None:
        self.store, self.ledger, self.meter = Store(), Intake(), Meter()
        self.admission = Admission(1 << 20)
        self.pipeline = Pipeline(steps)
        self.receiver = Receiver(
            self.store.submit,
            self.ledger,
            self.admission,
            lambda: False,
            process=self.pipeline.process,
            meter=self.meter,
        )

    async def export(self, body: bytes) -> Outcome:
        return await export(self.receiver, body)

    def shown(self) -> dict[tuple[str, str], float]:
        return {(s.metric.name, s.labels[0]): s.value for s in self.pipeline.samples()}


def boom(request: Request) -> None:
    request.body = b"half a"
    raise RuntimeError("a step that fails")


def replaced(old: bytes, new: bytes) -> Callable[[Request], None]:
    def replace(request: Request) -> None:
        request.body = request.body.replace(old, new)

    return replace


async def test_without_steps_the_very_same_bytes_are_stored() -> None:
    rig, body = Rig(), otlp_requests.body(3)
    assert await rig.export(body) == Accepted(3)
    assert rig.store.payloads[0] is body


async def test_steps_run_in_their_order_and_what_they_make_is_stored() -> None:
    rig = Rig(Told(replaced(b"hunter2", b"hunter3"), "a"), Told(replaced(b"hunter3", b"*******"), "b"))
    assert await rig.export(otlp_requests.body(2, text="hunter2")) == Accepted(2)
    assert rig.store.payloads == [otlp_requests.body(2, text="*******")]
    shown = rig.shown()
    assert shown["tracekeeper_processor_spans_total", "a"] == 2
    assert shown["tracekeeper_processor_changed_spans_total", "b"] == 2


async def test_a_step_that_fails_closed_has_the_request_refused(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(Told(boom, closed=True))
    result = await rig.export(otlp_requests.body(2))
    assert isinstance(result, Refused)
    assert (result.reason, rig.store.payloads, rig.ledger.refused["internal"]) == ("internal", [], 2)
    assert rig.admission.in_flight == 0
    assert "told has failed" in caplog.text


@pytest.mark.parametrize("closed", [True, False])
async def test_why_a_step_has_failed_is_logged_without_values(caplog: pytest.LogCaptureFixture, closed: bool) -> None:
    def fail(request: Request) -> None:
        held: dict[bytes, int] = {}
        held[request.body[:40] + b"hunter2"]

    await Rig(Told(fail, closed=closed)).export(otlp_requests.body(2, text="hunter2"))
    [record] = [one for one in caplog.records if "told has failed" in one.getMessage()]
    written = logging.Formatter().format(record)
    assert "KeyError in fail (test_pipeline.py:" in written and ", called by run (" in written
    assert "hunter2" not in written


async def test_that_a_step_cannot_work_at_the_moment_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> None:
        raise StepUnavailable("its key is missing")

    result = await Rig(Told(fail, closed=True)).export(otlp_requests.body(2))
    assert isinstance(result, Refused)
    assert (result.reason, result.http_status, result.retry_after) == ("processor", 503, 1.0)
    assert "its key is missing" in result.message
    assert "has failed" not in caplog.text


async def test_a_step_that_fails_open_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    rig, body = Rig(Told(boom)), otlp_requests.body(2)
    assert await rig.export(body) == Accepted(2)
    assert rig.store.payloads == [body]
    assert rig.shown()["tracekeeper_processor_errors_total", "told"] == 1


async def test_what_a_step_throws_away_is_answered_ok_and_counted() -> None:
    left = otlp_requests.body(1)
    rig = Rig(Told(lambda request: request.filter("told", left, 2)))
    assert await rig.export(otlp_requests.body(3)) == Accepted(3)
    assert (rig.store.payloads, rig.ledger.filtered) == ([left], {"told": 2})


async def test_when_all_is_thrown_away_nothing_is_stored() -> None:
    rig = Rig(Told(lambda request: request.filter("told", b"", 3)), Told(boom, "never reached"))
    assert await rig.export(otlp_requests.body(3)) == Accepted(3)
    assert (rig.store.payloads, rig.ledger.filtered["told"], rig.admission.in_flight) == ([], 3, 0)


async def test_what_must_not_be_stored_is_told_by_a_partial_success() -> None:
    left = otlp_requests.body(1)
    rig = Rig(Told(lambda request: request.refuse("redaction", left, 2, "the key is missing")))
    assert await rig.export(otlp_requests.body(3)) == Accepted(1, 2, "2 spans are not stored: the key is missing")
    assert (rig.store.payloads, rig.ledger.refused["redaction"]) == ([left], 2)


async def test_when_nothing_may_be_stored_the_request_is_refused() -> None:
    rig = Rig(Told(lambda request: request.refuse("redaction", b"", 3, "the key is missing")))
    result = await rig.export(otlp_requests.body(3))
    assert isinstance(result, Refused)
    assert (result.reason, result.retry_after, rig.ledger.refused["redaction"]) == ("redaction", None, 3)
    assert "the key is missing" in result.message


@pytest.mark.parametrize("body", [b"\x0a", otlp_requests.body(1)], ids=["no request", "a span is gone"])
async def test_what_a_step_spoils_never_reaches_the_log(body: bytes) -> None:
    def spoil(request: Request) -> None:
        request.body = body

    rig = Rig(Told(spoil))
    assert isinstance(await rig.export(otlp_requests.body(2)), Refused)
    assert (rig.store.payloads, rig.ledger.refused["internal"]) == ([], 2)


async def test_a_step_that_takes_its_time_holds_up_nobody_else() -> None:
    slow = Slow(replaced(b"hunter2", b"*******"), "slow")
    rig = Rig(slow, Told(lambda request: None, "behind"))
    answers: list[Outcome] = []
    rig.receiver.take(otlp_requests.body(2, text="hunter2"), 0, answers.append)
    assert answers == []
    slow.back(None)
    assert answers == [Accepted(2)]
    assert rig.store.payloads == [otlp_requests.body(2, text="*******")]
    assert rig.shown()["tracekeeper_processor_spans_total", "behind"] == 2


@pytest.mark.parametrize("closed", [True, False])
async def test_a_step_that_takes_its_time_may_fail(closed: bool) -> None:
    slow, body = Slow(replaced(b"value", b"other"), "slow", closed=closed), otlp_requests.body(2)
    rig = Rig(slow)
    answers: list[Outcome] = []
    rig.receiver.take(body, 0, answers.append)
    slow.back(TimeoutError("too slow"))
    assert [type(answer) for answer in answers] == [Refused if closed else Accepted]
    assert rig.store.payloads == ([] if closed else [body])


async def test_the_ledger_closes_when_the_log_refuses_what_is_left() -> None:
    from tracekeeper_sidecar.errors import LogFull

    rig = Rig(Told(lambda request: request.filter("told", otlp_requests.body(1), 2)))
    rig.store.fault = LogFull("quota", "no room", 1)
    assert isinstance(await rig.export(otlp_requests.body(3)), Refused)
    assert (rig.ledger.filtered, rig.ledger.refused["quota"]) == ({}, 3), "the sender sends all three again"


def test_counts_and_knowledge_outlive_a_change_of_the_policy() -> None:
    kept: list[object] = []

    class Keeping(Told):
        def keep(self, older: object) -> None:
            kept.append(older)

    before, gone = Keeping(lambda request: None, "a"), Told(lambda request: None, "gone")
    old = Pipeline([before, gone])
    old.run(Request(otlp_requests.body(2), 2), lambda error: None)
    new = Pipeline([Told(lambda request: None, "new"), Keeping(lambda request: None, "a")])
    new.keep(old)
    assert kept == [before]
    assert (before.closed, gone.closed) == (True, True)
    spans = {s.labels[0]: s.value for s in new.samples() if s.metric.name == "tracekeeper_processor_spans_total"}
    assert spans == {"new": 0, "a": 2}


def test_problems_name_the_step() -> None:
    assert Pipeline([Told(lambda request: None, "mask")]).problems() == ["processor mask: is told"]


async def test_a_step_is_known_to_refuse_everything_from_its_last_request_to_the_next_that_passes() -> None:
    away = True

    def fail(request: Request) -> None:
        if away:
            raise StepUnavailable("is away")

    rig, body = Rig(Told(fail, "mask", closed=True)), otlp_requests.body(2)
    assert rig.pipeline.refusals() == [], "nothing has come yet"
    await rig.export(body)
    assert rig.pipeline.refusals() == ["processor mask: is told"]
    newer = Pipeline([Told(lambda request: None, "mask", closed=True)])
    away = False
    await rig.export(body)
    assert rig.pipeline.refusals() == []
    away = True
    await rig.export(body)
    newer.keep(rig.pipeline)
    assert newer.refusals() == [], "a new one may do what the old one could not"


async def test_of_a_step_that_takes_its_time_and_of_one_that_is_passed_by_it_is_known_too() -> None:
    slow, bypassed = Slow(lambda request: None, "slow", closed=True), Told(boom, "bypassed")
    rig = Rig(bypassed, slow)
    for error, known in ((StepUnavailable("away"), ["processor slow: is told"]), (None, [])):
        asked = asyncio.ensure_future(rig.export(otlp_requests.body(2)))
        await until(lambda: hasattr(slow, "back"), "it has been started")
        slow.back(error)
        del slow.back
        await asked
        assert rig.pipeline.refusals() == known


def test_samples_of_a_step_are_shown_with_those_of_all() -> None:
    from tracekeeper_sidecar.process.metrics import SPANS

    class Counting(Told):
        def samples(self) -> Iterable[Sample]:
            return [Sample(SPANS, ("own", "Told"), 7)]

    assert Sample(SPANS, ("own", "Told"), 7) in list(Pipeline([Counting(lambda request: None)]).samples())


async def test_a_step_that_fails_when_it_has_thrown_spans_away_has_thrown_none_away() -> None:
    def half(request: Request) -> None:
        request.filter("told", otlp_requests.body(1), 1)
        raise RuntimeError("a step that fails")

    rig, body = Rig(Told(half)), otlp_requests.body(2)
    assert await rig.export(body) == Accepted(2)
    assert (rig.store.payloads, rig.ledger.filtered) == ([body], {})
