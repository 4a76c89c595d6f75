"""Which other protocols are taken, and at which paths. What reads them is imported when somebody sends some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tracekeeper_sidecar.receive.dialect import Dialect, Make

OPENAI_PATH: Final = "/v1/traces/ingest"
ZIPKIN_PATH: Final = "/api/v2/spans"


@dataclass(frozen=True, slots=True)
class Dialects:
    """What the ports of OTLP over HTTP and of Zipkin take besides; by path."""

    otlp: Mapping[str, Make]
    zipkin: Mapping[str, Make]


def of(service: Callable[[], str], *, zipkin: bool, parent_from_request: bool) -> Dialects:
    """OpenAI's trace ingest always, Zipkin where it is asked for. The arguments are those of OpenAiIngest."""
    zipkins: dict[str, Make] = {ZIPKIN_PATH: _once(_zipkin)} if zipkin else {}
    openai = _once(lambda: _openai(service, parent_from_request))
    return Dialects({OPENAI_PATH: openai, **zipkins}, zipkins)


def _once(make: Make) -> Make:
    made: list[Dialect] = []

    def get() -> Dialect:
        if not made:
            made.append(make())
        return made[0]

    return get


def _openai(service: Callable[[], str], parent_from_request: bool) -> Dialect:
    from tracekeeper_sidecar.receive.openai_ingest import OpenAiIngest  # noqa: PLC0415 - few need it

    return OpenAiIngest(service, parent_from_request=parent_from_request)


def _zipkin() -> Dialect:
    from tracekeeper_sidecar.receive.zipkin import Zipkin  # noqa: PLC0415 - few need it

    return Zipkin()
