"""Sends dead letters again: each once, to the backends of the delivery entry that gave it up.

What a backend takes is booked as `redelivered` beside the ledger's equation, because its spans were booked as dropped
long ago, and the letter is removed. What is refused again, or meets no backend that takes calls, stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.dead_letter import DeadLetters
from tracekeeper_sidecar.forward.letter import Damaged, Letter
from tracekeeper_sidecar.forward.outcome import Parts, Sent

REASON = "dead_letter"
"""Under which the ledger books what was sent again."""


@dataclass(frozen=True, slots=True)
class Left:
    """A letter that stays."""

    number: int
    why: str
    """In words for people."""


@dataclass(slots=True)
class Replayed:
    """What one replay did."""

    letters: int = 0
    spans: int = 0
    left: list[Left] = field(default_factory=list)

    def described(self) -> dict[str, object]:
        """As the metrics port shows it."""
        left = [{"number": letter.number, "why": letter.why} for letter in self.left]
        return {"letters": self.letters, "spans": self.spans, "left": left}


async def replay(
    letters: DeadLetters,
    backends: Mapping[str, Sequence[Backend]],
    book: Callable[[str, int], None],
    clock: Clock,
    timeout: float,  # noqa: ASYNC109 (the clock is a parameter)
) -> Replayed:
    """Send all letters again, the oldest first, beginning no send after `timeout` seconds.

    `backends` are those of every delivery entry, by its name; `book` is told the entry and the spans that were sent.
    Raises OSError when a letter that was sent cannot be removed: it would be sent once more by the next replay.
    """
    done, deadline = Replayed(), clock.monotonic() + timeout
    for number in await letters.numbers():
        if clock.monotonic() >= deadline:
            done.left.append(Left(number, "there was no time left"))
            continue
        letter = await letters.read(number)
        if letter is None:
            continue  # Newer letters needed its room.
        if isinstance(letter, Damaged):
            done.left.append(Left(number, letter.problem))
            continue
        sent = await _send(letter, backends.get(letter.delivery, ()))
        if isinstance(sent, str):
            done.left.append(Left(number, sent))
            continue
        if isinstance(sent, Parts):
            rest = _rest(letter, sent)
            done.left.append(
                Left(number, f"only a part of it was taken; a letter of its own has the rest: {rest.message}")
            )
            if not await letters.keep(rest):
                continue  # All of it is sent once more by the next replay.
            letter = replace(letter, spans=letter.spans - rest.spans)
        else:
            done.letters += 1
        book(letter.delivery, letter.spans - min(letter.spans, _rejected(sent)))
        done.spans += letter.spans
        await letters.remove(number)
    return done


def _rest(letter: Letter, sent: Parts) -> Letter:
    """What of it was not taken: parts behind one another are a request."""
    left = [part for part in sent.parts if not isinstance(part.outcome, Sent)]
    taken = sum(part.spans for part in sent.parts if isinstance(part.outcome, Sent))
    body = b"".join(part.body for part in left)
    return replace(letter, spans=max(0, letter.spans - taken), body=body, message=_problem(sent))


def _rejected(sent: Sent | Parts) -> int:
    outcomes = [part.outcome for part in sent.parts] if isinstance(sent, Parts) else [sent]
    return sum(outcome.rejected for outcome in outcomes if isinstance(outcome, Sent))


def _problem(sent: Parts) -> str:
    return next(part.outcome.reason for part in sent.parts if not isinstance(part.outcome, Sent))


async def _send(letter: Letter, backends: Sequence[Backend]) -> Sent | Parts | str:
    """To the first backend that takes it, or a part of it; or why none did."""
    problem = f"no delivery entry {letter.delivery!r} is in force"
    for backend in backends:
        permit = backend.acquire()
        if permit is None:
            problem = f"backend {backend.name!r} takes no calls now: {backend.last_error or 'look at /health'}"
            continue
        outcome = await backend.send(permit, letter.body)
        if isinstance(outcome, Sent):
            return outcome
        if isinstance(outcome, Parts) and isinstance(outcome.parts[0].outcome, Sent):
            return outcome
        reason = _problem(outcome) if isinstance(outcome, Parts) else outcome.reason
        problem = f"backend {backend.name!r}: {reason}"
    return problem
