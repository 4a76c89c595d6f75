"""Tables: what people read of conditions and ledgers."""

from __future__ import annotations

from typing import Any

from control_objects import config
from tracekeeper_cli.tables import ledger_text, status_text, table
from tracekeeper_proto.ledger.v1.ledger_pb2 import AdoptedFolder, DeliveryEntry, Ledger


def conditioned(name: str, **states: str) -> dict[str, Any]:
    found = [{"type": kind, "status": state, "message": f"why {kind}"} for kind, state in states.items()]
    return {**config(name), "status": {"conditions": found}}


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["A", "B"], [["long", 1], ["x", 22]]) == "A     B\nlong  1\nx     22"


def test_status_tells_why_of_everything_that_is_not_true() -> None:
    text = status_text(
        [
            conditioned("fine", Accepted="True", ResolvedRefs="True", Ready="True", Delivering="True"),
            conditioned("poor", Accepted="True", ResolvedRefs="Unknown", Ready="False"),
            config("new"),
        ]
    )
    lines = text.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["TRACINGCONFIG", "ACCEPTED", "RESOLVEDREFS", "READY", "DELIVERING"],
        ["shop/fine", "True", "True", "True", "True"],
        ["shop/poor", "True", "Unknown", "False", "Unknown"],
        ["shop/new", "Unknown", "Unknown", "Unknown", "Unknown"],
    ]
    assert lines[4:6] == ["shop/poor: ResolvedRefs: why ResolvedRefs", "shop/poor: Ready: why Ready"]
    assert lines[6].startswith("shop/new: no status yet: is the controller running?")
    assert len(lines) == 7


def test_status_tells_of_rules_that_are_left_out() -> None:
    item = conditioned("agents", Accepted="True", RulesLoaded="True")
    item["status"]["conditions"][0]["reason"] = "AcceptedWithFaults"
    assert status_text([item]).splitlines()[2:] == ["shop/agents: Accepted: why Accepted"]


def test_status_tells_of_backends_in_trouble_and_of_ledgers() -> None:
    item = conditioned("agents", Delivering="True")
    item["status"]["conditions"][0]["reason"] = "Degraded"
    item["status"]["backends"] = [
        {"name": "tempo", "circuit": "Open", "sidecars": 3, "message": "connection refused"},
        {"name": "standby", "circuit": "Closed", "message": "it was away yesterday"},
    ]
    entry = {"name": "primary", "delivered": 90, "sampledOut": 5, "pending": 4, "unsent": 1, "dropped": 0}
    item["status"]["ledger"] = {
        "time": "2026-01-01T00:00:00Z",
        "sidecars": 42,
        "away": 4,
        "received": 100,
        "delivery": [{**entry, "unmatched": 0}],
    }
    text = status_text([item, config("new")])
    assert "shop/agents: Delivering: why Delivering" in text, "it delivers, and something is wrong"
    _, backends, ledgers = text.split("\n\n")
    assert backends.splitlines()[1:] == ["shop/agents    tempo    Open     3         connection refused"]
    head, row = (line.split() for line in ledgers.splitlines())
    assert head[-4:] == ["UNSENT", "DROPPED", "AS", "OF"]
    counts = ["100", "primary", "90", "5", "0", "4", "1", "0", "2026-01-01T00:00:00Z"]
    assert row == ["shop/agents", "42", "(4", "away)", *counts]


def ledger(pending: int) -> Ledger:
    entry = DeliveryEntry(
        name="primary",
        start=2,
        pending=pending,
        delivered={"b": 30, "a": 10},
        dropped={"refused": 1, "damaged": 0},
        sampled_out={"default": 7},
        unmatched=2,
        redelivered={"replay": 5},
    )
    refused = {"log_full": 2, "invalid": 0}
    return Ledger(received=59, acknowledged=55, refused=refused, filtered={"noise": 2}, suspended=0, delivery=[entry])


def test_a_ledger_names_backends_and_reasons() -> None:
    head, values, gap, delivery, entry = ledger_text(ledger(3)).splitlines()
    assert head.split() == ["RECEIVED", "ACKNOWLEDGED", "REFUSED", "FILTERED", "SUSPENDED", "CLOSES"]
    assert values.split("  ")[0] == "59" and "2 (log_full 2)" in values and "2 (noise 2)" in values
    assert gap == "" and values.endswith("yes")
    columns = ["DELIVERY", "DELIVERED", "SAMPLED", "OUT", "UNMATCHED", "PENDING", "DROPPED", "REDELIVERED", "CLOSES"]
    assert delivery.split() == columns
    assert entry.split("  ")[0] == "primary" and entry.endswith("yes")
    for cell in ("40 (a 10, b 30)", "7 (default 7)", "1 (refused 1)", "5 (replay 5)"):
        assert cell in entry


def test_a_ledger_whose_first_half_does_not_close_asks_for_a_report() -> None:
    broken = ledger(3)
    broken.received += 1
    assert ledger_text(broken).splitlines()[1].endswith("NO: please report this")


def test_a_ledger_that_does_not_close_asks_for_a_report() -> None:
    assert ledger_text(ledger(2)).endswith("NO: please report this")


def test_a_folder_of_another_pod_has_a_table_of_its_own() -> None:
    entry = DeliveryEntry(name="primary", pending=4, delivered={"a": 6})
    book = ledger(3)
    book.adopted.append(AdoptedFolder(folder="/spans/shop/agents/uid", acknowledged=10, delivery=[entry]))
    *_, title, gap, head, line = ledger_text(book).splitlines()
    assert title.endswith("/spans/shop/agents/uid, 10 acknowledged")
    assert (gap, head.split()[0]) == ("", "DELIVERY")
    assert line.endswith("yes") and "6 (a 6)" in line
    book.adopted[0].acknowledged = 11
    assert ledger_text(book).endswith("NO: please report this")
