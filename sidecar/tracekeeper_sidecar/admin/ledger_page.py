"""The ledger as JSON: the message `Ledger` of proto/tracekeeper_proto/ledger/v1 in its canonical JSON form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracekeeper_sidecar.admin.snapshot import Snapshot

if TYPE_CHECKING:
    from tracekeeper_proto.ledger.v1 import ledger_pb2 as pb
    from tracekeeper_sidecar.forward.entry import EntryHealth


def ledger_page(snapshot: Snapshot) -> dict[str, object]:
    """The body of `/ledger`. protobuf is imported at the first request, not on the way to the ports."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - slow import

    from tracekeeper_proto.ledger.v1 import ledger_pb2 as pb  # noqa: PLC0415 - slow import

    page = pb.Ledger(
        received=snapshot.received,
        acknowledged=snapshot.acknowledged,
        refused=snapshot.refused,
        filtered=snapshot.filtered,
        suspended=snapshot.suspended_spans,
        delivery=[_entry(entry) for entry in snapshot.entries],
        adopted=_adopted(snapshot),
    )
    page.time.FromNanoseconds(int(snapshot.time * 1e9))
    return MessageToDict(page, always_print_fields_with_no_presence=True)


def _adopted(snapshot: Snapshot) -> list[pb.AdoptedFolder]:
    from tracekeeper_proto.ledger.v1 import ledger_pb2 as pb  # noqa: PLC0415 - slow import

    now = snapshot.adoption.now if snapshot.adoption else None
    if now is None:
        return []
    entries = [_entry(entry) for entry in now.entries]
    return [pb.AdoptedFolder(folder=now.folder, acknowledged=now.acknowledged, delivery=entries)]


def _entry(entry: EntryHealth) -> pb.DeliveryEntry:
    from tracekeeper_proto.ledger.v1 import ledger_pb2 as pb  # noqa: PLC0415 - slow import

    return pb.DeliveryEntry(
        name=entry.name,
        start=entry.account.start,
        delivered=entry.account.delivered,
        dropped=entry.account.dropped,
        sampled_out=entry.account.sampled_out,
        unmatched=entry.account.unmatched,
        redelivered=entry.account.redelivered,
        pending=entry.pending,
    )
