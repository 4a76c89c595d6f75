"""`processors[].redact`: what is a fault, where, and how it is said; and the Secret that hashes need."""

from __future__ import annotations

from typing import Any

import pytest

from tracekeeper_spec.config import ConfigSpec
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.processor_fields import PROCESSORS
from tracekeeper_spec.secrets import DocumentSecrets, missing_secrets, secret_uses
from tracekeeper_spec.walk import read


def faults(**redact: Any) -> dict[str, str]:
    found: list[Fault] = []
    read(PROCESSORS, [{"name": "r", "type": "Redact", "redact": redact}], "spec.processors", found)
    return {fault.path.removeprefix("spec.processors[0].redact."): str(fault) for fault in found}


def test_nothing_need_be_said() -> None:
    found: list[Fault] = []
    (made,) = read(PROCESSORS, [{"name": "r", "type": "Redact"}], "spec.processors", found)
    assert not found
    assert made.redact.key_patterns == (
        "email",
        "password",
        "ssn",
        "credit[_. -]?card",
        "phone",
        "address",
        "birthday",
    )
    assert len(made.redact.detectors) == 8


@pytest.mark.parametrize(
    "pattern", ["(?=a)", "[", "a{1,2000}", r"(a)\1", "a*", "", "x" * 513, "(a{1,100}b){1,1000}", 7, None]
)
def test_a_pattern_that_does_not_compile_or_is_too_much_is_named(pattern: object) -> None:
    found = faults(keyPatterns=[pattern], patterns=[{"name": "own", "pattern": pattern}])
    assert set(found) == {"keyPatterns[0]", "patterns[0].pattern"}


def test_bounds_and_what_contradicts() -> None:
    assert "keyPatterns" in faults(keyPatterns=["x"] * 65)
    assert "names" in faults(names=[f"name {number}" for number in range(65)])
    assert "names[0]" in faults(names=[" x "])
    assert "detectors[0]" in faults(detectors=["Mail"])
    assert "hashKey" in faults(action="Hash")
    assert "hashKey" in faults(hashKey={"secretKeyRef": {"name": "a", "key": "b"}})
    assert not faults(action="Hash", hashKey={"secretKeyRef": {"name": "a", "key": "b"}})
    assert not faults(patterns=[{"name": "own", "pattern": r"\bEMP-\d{6}\b"}])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keyPatterns[0]", {"keyPatterns": ["a\ud800"]}),
        ("patterns[0].pattern", {"patterns": [{"name": "own", "pattern": "\udc00x"}]}),
        ("names[0]", {"names": ["Ada \ud800"]}),
        ("exceptKeys[0]", {"exceptKeys": ["\udfff"]}),
    ],
)
def test_half_a_character_is_named(field: str, value: dict[str, Any]) -> None:
    assert "half" in faults(**value)[field]


def test_the_key_for_hashes_is_lent_and_missed_like_those_of_backends() -> None:
    found: list[Fault] = []
    written = {"action": "Hash", "hashKey": {"secretKeyRef": {"name": "redaction", "key": "hash"}}}
    processors = read(PROCESSORS, [{"name": "r", "type": "Redact", "redact": written}], "spec.processors", found)
    spec = ConfigSpec(processors=processors)
    (use,) = secret_uses(spec)
    assert (use.name, use.key) == ("redaction", "hash")
    (fault,) = missing_secrets(spec, DocumentSecrets({}))
    assert fault.path == "spec.processors[0].redact.hashKey.secretKeyRef"
    assert not missing_secrets(spec, DocumentSecrets({"redaction": {"hash": b"k"}}))
