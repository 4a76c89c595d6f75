"""One upload: the limits are kept while the body comes, not afterwards, and everything is given back."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field

import pytest

import otlp_requests
from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.exchange import Loss
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive import media
from tracekeeper_sidecar.receive.admission import OVERHEAD, Admission
from tracekeeper_sidecar.receive.inflate import STEP
from tracekeeper_sidecar.receive.intake import Done, Receiver
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST
from tracekeeper_sidecar.receive.upload import DIRECT, Upload
from waiting import turns, until

MIB = 1 << 20
BODY = otlp_requests.body(20)


@dataclass
class Sent:
    """What a connection would be told of one upload."""

    answers: list[Answer] = field(default_factory=list)
    holds: int = 0

    peer = ""

    def reply(self, answer: Answer) -> None:
        self.answers.append(answer)

    def hold(self) -> None:
        self.holds += 1

    def resume(self) -> None:
        self.holds = 0


class Rig:
    """An upload before a receiver that stores at once."""

    def __init__(self, *, gzip: bool = False, limit: int = 2 * MAX_REQUEST, others: int = 0) -> None:
        self.stored: list[bytes] = []
        self.ledger, self.admission = Intake(), Admission(limit)
        self.admission.reserve(others + OVERHEAD)
        self.others = others
        receiver = Receiver(self._store, self.ledger, self.admission, lambda: False)
        self.sent = Sent()
        self.upload = Upload(receiver, self.sent, media.PROTOBUF, gzip=gzip, held=OVERHEAD)  # type: ignore[arg-type]

    def _store(self, body: bytes, spans: int, done: Done, critical: bool) -> None:
        self.stored.append(body)
        done(None)

    async def status(self) -> int:
        """Of its one answer, after which nothing is held any more."""
        await until(lambda: self.sent.answers, "an answer")
        [answer] = self.sent.answers
        assert self.admission.in_flight == self.others
        return answer.status

    def refused(self) -> str:
        [reason] = self.ledger.refused_requests
        return reason


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("step", [1, 100, 100_000])
async def test_takes_what_came(packed: bool, step: int) -> None:
    rig = Rig(gzip=packed)
    data = gzip.compress(BODY[:300]) + gzip.compress(BODY[300:]) if packed else BODY
    for at in range(0, len(data), step):
        rig.upload.feed(data[at : at + step])
    rig.upload.end()
    assert await rig.status() == 200
    assert rig.stored == [BODY]


@pytest.mark.parametrize("packed", [False, True])
async def test_an_empty_body(packed: bool) -> None:
    rig = Rig(gzip=packed)
    rig.upload.end()
    assert await rig.status() == 200


async def test_memory_to_be_filled_in_place_becomes_the_body_without_a_copy() -> None:
    rig = Rig()
    room = rig.upload.room(len(BODY))
    assert room is not None
    assert rig.admission.in_flight == OVERHEAD + len(BODY)
    room[:] = BODY
    room.release()
    rig.upload.end()
    assert await rig.status() == 200
    assert rig.stored == [BODY]
    assert type(rig.stored[0]) is bytes


async def test_large_and_compressed_bodies_get_their_memory_as_they_come() -> None:
    assert Rig().upload.room(DIRECT + 1) is None
    assert Rig(gzip=True).upload.room(10) is None


async def test_an_endless_body_is_kept_no_further_than_the_limit() -> None:
    rig = Rig()
    for _ in range(MAX_REQUEST // MIB):
        rig.upload.feed(bytes(MIB))
    assert rig.sent.answers == []
    rig.upload.feed(b"x")
    assert await rig.status() == 413
    assert rig.refused() == "too_large"


async def test_a_bomb_unfolds_no_further_than_the_limit_and_lets_others_have_a_turn() -> None:
    rig = Rig(gzip=True)
    rig.upload.feed(gzip.compress(bytes(128 * MIB), 1))
    assert rig.sent.holds == 1, "nothing more is read meanwhile"
    assert rig.admission.in_flight <= OVERHEAD + 2 * STEP
    assert await rig.status() == 413
    assert rig.sent.holds == 0


async def test_what_admission_has_no_room_for_is_kept_no_further() -> None:
    rig = Rig(limit=10 * MIB, others=5 * MIB)
    for _ in range(4):
        rig.upload.feed(bytes(MIB))
    assert rig.sent.answers == []
    rig.upload.feed(bytes(MIB))
    assert await rig.status() == 429
    other = Rig(limit=10 * MIB, others=10 * MIB - 10)
    assert other.upload.room(1000) is None
    assert await other.status() == 429


@pytest.mark.parametrize(
    ("loss", "status", "reason"),
    [(Loss.TIMEOUT, 408, "slow_client"), (Loss.FRAMING, 400, "malformed"), (Loss.GONE, 400, "disconnected")],
)
async def test_what_is_lost_is_counted_and_given_back(loss: Loss, status: int, reason: str) -> None:
    rig = Rig()
    rig.upload.feed(BODY[:100])
    rig.upload.lost(loss, "why")
    assert await rig.status() == status
    assert rig.refused() == reason


async def test_a_client_that_vanishes_while_its_body_unfolds() -> None:
    rig = Rig(gzip=True)
    rig.upload.feed(gzip.compress(bytes(32 * MIB)))
    rig.upload.lost(Loss.GONE, "")
    assert await rig.status() == 400
    await turns(5)
    assert rig.admission.in_flight == 0


async def test_gzip_that_stops_early_is_an_error() -> None:
    rig = Rig(gzip=True)
    rig.upload.feed(gzip.compress(BODY)[:-1])
    rig.upload.end()
    assert await rig.status() == 400
    assert b"cut off" in rig.sent.answers[0].body
