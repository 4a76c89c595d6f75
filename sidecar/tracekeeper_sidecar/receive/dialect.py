"""Other protocols than OTLP, taken over HTTP as JSON: what each one's requests become, and how it is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.head import Head
from tracekeeper_sidecar.raised import raised
from tracekeeper_sidecar.receive import media, outcome
from tracekeeper_sidecar.receive.outcome import Accepted, Refused
from tracekeeper_sidecar.wire.status import INVALID_ARGUMENT, partial_success_json

if TYPE_CHECKING:
    from tracekeeper_sidecar.wire.converted import Converted

logger = logging.getLogger(__name__)

Convert: TypeAlias = Callable[[bytes], "Converted | Refused"]


class Dialect:
    """One protocol. Its bodies are JSON."""

    name: ClassVar[str]
    """For people: "Zipkin"."""
    status: ClassVar[int] = 200
    """Of the answer to what is on disk."""

    def converter(self, head: Head) -> Convert:
        """What makes OTLP of the body of the request with this head. It may run in a thread, and never raises."""
        raise NotImplementedError

    def learn(self, converted: Converted) -> None:
        """Look at what a body has become, on the event loop, before it is stored."""

    def success(self, accepted: Accepted) -> Answer:
        """The answer to what is on disk; where a part of it is not, with OTLP's words for that."""
        if not accepted.problem:
            return Answer(self.status, media.JSON, b"{}")
        return Answer(self.status, media.JSON, partial_success_json(accepted.rejected, accepted.problem))

    def refusal(self, refused: Refused) -> Refused:
        """The refusal as the protocol's clients understand it."""
        return refused

    def malformed(self, problem: str) -> Refused:
        """A body, or a part of one, that is not in the protocol; sending it again changes nothing."""
        return Refused("malformed", INVALID_ARGUMENT, 400, f"not valid as {self.name}: {problem}")

    def guarded(self, convert: Callable[[bytes], Converted]) -> Convert:
        """`convert` with a refusal for a body of which nothing is understood, and for a fault of ours."""

        def run(body: bytes) -> Converted | Refused:
            try:
                return convert(body)
            except WireError as error:
                return self.malformed(str(error))
            except Exception as error:
                logger.error("converting %s failed in a way that is not foreseen: %s", self.name, raised(error))
                return outcome.internal()

        return run


Make: TypeAlias = Callable[[], Dialect]
"""Gives a dialect when its first request comes: few processes ever need the code that reads it."""


def wrong_type(path: str, header: str) -> Refused:
    """No other type than JSON is taken at this path."""
    said = f"content type {header[:200]!r} is not JSON" if header else "the Content-Type header is missing"
    return Refused("media_type", INVALID_ARGUMENT, 415, f"{said}; {path} takes {media.JSON}")
