"""What is remembered of traces: the newest, within bounds of number, bytes and time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.receive.known_traces import KnownTraces
from tracekeeper_sidecar.wire.openai_trace import Trace
from tracekeeper_sidecar.wire.propagation import Parent

A_PARENT = Parent(b"1" * 16, b"1" * 8)


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_one_that_was_heard_of_least_recently_goes_first() -> None:
    known = KnownTraces(most=2)
    known.put("a", Trace(service="a"))
    known.put("b", Trace(service="b"))
    known.touch("a")
    known.put("c", Trace(service="c"))
    assert [known.get(name) for name in "abc"] == [Trace(service="a"), None, Trace(service="c")]


def test_one_is_forgotten_an_hour_after_it_was_heard_of() -> None:
    watch = Watch()
    known = KnownTraces(monotonic=watch)
    known.put("a", Trace())
    watch.now = 3599
    known.touch("a")
    watch.now = 7000
    assert known.get("a") == Trace()
    watch.now = 7199
    assert known.get("a") is None
    known.put("b", Trace())
    assert len(known) == 1


def test_what_alone_is_too_large_is_not_remembered() -> None:
    known = KnownTraces(most_bytes=1000)
    known.put("a", Trace())
    known.put("b", Trace(common=bytes(2000)))
    known.put("a", Trace(common=bytes(2000)))
    assert (known.get("a"), known.get("b"), len(known)) == (None, None, 0)


def test_a_trace_keeps_its_parent() -> None:
    known = KnownTraces()
    known.put("a", Trace(A_PARENT))
    known.put("a", Trace(Parent(b"2" * 16, b"2" * 8), common=b"new"))
    assert known.get("a") == Trace(A_PARENT, common=b"new")
    known.put("a", Trace())
    assert known.get("a") == Trace(A_PARENT)


@property_test
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 700), st.booleans(), st.integers(0, 20)), max_size=60)
)
def test_the_bounds_hold(steps: list[tuple[str, int, bool, int]]) -> None:
    watch = Watch()
    known = KnownTraces(most=4, most_bytes=3000, lifetime=60, monotonic=watch)
    for name, size, put, later in steps:
        watch.now += later
        if put:
            known.put(name, Trace(common=bytes(size)))
            assert known.get(name) is not None
        else:
            known.touch(name)
        assert len(known) <= 4
        assert sum(trace.size for each in "abcdef" if (trace := known.get(each))) <= 3000
