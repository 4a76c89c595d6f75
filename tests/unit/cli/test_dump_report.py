"""What is printed about a dump: a line now and then, and a table of everything."""

from __future__ import annotations

from typing import Any

import pytest

from tracekeeper_cli.dump import EACH, NOT_ASKED, NOT_TOLD, SAY, STOPPED, Report
from tracekeeper_proto.control.v1.control_pb2 import DumpProgress, DumpState


def progress(pod: str, *, uid: str = "", sidecars: int = 1, running: bool = False, **state: Any) -> DumpProgress:
    return DumpProgress(pod=pod, pod_uid=uid or pod, sidecars=sidecars, state=DumpState(running=running, **state))


def test_a_pod_has_a_line_now_and_then_and_one_at_its_end() -> None:
    report = Report("a")
    assert report.take(progress("app-1", running=True), 0.0) == ""
    assert report.take(progress("app-1", running=True, sent=1, left=9), SAY - 0.1) == ""
    assert report.take(progress("app-1", running=True, sent=2, left=8), SAY) == "app-1: 2 spans sent, 8 to look at"
    assert report.take(progress("app-1", running=True, sent=3, left=7), SAY + 1) == ""
    assert report.take(progress("app-1", sent=4), SAY + 1) == "app-1: done: 4 spans sent"
    assert not report.failed


def test_of_many_there_are_sums_and_lines_about_those_that_fail() -> None:
    report, many = Report("a"), EACH + 1
    lines = [report.take(progress(f"p{n}", sidecars=many, running=True, left=10), 0.0) for n in range(many)]
    assert [line for line in lines if line] == [f"0 of {many} sidecars done: 0 spans sent, 10 to look at"]
    lines = [report.take(progress(f"p{n}", sidecars=many, sent=2), SAY) for n in range(many - 1)]
    assert [line for line in lines if line] == [
        f"1 of {many} sidecars done: 2 spans sent, {10 * (many - 1)} to look at"
    ]
    assert report.take(progress("p20", sidecars=many, problem="it was full"), SAY) == "p20: failed: it was full"
    assert report.failed
    assert f"{2 * (many - 1)} spans were sent to 'a' by {many} sidecars" in report.text()


def test_two_pods_may_have_had_one_name() -> None:
    report = Report("a")
    report.take(progress("db-0", uid="first", sidecars=2, sent=1, problem="gone"), 0.0)
    report.take(progress("db-0", uid="second", sidecars=2, sent=2), 1.0)
    report.end()
    lines = report.text().splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["db-0", "failed", "1"], ["db-0", "done", "2"]]


def test_what_is_under_way_when_nothing_more_is_told_is_not_called_done() -> None:
    for problem, said in ((STOPPED, STOPPED), ("the network failed", NOT_TOLD)):
        report = Report("a")
        report.take(progress("app-1", running=True, sent=5), 0.0)
        report.end(problem)
        assert report.failed
        assert f"app-1: {said}" in report.text()
        assert report.text().endswith(f"it ended early: {problem}")


@pytest.mark.parametrize("there, failed", [(["app-1"], False), (["app-2", "app-1"], True)])
def test_a_pod_that_was_not_asked_makes_the_whole_a_failure(there: list[str], failed: bool) -> None:
    report = Report("a")
    report.take(progress("app-1", sent=5), 0.0)
    report.expect(there)
    assert report.failed == failed
    assert (f"app-2: {NOT_ASKED}" in report.text()) == failed


def test_what_comes_from_far_away_cannot_move_the_cursor() -> None:
    report = Report("a")
    line = report.take(progress("app-1", problem="\x1b[2Jgone\r\n"), 0.0)
    report.end("\x07")
    assert line == "app-1: failed: ?[2Jgone??"
    assert not {"\x1b", "\r", "\x07"} & set(report.text())
