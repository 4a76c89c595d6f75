"""Makes the book of prices, proto/tracekeeper_spec/prices.json, from the package genai-prices of requirements/dev.txt.

What spans can tell decides what is kept: prices by kind of token, with tiers, dates and times of day. Prices of
images, video, searches and batches are left out, because OpenTelemetry has no attributes for them.
`tracekeeper_sidecar.price.book` reads the file, and says there how its texts are made up.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

BOOK = Path(__file__).resolve().parent.parent / "proto/tracekeeper_spec/prices.json"
CLASSES = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "output_reasoning_mtok",
    "input_audio_mtok",
    "output_audio_mtok",
    "requests_kcount",
)
"""In the order in which the file has them."""
UNSEEN = {
    "output_image_mtok",
    "output_video_mtok",
    "audio_hours",
    "input_audio_hours",
    "output_audio_hours",
    "input_mchars",
    "input_gpixels",
    "input_document_kpages",
    "input_annotated_document_kpages",
    "input_text_messages_kcount",
    "rerank_searches_kcount",
}
"""A model with such a price is one whose cost tokens do not tell: it has none here."""
PRECISION = Decimal("1e-15")
"""Finer than what counts: a call of a thousand million tokens is off by a two-thousandth of a nanodollar."""
MARKS = {ClauseStartsWith: "^", ClauseEndsWith: "$", ClauseContains: "*", ClauseRegex: "~"}
MARKED = "=^$*~"


def render() -> str:
    """The file's text. Its date is that on which this version of genai-prices first came into it."""
    source = f"genai-prices {version('genai-prices')}"
    dated = datetime.datetime.now(datetime.UTC).date().isoformat()
    if BOOK.exists():
        before = json.loads(BOOK.read_text(encoding="utf-8"))
        if before["source"] == source:
            dated = before["dated"]
    return "".join(_lines(dated, source))


def _lines(dated: str, source: str) -> Iterator[str]:
    yield f'{{"dated": {json.dumps(dated)}, "source": {json.dumps(source)}, "providers": {{'
    for place, provider in enumerate(providers):
        head = {
            "providers": _clause(provider.provider_match),
            "models": _clause(provider.model_match),
            "fallback": list(provider.fallback_model_providers or ()),
        }
        yield f'{"," if place else ""}\n{json.dumps(provider.id)}: {json.dumps(head)[:-1]}, "book": ['
        yield ",".join("\n" + _compact(_model(model)) for model in provider.models)
        yield "]}"
    yield "}}\n"


def _model(model: ModelInfo) -> list[str]:
    prices = [_price(model, found) for found in _dated(model)]
    return [_clause(model.match), *prices]


def _dated(model: ModelInfo) -> Iterable[ConditionalPrice]:
    return [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices


def _price(model: ModelInfo, found: ConditionalPrice) -> str:
    written = {key: value for key, value in found.prices.__dict__.items() if value is not None}
    when = ""
    if isinstance(found.constraint, StartDateConstraint):
        when = f"@{found.constraint.start_date.isoformat()} "
    elif isinstance(found.constraint, TimeOfDateConstraint):
        when = f"@{_minute(found.constraint.start_time)}-{_minute(found.constraint.end_time)} "
    if not written and model.id.endswith(":free"):
        return when + "0,0"
    if not UNSEEN.isdisjoint(written) or written.keys().isdisjoint(CLASSES):
        return when
    tiered = [value for value in written.values() if isinstance(value, TieredPrices)]
    starts = [None, *sorted({tier.start for value in tiered for tier in value.tiers})]
    return when + ";".join(("" if start is None else f"{start}:") + _row(written, start) for start in starts)


def _row(written: dict[str, Any], start: int | None) -> str:
    """Prices of each class for calls with more than `start` tokens of input."""
    amounts = []
    for name in CLASSES:
        value = written.get(name)
        if isinstance(value, TieredPrices):
            passed = [tier.price for tier in value.tiers if start is not None and tier.start <= start]
            value = passed[-1] if passed else value.base
        amounts.append("" if value is None else _amount(value))
    return ",".join(amounts).rstrip(",")


def _amount(value: Decimal) -> str:
    text = f"{value.quantize(PRECISION):f}".rstrip("0").rstrip(".")
    return text.removeprefix("0") if text.startswith("0.") else text


def _minute(at: datetime.time) -> str:
    if at.utcoffset() or at.second:
        raise ValueError(f"the time {at} is not a minute of UTC")
    return f"{at:%H:%M}"


def _clause(clause: Any) -> str:
    """Alternatives, separated by spaces; what must hold at once is joined by `&`."""
    if clause is None:
        return ""
    if isinstance(clause, ClauseOr):
        return " ".join(_clause(part) for part in clause.or_)
    if isinstance(clause, ClauseAnd):
        if any(isinstance(part, ClauseAnd | ClauseOr) for part in clause.and_):
            raise ValueError(f"the clause {clause} is nested too deep")
        return "&".join(_clause(part) for part in clause.and_)
    (text,) = (str(found) for found in vars(clause).values())
    # Names are compared in lower case; patterns are tried on names in lower case, and must stay as they are.
    text = text if isinstance(clause, ClauseRegex) else text.lower()
    if " " in text or "&" in text:
        raise ValueError(f"the clause {clause} has a separator in it")
    if isinstance(clause, ClauseEquals):
        return f"={text}" if text[0] in MARKED else text
    return MARKS[type(clause)] + text


def _compact(model: list[str]) -> str:
    return json.dumps(model, separators=(",", ":"))


if __name__ == "__main__":
    BOOK.write_text(render(), encoding="utf-8")
