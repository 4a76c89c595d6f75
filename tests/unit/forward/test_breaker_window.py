"""The window of calls that a breaker's rates look at, against a list of all calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.window import SLICES, Window

calls = st.lists(st.tuples(st.floats(0, 12), st.booleans(), st.booleans()), max_size=60)


@given(st.floats(0.5, 60), calls)
def test_counts_what_the_last_slices_hold(length: float, made: list[tuple[float, bool, bool]]) -> None:
    window, now, seen = Window(length), 1000.0, []
    for pause, failed, slow in made:
        now += pause
        window.add(now, failed=failed, slow=slow)
        seen.append((now, failed, slow))
        width = length / SLICES
        recent = [call for call in seen if int(call[0] / width) > int(now / width) - SLICES]
        assert window.calls == len(recent)
        assert window.failed == sum(call[1] for call in recent)
        assert window.slow == sum(call[2] for call in recent)
        assert all(now - call[0] <= length + 1e-6 for call in recent)
