"""Detectors against labelled traces: what they find, what they miss, and what they take for trouble."""

from __future__ import annotations

import pytest

from corpus.detect.labelled import Case, cases
from corpus.detect.score import Score, detected, scores
from corpus.detect.story import requests
from tracekeeper_sidecar.wire import scan
from tracekeeper_spec.detect import Detector

FLOORS = {
    Detector.LOOP: (10, 2),
    Detector.CONTEXT_EXPLOSION: (6, 1),
    Detector.TOKEN_RUNAWAY: (4, 1),
    Detector.TOOL_FAILURES: (6, 2),
    Detector.HANDOFF_PING_PONG: (4, 1),
    Detector.UNDECLARED_HANDOFF: (4, 0),
    Detector.FAN_OUT: (4, 1),
    Detector.RESPONSE_MODEL_CHANGED: (8, 1),
    Detector.ANSWER_CUT_OFF: (5, 1),
}
"""Of each detector: how many it finds at least, and how many false alarms it gives at most."""

CASES = cases()


@pytest.fixture(scope="module")
def found() -> dict[Detector, Score]:
    return scores(CASES)


def test_names_tell_cases_apart_and_every_miss_and_false_alarm_has_a_reason(found: dict[Detector, Score]) -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100
    for score in found.values():
        assert [case.name for case in (*score.missed, *score.false) if not case.why] == []


@pytest.mark.parametrize("detector", Detector)
def test_a_detector_finds_what_it_should(detector: Detector, found: dict[Detector, Score]) -> None:
    score, (least, most) = found[detector], FLOORS[detector]
    assert score.found >= least
    assert len(score.false) <= most
    # The floors are what it does, not less: who makes it better says so here, and in the docs.
    assert (score.found, len(score.false)) == (least, most)


def test_there_are_traces_with_and_without_each_trouble(found: dict[Detector, Score]) -> None:
    for score in found.values():
        assert score.labelled >= 4
        assert len(CASES) - score.labelled >= 90


def test_what_is_clean_stays_clean() -> None:
    clean = [case for case in CASES if not case.labels and not case.why]
    assert len(clean) >= 45
    assert {case.name: detected(case) for case in clean if detected(case)} == {}


def test_a_loop_without_an_end_is_told_ever_more_rarely() -> None:
    (case,) = [case for case in CASES if case.name == "endless-loop"]
    # At 6, 12, 24, 48 and 96 calls.
    assert detected(case)[Detector.LOOP] == 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stories_are_requests_that_the_receivers_take(case: Case) -> None:
    for body in requests(case.name, case.story):
        assert scan.look(body).spans
