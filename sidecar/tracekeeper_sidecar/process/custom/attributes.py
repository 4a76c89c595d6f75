"""Attributes as a mapping, on top of the KeyValues of a protobuf message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Value: TypeAlias = str | bool | int | float | bytes | Sequence["Value"] | Mapping[str, "Value"] | None
"""What an attribute may be."""

_DEEPEST = 32
"""Lists and mappings in each other; the sidecar takes a little more."""


class Attributes(MutableMapping[str, Value]):
    """The attributes of a span, an event, a link, a scope or a resource; changes are made at once.

    Of a key that is there twice the first counts; setting or deleting it takes all of them away. Lists and mappings are
    read as copies: to change one, set it anew.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Any) -> None:
        """`pairs` is a message's repeated KeyValue."""
        self._pairs = pairs

    def __getitem__(self, key: str) -> Value:
        for pair in self._pairs:
            if pair.key == key:
                return _read(pair.value)
        raise KeyError(key)

    def __setitem__(self, key: str, value: Value) -> None:
        """Raises TypeError and ValueError for what cannot be an attribute; nothing has changed then."""
        if not isinstance(key, str):
            raise TypeError(f"the key of an attribute must be a str, not {type(key).__name__}")
        written = _written(value, _DEEPEST)
        first, *twins = [at for at, pair in enumerate(self._pairs) if pair.key == key] or [-1]
        for at in reversed(twins):
            del self._pairs[at]
        pair = self._pairs[first] if first >= 0 else self._pairs.add(key=key)
        pair.value.CopyFrom(written)

    def __delitem__(self, key: str) -> None:
        found = [at for at, pair in enumerate(self._pairs) if pair.key == key]
        if not found:
            raise KeyError(key)
        for at in reversed(found):
            del self._pairs[at]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(pair.key for pair in self._pairs))

    def __len__(self) -> int:
        return len({pair.key for pair in self._pairs})

    def __contains__(self, key: object) -> bool:
        return any(pair.key == key for pair in self._pairs)

    def __repr__(self) -> str:
        return repr(dict(self))


def _read(value: AnyValue) -> Value:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_read(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _read(pair.value) for pair in reversed(value.kvlist_value.values)}
        case kind:
            found: Value = getattr(value, kind)
            return found


def _written(value: Value, depth: int) -> AnyValue:
    if depth == 0:
        raise ValueError(f"an attribute must not have more than {_DEEPEST} lists and mappings in each other")
    written = AnyValue()
    match value:
        case None:
            pass
        case bool():  # Before int, of which it is a kind.
            written.bool_value = value
        case str():
            written.string_value = value
        case int():
            written.int_value = value
        case float():
            written.double_value = value
        case bytes():
            written.bytes_value = value
        case Mapping():
            pairs = [KeyValue(key=key, value=_written(item, depth - 1)) for key, item in value.items()]
            written.kvlist_value.values.extend(pairs)
        case Sequence():
            written.array_value.values.extend(_written(item, depth - 1) for item in value)
        case _:
            raise TypeError(f"an attribute cannot be a {type(value).__name__}")
    return written
