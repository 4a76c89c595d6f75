"""The ledger of a config: sums over sidecars that come and go. It closes at all times and runs backwards at none."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_operator.control import ledgers
from tracekeeper_operator.control.ledgers import EntryTotals, Ledgers, Totals
from tracekeeper_operator.control.tokens import PodIdentity
from tracekeeper_proto.control.v1 import control_pb2 as pb

ANY: Callable[[str], bool] = lambda uid: True  # noqa: E731 - a default for tests


def pod(uid: str, namespace: str = "shop") -> PodIdentity:
    return PodIdentity(namespace, f"pod-{uid}", uid, "default")


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
    known.away("agents", pod("a"), standing(100, delivered=90, dropped=3), 0.0)
    total = known.total("agents", [standing(50, delivered=10)])
    assert (total.sidecars, total.away, total.received) == (2, 1, 150)
    assert total.delivery["primary"] == EntryTotals(delivered=100, dropped=3, pending=40, unsent=7)
    known.back("agents", pod("a"), standing(101, delivered=101))
    total = known.total("agents", [standing(50, delivered=10), standing(101, delivered=101)])
    assert (total.sidecars, total.away, total.received) == (2, 0, 151)
    assert total.delivery["primary"].unsent == 0
    assert known.total("other", []) == Totals()


def test_a_sidecar_that_lost_its_log_is_another_one() -> None:
    known = Ledgers()
    known.away("agents", pod("a"), standing(100, delivered=100), 0.0)
    known.back("agents", pod("a"), standing(5, delivered=5))
    total = known.total("agents", [standing(5, delivered=5)])
    assert (total.sidecars, total.received, total.delivery["primary"].delivered) == (2, 105, 105)


def test_after_long_they_are_a_sum_and_count_all_the_same() -> None:
    known = Ledgers()
    for number in range(ledgers.MOST_AWAY + 10):
        known.away("agents", pod(str(number)), standing(2, delivered=1), float(number))
    before = known.total("agents", [])
    assert before.received == 2 * (ledgers.MOST_AWAY + 10)
    known.sweep(1e6, ANY)
    assert known.total("agents", []) == before


def test_what_no_config_has_is_forgotten() -> None:
    known = Ledgers()
    known.away("agents", pod("a"), standing(2), 0.0)
    known.away("gone", pod("b"), standing(2), 0.0)
    known.sweep(1e6, ANY)
    known.away("gone", pod("c"), standing(2), 1e6)
    known.sweep(2e6, lambda uid: uid == "agents")
    assert known.total("gone", []) == Totals()
    assert known.total("agents", []).received == 2


def test_names_that_change_all_the_time_have_a_bound() -> None:
    known = Ledgers()
    for number in range(1000):
        entry = pb.EntryStanding(name=f"entry-{number}", delivered=1)
        known.away("agents", pod(str(number)), pb.Standing(received=1, delivery=[entry]), 0.0)
    known.away("agents", pod("good", "other"), standing(5, delivered=5), 0.0)
    known.sweep(1e6, ANY)
    total = known.total("agents", [])
    assert len(total.delivery) == ledgers.MOST_ENTRIES + 1 and total.received == 1005
    assert total.delivery["primary"].delivered == 5, "other namespaces have room of their own"


def test_of_those_that_are_away_only_numbers_are_kept() -> None:
    known, said = Ledgers(), standing(7, delivered=7)
    known.away("agents", pod("a"), said, 0.0)
    said.received = 8
    assert known.total("agents", []).received == 7, "the message is not kept"


def test_a_crowd_that_comes_and_goes_takes_no_room_from_other_namespaces() -> None:
    known = Ledgers()
    known.away("agents", pod("good", "other"), standing(100), 0.0)
    for number in range(2 * ledgers.MOST_AWAY):
        known.away(f"config-{number}", pod("a"), standing(1), 1.0)
    assert len(known) == ledgers.MOST_AWAY
    known.back("agents", pod("good", "other"), standing(101))
    assert known.total("agents", [standing(101)]).received == 101, "it was still known, and is counted once"


def test_what_one_namespace_makes_up_leaves_the_counts_of_the_others() -> None:
    """A pod comes back again and again as if it had lost its log, of a config that is lent to its namespace."""
    known, much = Ledgers(), 1 << 48
    for life in range(40):
        known.back("agents", pod("a", "tenant"), standing(0))
        known.away("agents", pod("a", "tenant"), standing(much, delivered=much), float(life))
    total = known.total("agents", [standing(5, delivered=5)])
    assert total.received == ledgers.MOST_SUMMED + much + 5
    assert total.delivery["primary"].delivered == ledgers.MOST_SUMMED + much + 5


def test_sums_stop_at_what_the_api_takes() -> None:
    total, full = Totals(), Totals(received=ledgers.MOST, delivery={"a": EntryTotals(dropped=ledgers.MOST)})
    for _ in range(2):
        total.add(full)
    assert total == full and ledgers.MOST == (1 << 63) - 1


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
    for kind, which, much, share in steps:
        now += 100.0
        if kind == "spans" and which in attached:
            received, delivered, refused = pods[which]
            refused += min(share, much) // 2
            received += much
            delivered = min(delivered + share, received - refused)
            pods[which] = received, delivered, refused
            attached[which] = standing(received, delivered=delivered, refused=refused)
        elif kind == "away" and which in attached:
            known.away("agents", pod(str(which)), attached.pop(which), now)
        elif kind == "back" and which not in attached:
            received, delivered, refused = pods.setdefault(which, (0, 0, 0))
            attached[which] = standing(received, delivered=delivered, refused=refused)
            known.back("agents", pod(str(which)), attached[which])
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
