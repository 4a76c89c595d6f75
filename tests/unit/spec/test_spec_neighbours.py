"""Sidecars of earlier versions go on reading what the operator publishes.

A sidecar refuses an entry with a field that it does not know, and then keeps to its old policy for good. What it knew
is recorded in tests/neighbours (`tests/record_fields.py`). A field that sidecars must act on is put into `NEW`, and
release notes say that pods are to be restarted before it is used; one that is the operator's business goes into
`merge.FOR_OPERATOR`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from spec_cases import BACKEND, FULL, manifest
from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.merge import merge
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry

RECORDED = sorted((Path(__file__).parents[2] / "neighbours").glob("fields-*.json"))
NEW: dict[str, frozenset[str]] = {"fields-0.1.0-without-levels": frozenset()}
"""By recording: paths that its sidecars refuse, because they would have to act on them."""
MEMBERS = {"name": str, "namespace": str, "uid": str, "generation": int, "created": str, "retired": bool, "spec": dict}
"""What has always been asked of an entry."""


def strange(value: object, known: object, path: str = "spec") -> Iterator[str]:
    """Paths in `value` that the recorded version does not know."""
    if isinstance(value, list):
        for item in value:
            yield from strange(item, known, path)
    elif isinstance(known, list):
        if value not in known:
            yield f"{path}: {value}"
    elif isinstance(known, Mapping) and isinstance(value, Mapping):
        for key, below in value.items():
            if key in known:
                yield from strange(below, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def published(spec: dict[str, Any], *, named: bool = False) -> dict[str, Any]:
    """The entry as it is in the document."""
    config, faults = parse_manifest(manifest(spec))
    assert config is not None and not faults
    merged = merge([config])
    entry = PolicyEntry.of(merged, Aliases("shop", merged.secrets), named=named)
    document = PolicyDocument(1, named=(entry,)) if named else PolicyDocument(1, (entry,))
    found: dict[str, Any] = json.loads(document.to_json())["named" if named else "configs"][0]
    return found


def test_there_are_recorded_fields() -> None:
    assert {path.stem for path in RECORDED} == NEW.keys()


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("named", [False, True])
def test_a_sidecar_of_before_knows_every_field_of_an_entry(recorded: Path, named: bool) -> None:
    entry = published(FULL, named=named)
    assert {key: type(entry[key]) for key in MEMBERS} == MEMBERS
    known = json.loads(recorded.read_text())["spec"]
    assert set(strange(entry["spec"], known)) == NEW[recorded.stem]


def test_a_stranger_would_be_noticed() -> None:
    known = json.loads(RECORDED[0].read_text())["spec"]
    assert list(strange({"enforced": []}, known)) == ["spec.enforced"]
    assert list(strange({"logLevel": "Loud"}, known)) == ["spec.logLevel: Loud"]
    assert list(strange({"backends": [{**BACKEND, "x": 1}]}, known)) == ["spec.backends.x"]


@pytest.mark.parametrize("named", [False, True])
def test_the_operator_finds_again_what_it_keeps_from_sidecars(named: bool) -> None:
    entry = published({"backends": [BACKEND], "sidecar": {"repair": "Evict", "drainTimeout": "5s"}}, named=named)
    assert entry["operator"] == {"sidecar": {"repair": "Evict"}} and entry["spec"]["sidecar"] == {"drainTimeout": "5s"}
    text = json.dumps({"formatVersion": 1, "revision": 1, "configs": [entry]})
    read = PolicyDocument.from_json(text).configs[0]
    spec, faults = read.parse_whole()
    assert not faults and spec.sidecar is not None and (spec.sidecar.repair, spec.sidecar.drain_timeout) == ("Evict", 5)
    lean, faults = read.parse()
    assert not faults and lean.sidecar is not None and lean.sidecar.repair == "Never"
    assert "operator" not in published({"backends": [BACKEND], "sidecar": {}}, named=named)
