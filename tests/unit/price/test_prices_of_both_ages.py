"""Prices of a config where operator and sidecar are of different versions: the one before had them beside the spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spec_cases import BACKEND, manifest
from tracekeeper_sidecar.control.source import PolicySource
from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.earlier import MOST
from tracekeeper_spec.merge import merge
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.price import PriceOverride

KNOWN = {
    "model", "provider", "from", "inputPerMillion", "outputPerMillion", "cacheReadPerMillion", "cacheWritePerMillion",
    "reasoningPerMillion", "inputAudioPerMillion", "outputAudioPerMillion",
}  # fmt: skip
"""Fields of an override that the version before takes; of a step it takes `name`, `type` and `price`, and of that
`overrides` alone, which it must have."""
OURS = {"model": "gpt-4o", "provider": "openai", "inputPerMillion": "2", "outputPerMillion": "8"}
BATCH = {"model": "gpt-4o", "inputPerMillion": "1", "outputPerMillion": "4", "serviceTier": "batch"}
STEPS: list[dict[str, Any]] = [
    {"name": "normalize", "type": "Normalize"},
    {"name": "price", "type": "Price", "price": {"overrides": [BATCH, OURS]}},
    {"name": "tiers", "type": "Price", "price": {"serviceTiers": [{"name": "flex", "times": "0.5"}]}},
    {"name": "book", "type": "Price"},
]


def entry(processors: list[dict[str, Any]]) -> PolicyEntry:
    config, faults = parse_manifest(manifest({"backends": [BACKEND], "processors": processors}))
    assert config is not None
    assert not faults
    return PolicyEntry.of(merge([config]), Aliases("shop", ()))


def published(processors: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry as this version's operator publishes it."""
    found: dict[str, Any] = json.loads(PolicyDocument(1, (entry(processors),)).to_json())["configs"][0]
    return found


def read(tmp_path: Path, one: dict[str, Any]) -> tuple[PriceOverride, ...]:
    """The overrides that this version's sidecar goes by."""
    (tmp_path / "policy.json").write_text(json.dumps({"formatVersion": 1, "revision": 1, "configs": [one]}))
    instruction = PolicySource(str(tmp_path / "policy.json"), None).read()
    assert instruction is not None
    return instruction.prices.overrides


def test_a_sidecar_of_before_finds_the_overrides_where_it_looks_for_them() -> None:
    steps = published(STEPS)["beside"]["processors"]
    assert [step.keys() for step in steps] == [{"name", "type", "price"}]
    assert [step["type"] for step in steps] == ["Price"]
    assert [override for step in steps for override in step["price"]["overrides"]] == [OURS]
    assert OURS.keys() <= KNOWN


def test_it_gets_no_more_in_a_step_than_it_takes() -> None:
    many = [{**OURS, "model": f"m{number}"} for number in range(2 * MOST)]
    halves = [{"name": f"p{at}", "type": "Price", "price": {"overrides": many[at:][:MOST]}} for at in (0, MOST)]
    steps = published([*halves, {"name": "last", "type": "Price", "price": {"overrides": [OURS]}}])["beside"]
    sizes = [len(step["price"]["overrides"]) for step in steps["processors"]]
    assert sizes == [MOST, MOST, 1]
    assert len({step["name"] for step in steps["processors"]}) == 3


def test_without_overrides_nothing_is_said_to_it() -> None:
    assert "beside" not in published([STEPS[0], STEPS[2], STEPS[3]])


def test_this_versions_sidecar_goes_by_the_spec(tmp_path: Path) -> None:
    assert [each.service_tier for each in read(tmp_path, published(STEPS))] == ["batch", None]


def test_it_takes_what_an_operator_of_before_says_beside_the_spec(tmp_path: Path) -> None:
    one = {**published([]), "beside": {"processors": [{**STEPS[1], "price": {"overrides": [OURS]}}]}}
    one["spec"].pop("processors", None)
    assert [each.model for each in read(tmp_path, one)] == ["gpt-4o"]


def test_what_is_meant_for_sidecars_of_before_is_no_part_of_the_config(tmp_path: Path) -> None:
    made = entry(STEPS)
    whole, faults = made.parse_whole()
    own = made.own()
    assert not faults
    assert whole.processors is not None
    assert own is not None
    assert [each.name for each in whole.processors] == [step["name"] for step in STEPS]
    assert own.written["processors"] == STEPS
    # While another version of the config is tried, the one that is known to work may have no processors.
    without = {**published(STEPS), "spec": {"backends": [BACKEND]}}
    text = json.dumps({"formatVersion": 1, "revision": 1, "configs": [without]})
    proven = PolicyDocument.from_json(text).configs[0]
    assert proven.parse_whole()[0].processors is None
    assert read(tmp_path, without) == ()
