"""What a sidecar may say: everything that comes is checked here before anything is done with it. Pure."""

from __future__ import annotations

from math import isfinite

from google.protobuf.message import DecodeError

from tracekeeper_proto.control.v1 import control_pb2 as pb

from . import errand, statement

MOST_KEYS = 501
LONGEST_KEY = 256
"""Characters; of up to eight values of attributes."""
MOST_IDS = 65_536
"""Traces in one message."""
MOST_REASONS = 1000
LONGEST_NAME = 253
"""Characters of a rule's name, of a version and of a UID."""
LONGEST_LABEL = 63
"""Bytes of a name of an entry or a backend, as in a config."""
LONGEST_CIRCUIT = 32
"""Bytes; all words of today are shorter."""
LONGEST_DIGEST = 128
"""Bytes."""
TRACE_ID = 16
NEVER = 1 << 56
"""The threshold that keeps nothing."""
MOST_ENTRIES = 16
"""Delivery entries, and backends."""
LONGEST_TEXT = 512
"""Characters of a fault in words; of more bytes than that the first are kept."""
MOST_SPANS = 1 << 48
"""Of any count: sums of them over 20,000 sidecars are less than what the API server takes."""
ERRANDS = ("dump", "tap", "test")
"""Kinds of messages about what people ask."""
STATEMENT = "statement"
"""The kind of messages about what was spent."""
LONGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes."""


class BadMessage(ValueError):
    """A sidecar has said what none says; the text is for its log."""


def read(data: bytes) -> pb.FromSidecar:
    """Raises BadMessage. A message of a kind that is not known here is one without a member. Of what is kept for longer
    than the next message (a Standing, or the state of an errand) there is nothing in memory but what is known here:
    some 15 KB at most, and what a tap shows."""
    message = pb.FromSidecar()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise BadMessage("this is no FromSidecar message") from error
    kind = message.WhichOneof("message")
    if kind == "hello":
        _check_hello(message.hello)
    elif kind == "report":
        _check_report(message.report)
    elif kind == "kept":
        _check_kept(message.kept)
    elif kind == "standing":
        _check_standing(message.standing)
        return _alone(pb.FromSidecar(standing=message.standing))
    elif kind in ERRANDS:
        _check_errand(kind, message)
        return _alone(message)
    elif kind == STATEMENT and (problem := statement.problem(message.statement)):
        raise BadMessage(problem)
    return message


def _check_hello(hello: pb.Hello) -> None:
    if not hello.config_uid:
        raise BadMessage("Hello: config_uid is empty")
    if max(len(hello.config_uid), len(hello.version)) > LONGEST_NAME:
        raise BadMessage(f"Hello: a text has more than {LONGEST_NAME} characters")


def _check_report(report: pb.Report) -> None:
    if len(report.keys) > MOST_KEYS:
        raise BadMessage(f"Report: {len(report.keys)} keys; at most {MOST_KEYS}")
    for key in report.keys:
        if len(key.key) > LONGEST_KEY:
            raise BadMessage(f"Report: a key has {len(key.key)} characters; at most {LONGEST_KEY}")
        if not (isfinite(key.rate) and isfinite(key.coming)) or min(key.rate, key.coming) < 0.0:
            raise BadMessage(f"Report: {key.rate} is no rate")


def _check_kept(decisions: pb.Decisions) -> None:
    if len(decisions.kept) > MOST_REASONS:
        raise BadMessage(f"Decisions: {len(decisions.kept)} of them; at most {MOST_REASONS}")
    for kept in decisions.kept:
        if not kept.rule or len(kept.rule) > LONGEST_NAME:
            raise BadMessage(f"Decisions: a rule's name has 1 to {LONGEST_NAME} characters, not {len(kept.rule)}")
        if kept.threshold >= NEVER:
            raise BadMessage(f"Decisions: {kept.threshold} is no threshold of what is kept; it is less than 2^56")
        if not kept.trace_ids or len(kept.trace_ids) % TRACE_ID:
            raise BadMessage(f"Decisions: {len(kept.trace_ids)} bytes are no trace ids of {TRACE_ID} bytes")
        if not isfinite(kept.decided):
            raise BadMessage(f"Decisions: {kept.decided} is no time")
    traces = sum(len(kept.trace_ids) for kept in decisions.kept) // TRACE_ID
    if traces > MOST_IDS:
        raise BadMessage(f"Decisions: {traces} traces; at most {MOST_IDS}")


def _check_standing(standing: pb.Standing) -> None:
    if max(len(standing.delivery), len(standing.backends)) > MOST_ENTRIES:
        raise BadMessage(f"Standing: more than {MOST_ENTRIES} delivery entries or backends")
    faults = [backend.fault for backend in standing.backends]
    names = [*(entry.name for entry in standing.delivery), *(backend.name for backend in standing.backends)]
    for text in (standing.policy_problem, standing.log_problem, *faults):
        if len(text) > LONGEST_TEXT:
            raise BadMessage(f"Standing: a text has {len(text)} characters; at most {LONGEST_TEXT}")
    for kind, most, texts in (
        ("the digest", LONGEST_DIGEST, [standing.policy_digest]),
        ("a name", LONGEST_LABEL, names),
        ("a circuit", LONGEST_CIRCUIT, [backend.circuit for backend in standing.backends]),
    ):
        longest = max((len(text.encode()) for text in texts), default=0)
        if longest > most:
            raise BadMessage(f"Standing: {kind} has {longest} bytes; at most {most}")
    for part in (standing, *standing.delivery):
        for field, value in part.ListFields():
            if isinstance(value, int) and value > MOST_SPANS:
                raise BadMessage(f"Standing: {field.name} is {value}; at most {MOST_SPANS}")
    standing.policy_problem, standing.log_problem = _cut(standing.policy_problem), _cut(standing.log_problem)
    for backend in standing.backends:
        backend.fault = _cut(backend.fault)


def _check_errand(kind: str, message: pb.FromSidecar) -> None:
    """Texts are cut: they are a sidecar's words, or an application's."""
    state: pb.DumpState | pb.TapState | pb.TestState = getattr(message, kind)
    if len(state.id) > LONGEST_NAME:
        raise BadMessage(f"{kind}: an id has more than {LONGEST_NAME} characters")
    for field, value in state.ListFields():
        if isinstance(value, int) and value > MOST_SPANS:
            raise BadMessage(f"{kind}: {field.name} is {value}; at most {MOST_SPANS}")
    state.problem = state.problem[: errand.LONGEST_TEXT]
    if isinstance(state, pb.TestState):
        del state.delivery[MOST_ENTRIES:]
        state.trace_id = state.trace_id[:TRACE_ID]
        for entry in state.delivery:
            entry.name, entry.outcome = _cut(entry.name), _cut(entry.outcome)
            entry.backend, entry.words = entry.backend[: errand.LONGEST_TEXT], entry.words[: errand.LONGEST_TEXT]


def _alone(message: pb.FromSidecar) -> pb.FromSidecar:
    """What is parsed stays in memory with all bytes that it came with, so this is copied."""
    message.DiscardUnknownFields()
    alone = pb.FromSidecar()
    alone.ParseFromString(message.SerializeToString())
    return alone


def _cut(text: str) -> str:
    return text.encode()[:LONGEST_TEXT].decode(errors="ignore")
