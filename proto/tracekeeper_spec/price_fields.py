"""The schema of prices: `processors[].price`."""

from __future__ import annotations

from datetime import date

from tracekeeper_spec.price import Price, PriceOverride, ServiceTier
from tracekeeper_spec.schema import Field, ListOf, Object, Text


def _look_at_day(text: str) -> tuple[str, str] | None:
    try:
        date.fromisoformat(text)
    except ValueError:
        return "is not a day", 'write year, month and day, such as "2026-03-01"'
    return None


MODEL = Text(256, r"^[!-~]([ -~]*[!-~])?$", "the name of a model, or its beginning and `*`")
PROVIDER = Text(63, r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$", "the name of a provider, such as openai or aws.bedrock")
DOLLARS = Text(
    22, r"^[0-9]{1,9}(\.[0-9]{1,12})?$", 'an amount in dollars, in quotes and without a sign, such as "2.50"'
)
TIMES = Text(9, r"^[0-9]{1,2}(\.[0-9]{1,6})?$", 'a number without a sign, in quotes, such as "0.5"')
TIER = Text(32, r"^[a-z0-9][-._a-z0-9]*$", "a tier of service in small letters, such as batch, flex or priority")
DAY = Text(10, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", 'a day, in quotes, such as "2026-03-01"', look=_look_at_day)

_LIKE_INPUT, _LIKE_OUTPUT = "like other tokens of input", "like other tokens of output"

OVERRIDE = Object(
    PriceOverride,
    (
        Field(
            "model",
            MODEL,
            "Name of the model, in any case; with a `*` at its end, all names that begin so.",
            required=True,
        ),
        Field(
            "provider",
            PROVIDER,
            "Only for calls of this provider, as in `gen_ai.provider.name`.",
            default_note="calls of any provider",
        ),
        Field(
            "from",
            DAY,
            "The first day, in UTC, on which it holds; before, what else is known of the model does.",
            default_note="since ever",
        ),
        Field("inputPerMillion", DOLLARS, "Dollars for a million tokens of input.", required=True),
        Field("outputPerMillion", DOLLARS, "Dollars for a million tokens of output.", required=True),
        Field(
            "cacheReadPerMillion",
            DOLLARS,
            "The same for tokens of input that came out of the provider's cache.",
            default_note=_LIKE_INPUT,
        ),
        Field(
            "cacheWritePerMillion",
            DOLLARS,
            "The same for tokens of input that went into the provider's cache.",
            default_note=_LIKE_INPUT,
        ),
        Field(
            "reasoningPerMillion",
            DOLLARS,
            "The same for tokens of output that the model used up thinking.",
            default_note=_LIKE_OUTPUT,
        ),
        Field("inputAudioPerMillion", DOLLARS, "The same for sound in the input.", default_note=_LIKE_INPUT),
        Field("outputAudioPerMillion", DOLLARS, "The same for sound in the output.", default_note=_LIKE_OUTPUT),
        Field(
            "serviceTier",
            TIER,
            "Only for calls at this tier of service, as spans name it: `batch`, `flex`, `priority`.",
            default_note="calls at any tier",
        ),
    ),
)

SERVICE_TIER = Object(
    ServiceTier,
    (
        Field("name", TIER, "The tier, as spans name it: `batch`, `flex`, `priority`.", required=True),
        Field(
            "times",
            TIMES,
            'So many times the price of the same call at the standard tier, in quotes: "0.5" is half of it.',
            required=True,
        ),
    ),
)

PRICE = Object(
    Price,
    (
        Field(
            "overrides",
            ListOf(OVERRIDE, 32),
            "Prices that go before those of the book that comes with Tracekeeper: for contracts, for models of your "
            "own, and for new ones. A whole name goes before a beginning, one with `provider` before one without, a "
            "later `from` before an earlier one, and what comes first in the list before the rest.",
            default=[],
        ),
        Field(
            "serviceTiers",
            ListOf(SERVICE_TIER, 8, unique="name"),
            "What calls at other tiers of service than the standard one cost, where no override is for their tier: the "
            "book has no prices for these. Without an entry for its tier the price of such a call is not known.",
            default=[],
        ),
    ),
)
