"""What goes over the link to the operator, as bytes and as values. Pure; costs memory, so only a link imports it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isfinite

from google.protobuf.message import DecodeError

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.control.standing import Standing
from tracekeeper_sidecar.coordination import TRACE_ID, KeptBatch, Report

MOST_IDS = 16_384
"""Traces in one message. The operator takes more; one that is smaller holds up nothing behind it."""
MOST_BATCHES = 256
"""Batches in one message."""
MOST_ENTRIES = 16
"""Delivery entries, and backends: as many as a config may have."""
LONGEST_TEXT = 512
"""Characters of a fault in words."""
LARGEST_THRESHOLD = 1 << 56
"""The threshold that keeps nothing."""


def hello(version: str, config_uid: str, revision: int) -> bytes:
    """Who is there."""
    said = pb.Hello(version=version, config_uid=config_uid, policy_revision=revision, tries_candidates=True)
    return pb.FromSidecar(hello=said).SerializeToString()


def report(found: Report, revision: int) -> bytes:
    """What a sidecar sees."""
    coming = found.coming
    keys = [pb.KeyRate(key=key, rate=rate, coming=coming.get(key, 0.0)) for key, rate in found.keys.items()]
    return pb.FromSidecar(report=pb.Report(keys=keys, policy_revision=revision)).SerializeToString()


def standing(now: Standing) -> bytes:
    """How this sidecar fares."""
    said = pb.Standing(
        policy_revision=now.revision,
        policy_digest=now.digest,
        policy_problem=now.policy_problem[:LONGEST_TEXT],
        log_problem=now.log_problem[:LONGEST_TEXT],
        received=now.received,
        acknowledged=now.acknowledged,
        refused=now.refused,
        filtered=now.filtered,
        suspended=now.suspended,
        tests=now.tests,
        delivery=[pb.EntryStanding(**asdict(entry)) for entry in now.delivery[:MOST_ENTRIES]],
        backends=[
            pb.BackendStanding(name=each.name, circuit=each.circuit, fault=each.fault[:LONGEST_TEXT])
            for each in now.backends[:MOST_ENTRIES]
        ],
        unscraped=now.unscraped,
        at_floor=now.at_floor,
    )
    return pb.FromSidecar(standing=said).SerializeToString()


def decisions(batches: Sequence[KeptBatch]) -> Iterator[bytes]:
    """What is to be told, in messages that are not too large."""
    message, ids = pb.FromSidecar(), 0
    for batch in batches:
        at = 0
        while at < len(batch.ids):
            if ids >= MOST_IDS or len(message.kept.kept) >= MOST_BATCHES:
                yield message.SerializeToString()
                message, ids = pb.FromSidecar(), 0
            piece = batch.ids[at : at + (MOST_IDS - ids) * TRACE_ID]
            message.kept.kept.add(
                rule=batch.rule, threshold=batch.threshold, erase=batch.erase, decided=batch.decided, trace_ids=piece
            )
            at += len(piece)
            ids += len(piece) // TRACE_ID
    if ids:
        yield message.SerializeToString()


def read(data: bytes) -> pb.ToSidecar:
    """What the operator says; of a kind that is not known here, one without a member. Raises ValueError."""
    try:
        return pb.ToSidecar.FromString(data)
    except DecodeError:
        raise ValueError("it sent what is no message to a sidecar") from None


def kept(said: pb.Decisions) -> list[KeptBatch]:
    """What other sidecars keep. Raises ValueError when anything of it makes no sense."""
    for one in said.kept:
        if not one.trace_ids or len(one.trace_ids) % TRACE_ID:
            raise ValueError(f"it sent {len(one.trace_ids)} bytes of trace ids, which have {TRACE_ID} bytes each")
        if one.threshold > LARGEST_THRESHOLD or not isfinite(one.decided):
            raise ValueError(f"it sent decisions with a threshold of {one.threshold} at {one.decided}")
    return [KeptBatch(one.rule, one.threshold, one.erase, one.decided, one.trace_ids) for one in said.kept]


def seconds(value: float, least: float, most: float) -> float:
    """A duration from far away, within bounds; the shortest for what is none."""
    return min(max(value, least), most) if isfinite(value) else least
