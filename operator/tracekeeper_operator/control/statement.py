"""What a sidecar may state of what was spent: checked here before it is counted. Pure."""

from __future__ import annotations

import re

from tracekeeper_proto.control.v1 import control_pb2 as pb

MOST_ROWS, MOST_TALKS = 1000, 50
LONGEST = 128
"""Bytes of a name."""
MOST_NANO = 10**9 * 10**9
"""Of one row: a billion dollars."""
MOST_COUNT = 1 << 48
LOG_ID = re.compile(r"[0-9a-f]{16,64}")
ROW = 40
"""Units of work for one row, see `budget`."""


def problem(statement: pb.Statement) -> str:
    """What no sidecar states; empty when there is nothing of it."""
    if not LOG_ID.fullmatch(statement.log_id):
        return "Statement: log_id must be 16 to 64 digits of hex"
    if not 0 < statement.number < 1 << 62:
        return f"Statement: {statement.number} is no number of one; they begin at 1"
    if len(statement.rows) > MOST_ROWS or len(statement.conversations) > MOST_TALKS:
        return f"Statement: more than {MOST_ROWS} rows, or than {MOST_TALKS} conversations"
    for row in statement.rows:
        if max(len(text.encode()) for text in _names(row)) > LONGEST:
            return f"Statement: a name has more than {LONGEST} bytes"
        if row.nano_dollars > MOST_NANO or max(row.tokens, row.unpriced_calls) > MOST_COUNT:
            return "Statement: a row has spent more than there is"
    for talk in statement.conversations:
        if max(len(talk.id.encode()), len(talk.agent.encode())) > LONGEST or talk.nano_dollars > MOST_NANO:
            return "Statement: a conversation's name is too long, or it has cost more than there is"
    return "" if statement.missed_spans <= MOST_COUNT else "Statement: more spans were missed than there are"


def work(statement: pb.Statement) -> int:
    """Units for counting it, besides those for its bytes."""
    return ROW * (len(statement.rows) + len(statement.conversations))


def _names(row: pb.SpendRow) -> tuple[str, ...]:
    return row.agent, row.model, row.user, row.project, row.environment
