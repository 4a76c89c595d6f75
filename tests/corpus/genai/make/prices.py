"""What the calls that the local model served cost by the book, `genai-prices`, asked directly."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import genai_prices
from answers import PARTS
from model_server import Case


def cost(call: dict[str, Any]) -> Decimal:
    """US dollars for one call as the server noted it."""
    usage = genai_prices.Usage(
        input_tokens=call["input"],
        output_tokens=call["output"],
        cache_read_tokens=call["cache_read"],
        cache_write_tokens=call["cache_write"],
        input_audio_tokens=call["input_audio"],
        output_audio_tokens=call["output_audio"],
    )
    return genai_prices.calc_price(usage, model_ref=call["model"], provider_id=call["provider"]).total_price


def priced(case: Case) -> dict[str, Any]:
    """The calls of a case with the cost of each, and the sums."""
    told = asdict(case)
    calls = [{**call, "cost": str(cost(call))} for call in told["calls"]]
    sums = {part: sum(call[part] for call in calls) for part in PARTS}
    total = sum((Decimal(call["cost"]) for call in calls), Decimal(0))
    return {"calls": calls, "refused": told["refused"], "total": {**sums, "cost": str(total)}}
