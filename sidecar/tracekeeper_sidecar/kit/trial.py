"""Tests a step: `run` it on spans, in this process or in its own, and `check` that it keeps to what a step must.

def test_it_keeps_to_the_contract():
    assert check(TeamFromRoute, {"teams": {"/pay": "billing"}}).problems == []
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.kit.isolated import Isolated, StepFailed
from tracekeeper_sidecar.kit.samples import body_of, make_span, samples, spans_in
from tracekeeper_sidecar.process.custom import worker
from tracekeeper_sidecar.process.custom.find import load
from tracekeeper_sidecar.process.custom.spans import Span
from tracekeeper_sidecar.wire.scan import look

__all__ = ["Isolated", "Report", "Result", "StepFailed", "check", "make_span", "run", "samples"]

_MANY = 512
"""Spans that the time is taken of: as many as SDKs send at once."""


@dataclass(frozen=True, slots=True)
class Result:
    """What has become of some spans."""

    spans: list[Span]
    """Those that go on, as they are now."""
    dropped: int


@dataclass(slots=True)
class Report:
    """How a class has done."""

    problems: list[str] = field(default_factory=list)
    """What does not keep to the contract, a sentence each; empty when all is well."""
    seconds_per_span: float = 0.0
    """Of one core, in this process, in requests of 512 small spans: what the step costs each span, apart from taking it
    to the process and back."""


def run(processor: Any, spans: Sequence[Span]) -> Result:
    """What `processor`, an object of the author's or an Isolated that was entered, makes of copies of these spans, in
    one request. Raises what the class raises, or StepFailed."""
    body = body_of(spans)
    changed, dropped = processor.run(body) if isinstance(processor, Isolated) else worker.run(processor, body)
    return Result(spans_in(changed), dropped)


def check(
    kind: type | str,
    config: Mapping[str, Any] | None = None,
    spans: Sequence[Span] = (),
    *,
    memory: int = 128 << 20,
    timeout: float = 10.0,
) -> Report:
    """Whether a class, or what an entry point of that name leads to, keeps to what a step must: it can be made of a
    config that has gone through JSON, and leaves that alone; it puts up with no spans, with `samples()`, and with
    `spans`; what it gives back is valid and complete; another object of the same config does the same; and so does one
    in a process of its own, within `memory` bytes and `timeout` seconds for a request. Never raises."""
    report = Report()
    try:
        _check(report, kind, dict(config or {}), list(spans), memory, timeout)
    except Exception as error:
        report.problems.append(worker.sentence(error).decode())
    return report


def _check(
    report: Report, kind: type | str, config: dict[str, Any], spans: list[Span], memory: int, timeout: float
) -> None:
    found = load(kind) if isinstance(kind, str) else kind
    if (again := json.loads(json.dumps(config))) != config:
        report.problems.append(f"the config becomes another one in a TracingConfig: {again!r}")
    given = copy.deepcopy(config)
    first, second = found(given), found(given)
    bodies = [body_of(some) for some in ([], samples(), spans) if some or not spans]
    with Isolated(kind, config, memory=memory, timeout=timeout) as apart:
        for body in bodies:
            here = _run(report, first, body)
            if here is None:
                continue
            if _run(report, second, body) != here:
                report.problems.append("two objects of one config do not do the same")
            if apart.run(body) != here:
                report.problems.append("it does not do the same in a process of its own")
    if given != config:
        report.problems.append("it changes its config")
    many = body_of([make_span(f"span {number}", {"key": number}) for number in range(_MANY)])
    began = time.process_time()
    worker.run(first, many)
    report.seconds_per_span = (time.process_time() - began) / _MANY


def _run(report: Report, processor: Any, body: bytes) -> tuple[bytes, int] | None:
    try:
        after, dropped = worker.run(processor, body)
    except Exception as error:
        report.problems.append(f"it raises: {worker.sentence(error).decode()}")
        return None
    try:
        left = look(after).spans
    except WireError as error:
        report.problems.append(f"what it makes of spans is not OTLP: {error}")
        return None
    if left + dropped != look(body).spans:
        report.problems.append(f"spans are lost or made: {look(body).spans} in, {dropped} dropped, {left} out")
    return after, dropped
