"""A batch is cut while it is sent, and one bad piece holds up no other."""

from __future__ import annotations

from forward_support.spans import ids_of, request
from tracekeeper_sidecar.forward import flight as flight_module
from tracekeeper_sidecar.forward.flight import Flight
from tracekeeper_sidecar.model import Batch, Position


def batch(body: bytes, spans: int) -> Batch:
    return Batch(body, spans, len(body), Position(1, 64, 0), Position(1, 64 + len(body), spans))


async def test_one_piece_at_a_time_is_in_memory() -> None:
    body, ids = request(5000, 100)
    flight = Flight.of(batch(body, 5000), 512, 4 << 20)
    assert len(body) > flight_module.INLINE_BYTES
    sent: list[str] = []
    while await flight.advance():
        assert len(flight.requests) == 1
        assert flight.requests[0].spans <= 512
        sent += ids_of(flight.requests.popleft().body)
    assert sent == ids
    assert flight.over
    assert not flight.dropped


async def test_a_suspected_piece_waits_while_later_ones_are_tried() -> None:
    body, ids = request(40)
    flight = Flight.of(batch(body, 40), 10, 4 << 20)
    assert await flight.advance()
    flight.requests[0].verdicts = 1
    taken: list[str] = []
    for _ in range(3):
        assert await flight.advance()
        taken += ids_of(flight.requests.popleft().body)
    assert taken == ids[10:]
    assert await flight.advance()
    assert ids_of(flight.requests.popleft().body) == ids[:10]
    assert not await flight.advance()


async def test_a_backend_that_suspects_everything_does_not_fill_the_memory() -> None:
    body, _ = request(400, 200_000)
    flight = Flight.of(batch(body, 400), 5, 4 << 20)
    for _ in range(200):
        assert await flight.advance()
        flight.requests[0].verdicts += 1
        flight.requests.rotate(-1)
    assert sum(len(one.body) for one in flight.requests) < flight_module.HELD_BYTES + (2 << 20)


async def test_what_is_no_request_is_left_to_the_backend_whole() -> None:
    flight = Flight.of(batch(b"\xff" * 100, 40), 10, 4 << 20)
    assert await flight.advance()
    assert flight.requests.popleft().body == b"\xff" * 100
    assert not await flight.advance()
    assert not flight.dropped


async def test_what_stops_being_a_request_in_the_middle_is_booked_as_damaged() -> None:
    body, _ = request(30)
    flight = Flight.of(batch(body + b"\x0a\xff", 40), 10, 4 << 20)
    sent = 0
    while await flight.advance():
        sent += flight.requests.popleft().spans
    assert sent + flight.dropped["damaged"] == 40
    assert flight.dropped["damaged"] >= 10
    assert flight.over


async def test_halving_what_is_no_request_gives_no_halves() -> None:
    assert flight_module.Request(b"\xff" * 10, 4).halves() == []
