"""JSON as other senders than OTLP's write it: read for what it says, without ever failing for a number.

Python's parser takes `NaN`, `Infinity` and integers of any length. Here what no attribute can hold becomes the text
that it was written as, so that it is kept, and counted by nobody.
"""

from __future__ import annotations

import json
import math

from tracekeeper_sidecar.errors import WireError

_MOST_DIGITS = 20
"""Longer than any integer of 64 bits."""


def parse(body: bytes) -> object:
    """The value that the text means; raises WireError saying where it is no JSON."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_int=_integer, parse_float=_float, parse_constant=str)
    except UnicodeDecodeError as error:
        raise WireError("JSON", "the text is not valid UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise WireError("JSON", f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise WireError("JSON", "nested too deeply") from error


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _MOST_DIGITS else text


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def kind(value: object) -> str:
    """What a parsed value is, in words: "a string"."""
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def shown(value: object) -> str:
    """A value in an error text: what it is, and never what it says. It may be what must not be seen, and error texts go
    to logs."""
    if not isinstance(value, str) or not value:
        return "an empty string" if value == "" else kind(value)
    return f"a string of {len(value)} characters" if len(value) > 1 else "a string of one character"
