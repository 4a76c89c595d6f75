"""The ledger of a config: sums over sidecars that come and go. It closes at all times and runs backwards at none."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_operator.control import ledgers
from tracekeeper_operator.control.ledgers import EntryTotals, Ledgers, Totals
from tracekeeper_proto.control.v1 import control_pb2 as pb

ANY: Callable[[str], bool] = lambda uid: True  # noqa: E731 - a default for tests


def standing(received: int, delivered: int = 0, dropped: int = 0, refused: int = 0, start: int = 0) -> pb.Standing:
    """Of a sidecar with one entry; what is not settled is pending."""
    acknowledged = received - refused
    entry = pb.EntryStanding(
        name="primary",
        start=start,
        delivered=delivered,
        dropped=dropped,
        pending=acknowledged - start - delivered - dropped,
    )
    return pb.Standing(received=received, acknowledged=acknowledged, refused=refused, delivery=[entry])


def test_those_that_are_away_are_counted_once_and_their_rest_is_unsent() -> None:
    known = Ledgers()
    known.away("agents", "a", standing(100, delivered=90, dropped=3), 0.0)
    total = known.total("agents", [standing(50, delivered=10)])
    assert (total.sidecars, total.away, total.received) == (2, 1, 150)
    assert total.delivery["primary"] == EntryTotals(delivered=100, dropped=3, pending=40, unsent=7)
    known.back("agents", "a", standing(101, delivered=101))
    total = known.total("agents", [standing(50, delivered=10), standing(101, delivered=101)])
    assert (total.sidecars, total.away, total.received) == (2, 0, 151)
    assert total.delivery["primary"].unsent == 0
    assert known.total("other", []) == Totals()


def test_a_sidecar_that_lost_its_log_is_another_one() -> None:
    known = Ledgers()
    known.away("agents", "a", standing(100, delivered=100), 0.0)
    known.back("agents", "a", standing(5, delivered=5))
    total = known.total("agents", [standing(5, delivered=5)])
    assert (total.sidecars, total.received, total.delivery["primary"].delivered) == (2, 105, 105)


def test_after_long_they_are_a_sum_and_count_all_the_same() -> None:
    known = Ledgers()
    for pod in range(ledgers.MOST_AWAY + 10):
        known.away("agents", f"pod-{pod}", standing(2, delivered=1), float(pod))
    before = known.total("agents", [])
    assert before.received == 2 * (ledgers.MOST_AWAY + 10)
    known.sweep(1e6, ANY)
    assert known.total("agents", []) == before


def test_what_no_config_has_is_forgotten() -> None:
    known = Ledgers()
    known.away("agents", "a", standing(2), 0.0)
    known.away("gone", "b", standing(2), 0.0)
    known.sweep(1e6, ANY)
    known.away("gone", "c", standing(2), 1e6)
    known.sweep(2e6, lambda uid: uid == "agents")
    assert known.total("gone", []) == Totals()
    assert known.total("agents", []).received == 2


def test_names_that_change_all_the_time_have_a_bound() -> None:
    total = Totals()
    for number in range(1000):
        total.add(Totals(delivery={f"entry-{number}": EntryTotals(delivered=1)}))
    assert len(total.delivery) == ledgers.MOST_ENTRIES


def test_sums_stop_at_what_the_api_takes() -> None:
    known = Ledgers()
    for life in range(3):
        known.back("agents", "a", standing(0))  # its log was lost
        known.away("agents", "a", standing(ledgers.MOST // 2, delivered=ledgers.MOST // 2), float(life))
        total = known.total("agents", [])
        assert total.exact is (life < 2)
    entry = total.delivery["primary"]
    assert (total.received, total.acknowledged, entry.delivered) == (ledgers.MOST, ledgers.MOST, ledgers.MOST)
    assert ledgers.MOST == (1 << 63) - 1 and total.sidecars == 3
    full = Totals(delivery={"a": EntryTotals(dropped=ledgers.MOST)})
    assert not full.exact and Totals(delivery={"a": EntryTotals(dropped=1)}).exact


Step = tuple[str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["spans", "away", "back", "sweep"]), st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)
    )
)


@given(STEPS)
def test_it_closes_and_never_runs_backwards(steps: list[Step]) -> None:
    known, now = Ledgers(), 0.0
    pods: dict[int, tuple[int, int, int]] = {}
    attached: dict[int, pb.Standing] = {}
    before = Totals()
    for kind, pod, much, share in steps:
        now += 100.0
        if kind == "spans" and pod in attached:
            received, delivered, refused = pods[pod]
            refused += min(share, much) // 2
            received += much
            delivered = min(delivered + share, received - refused)
            pods[pod] = received, delivered, refused
            attached[pod] = standing(received, delivered=delivered, refused=refused)
        elif kind == "away" and pod in attached:
            known.away("agents", str(pod), attached.pop(pod), now)
        elif kind == "back" and pod not in attached:
            received, delivered, refused = pods.setdefault(pod, (0, 0, 0))
            attached[pod] = standing(received, delivered=delivered, refused=refused)
            known.back("agents", str(pod), attached[pod])
        elif kind == "sweep":
            known.sweep(now, ANY)
        total = known.total("agents", attached.values())
        entry, last = total.delivery.get("primary", EntryTotals()), before.delivery.get("primary", EntryTotals())
        assert total.received == total.acknowledged + total.refused + total.filtered + total.suspended
        if total.sidecars:
            settled = entry.earlier + entry.delivered + entry.sampled_out + entry.unmatched + entry.dropped
            assert total.acknowledged == settled + entry.pending + entry.unsent
        assert total.received >= before.received and total.acknowledged >= before.acknowledged
        assert entry.delivered >= last.delivered and total.sidecars >= before.sidecars
        assert total.received == sum(received for received, _, _ in pods.values())
        before = total
