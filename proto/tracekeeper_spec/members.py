"""Members of a policy document, read one by one: each of the type that it must have, or a fault that says where."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from tracekeeper_spec.units import show


class PolicyFormatError(ValueError):
    """A text is not a policy document. `where` is a field or an offset, `problem` what is wrong there."""

    def __init__(self, where: str, problem: str) -> None:
        self.where, self.problem = where, problem
        super().__init__(f"policy document: {where}: {problem}")


def list_of(obj: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = obj.get(key, [])
    if not isinstance(value, list):
        raise PolicyFormatError(_path(where, key), f"must be a list, not {show(value)}")
    return value


def texts(items: list[Any], where: str) -> list[str]:
    return [text({str(index): item}, str(index), where) for index, item in enumerate(items)]


def text_map(obj: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    value = mapping(obj.get(key, {}), _path(where, key))
    return {name: text(value, name, _path(where, key)) for name in value}


def mappings(obj: Mapping[str, Any], key: str, where: str) -> dict[str, dict[str, Any]]:
    path = _path(where, key)
    return {name: mapping(value, f"{path}.{name}") for name, value in mapping(obj.get(key, {}), path).items()}


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def mapping(obj: object, where: str) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise PolicyFormatError(where, f"must be an object, not {show(obj)}")
    return obj


def text(obj: Mapping[str, Any], key: str, where: str) -> str:
    value = obj.get(key)
    if not isinstance(value, str):
        raise PolicyFormatError(_path(where, key), f"must be a string, not {show(value)}")
    return value


def integer(obj: Mapping[str, Any], key: str, where: str) -> int:
    value = obj.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PolicyFormatError(_path(where, key), f"must be a whole number, not {show(value)}")
    return value


def decode(value: object, where: str) -> bytes:
    # What is wrong is not shown: it may be a secret that somebody did not encode.
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else _not_base64(where)
    except (binascii.Error, ValueError):
        return _not_base64(where)


def _not_base64(where: str) -> bytes:
    raise PolicyFormatError(where, "must be a base64 string")
