"""Several configs as one, and which take part for whom."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_cases import BACKEND, FULL, SCHEDULED, manifest
from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.config import ConfigSpec, Section, TracingConfig
from tracekeeper_spec.fields import SPEC
from tracekeeper_spec.merge import ABOUT_CONFIGS, SecretKey, merge
from tracekeeper_spec.parse import parse_manifest, parse_spec
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.secrets import RESERVED, secret_refs
from tracekeeper_spec.wish import Reference, Wish, parse_wish

ROOT, HERE, THERE = "observability", "shop", "care"
AGENTS = {"matchLabels": {"app": "agents"}}


def config(
    name: str, spec: Mapping[str, Any], namespace: str = HERE, created: str = "2026-01-01T00:00:00Z"
) -> TracingConfig:
    body = manifest(dict(spec), name)
    body["metadata"] |= {"namespace": namespace, "uid": f"{namespace}-{name}", "creationTimestamp": created}
    found, faults = parse_manifest(body)
    assert found is not None, faults
    return found


def backend(name: str, secret: str = "") -> dict[str, Any]:
    auth = {"auth": {"type": "Bearer", "bearer": {"secretKeyRef": {"name": secret, "key": "token"}}}} if secret else {}
    return {**BACKEND, "name": name, "otlp": {**BACKEND["otlp"], **auth}}


def scope(*configs: TracingConfig, labels: Mapping[str, str] | None = None, namespace: str = HERE) -> Scope:
    def of(wanted: str) -> list[TracingConfig]:
        return [item for item in configs if item.namespace == wanted]

    return Scope(namespace, {} if labels is None else labels, of, ROOT)


OPEN = {"allowedNamespaces": {"from": "All"}}
PARTS: dict[str, list[Any]] = {
    "suspend": [True, False],
    "logLevel": ["Debug", "Error"],
    "sidecar": [FULL["sidecar"], {}],
    "buffer": [FULL["buffer"], {}],
    "sampling": [FULL["sampling"], SCHEDULED["sampling"]],
    "backends": [[backend("a")], [backend("b", "tempo")], FULL["backends"]],
    "allowedNamespaces": [{"from": "All"}],
    "enforced": [["LogLevel"], ["Backends", "Sampling"]],
}
SPECS = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in PARTS.items()})
LEVELS = st.lists(SPECS, min_size=1, max_size=3).map(
    lambda specs: [config(f"c{index}", spec) for index, spec in enumerate(specs)]
)
ENFORCED = st.frozensets(st.sampled_from(list(Section)))


def test_every_section_takes_part_and_no_word_about_configs() -> None:
    names = {field.name for field in SPEC.fields}
    assert {section.field for section in Section} == names - {"suspend", "selector", *ABOUT_CONFIGS}
    assert {section.attribute for section in Section} <= {field.name for field in fields(ConfigSpec)}


@given(LEVELS, ENFORCED)
def test_of_each_section_the_whole_one_of_the_most_specific_config(
    levels: Sequence[TracingConfig], enforced: frozenset[Section]
) -> None:
    merged = merge(levels, enforced)
    for section in Section:
        among = levels[:1] if section in enforced else levels
        found = [getattr(level.spec, section.attribute) for level in among]
        expected = next((value for value in reversed(found) if value is not None), None)
        assert getattr(merged.spec, section.attribute) == expected
    # `written` and `spec` say the same, and hold nothing that a sidecar of an earlier version would stumble over.
    assert parse_spec(merged.written) == (merged.spec, [])
    assert not set(ABOUT_CONFIGS) & merged.written.keys()


@given(LEVELS, ENFORCED)
def test_merging_what_was_merged_changes_nothing(levels: Sequence[TracingConfig], enforced: frozenset[Section]) -> None:
    merged = merge(levels, enforced)
    again = replace(levels[-1], name="again", spec=merged.spec, written=merged.written)
    assert merge([again]).written == merged.written
    assert merge([*levels, again], enforced).written == merged.written
    assert merge([*levels, levels[-1]], enforced) == merged


@given(LEVELS, ENFORCED, SPECS)
def test_what_is_enforced_is_never_replaced(
    levels: Sequence[TracingConfig], enforced: frozenset[Section], more: dict[str, Any]
) -> None:
    merged, further = merge(levels, enforced), merge([*levels, config("more", more)], enforced)
    for section in enforced:
        assert further.sections.get(section) is merged.sections.get(section)
        assert getattr(further.spec, section.attribute) == getattr(levels[0].spec, section.attribute)


@given(LEVELS, ENFORCED, SPECS)
def test_a_further_config_never_ends_a_suspension(
    levels: Sequence[TracingConfig], enforced: frozenset[Section], more: dict[str, Any]
) -> None:
    before, after = merge(levels, enforced), merge([*levels, config("more", more)], enforced)
    assert bool(after.spec.suspend) == (bool(before.spec.suspend) or more.get("suspend") is True)


NAMES = ["a", "b", "c"]
AGES = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
SELECTED = st.sampled_from([None, {}, AGENTS, {"matchLabels": {"app": "web"}}])


@st.composite
def worlds(draw: st.DrawFn) -> list[TracingConfig]:
    found = []
    for namespace, name in itertools.product([ROOT, HERE], NAMES):
        if draw(st.booleans()):
            chosen = draw(SELECTED)
            extra = {"selector": chosen} if chosen is not None else {}
            body = {**draw(SPECS), **extra}
            found.append(config(name, body, namespace, draw(st.sampled_from(AGES))))
    return found


@given(worlds(), st.randoms(use_true_random=False), st.sampled_from([{}, {"app": "agents"}, {"app": "web", "x": "y"}]))
def test_precedence_is_total_and_no_matter_of_order(
    configs: list[TracingConfig], random: Any, labels: dict[str, str]
) -> None:
    """And the entry that a document's reader picks by labels, old or new, is what the scope says."""
    here = scope(*configs)
    found = here.by_labels(labels)
    random.shuffle(configs)
    assert scope(*configs).by_labels(labels) == found
    # As the operator makes documents: one entry for each of its own, and one for the default where it has no base.
    merged = [here.with_level(item) for item in here.own]
    merged += [here.with_level(None)] if here.base() is None else []
    uses = [key for item in merged if item is not None for key in item.secrets]
    aliases = Aliases(HERE, uses)
    document = PolicyDocument(1, tuple(PolicyEntry.of(item, aliases) for item in merged if item is not None))
    picked = document.pick(labels, {})
    assert (picked is None) == (found is None)
    if picked is not None and found is not None:
        assert picked == PolicyEntry.of(found, aliases)
        assert picked.parse()[1] == []
    for wanted in (item.name for item in configs if item.namespace == HERE):
        named = document.pick(labels, {"tracekeeper.dev/inject": wanted})
        expected = here.by_name(Reference(HERE, wanted))
        assert expected is not None and named == PolicyEntry.of(expected, aliases)


def test_the_levels_are_root_namespace_and_selector() -> None:
    default = config("default", {"backends": [backend("a")], "logLevel": "Error", "buffer": {}, **OPEN}, ROOT)
    base = config("base", {"logLevel": "Debug"})
    agents = config("agents", {"selector": AGENTS, "sampling": FULL["sampling"]})
    here = scope(default, base, agents)
    found = here.by_labels({"app": "agents"})
    assert found is not None
    assert found.sources == ("shop/agents@0", "shop/base@0", "observability/default@0")
    assert {section: item.name for section, item in found.sections.items()} == {
        Section.BACKENDS: "default",
        Section.BUFFER: "default",
        Section.LOG_LEVEL: "base",
        Section.SAMPLING: "agents",
    }
    other = here.by_labels({"app": "web"})
    assert other is not None and other.sources == ("shop/base@0", "observability/default@0")


def test_a_default_needs_consent_and_the_oldest_that_gives_it_is_it() -> None:
    own = config("aaa", {"backends": [backend("own")]}, ROOT, "2020")
    some = config(
        "some",
        {"backends": [backend("some")], "allowedNamespaces": {"from": "Selector", "selector": AGENTS}},
        ROOT,
        "2021",
    )
    every = config("every", {"backends": [backend("every")], **OPEN}, ROOT, "2022")
    selected = config("selected", {"backends": [backend("s")], "selector": AGENTS, **OPEN}, ROOT, "2019")
    world = (own, some, every, selected)
    assert scope(*world).default() == every
    assert scope(*world, labels={"app": "agents"}).default() == some
    assert scope(own, selected).default() is None
    assert scope(*world, namespace=ROOT).default() == own
    unknown = Scope(HERE, None, lambda wanted: [item for item in world if item.namespace == wanted], ROOT)
    assert unknown.default() == every
    assert replace(unknown, root="").default() is None


def test_a_named_config_takes_the_place_of_the_selected_one() -> None:
    default = config("default", {"logLevel": "Error", "enforced": ["LogLevel"], **OPEN}, ROOT)
    base = config("base", {"backends": [backend("a")]})
    agents = config("agents", {"selector": AGENTS, "buffer": {}})
    foreign = config("lent", {"selector": AGENTS, "logLevel": "Debug", "sampling": FULL["sampling"], **OPEN}, THERE)
    closed = config("closed", {"logLevel": "Debug"}, THERE)
    here = scope(default, base, agents, foreign, closed)
    own = here.by_name(Reference(HERE, "agents"))
    assert own is not None and own.sources[:2] == ("shop/agents@0", "shop/base@0")
    lent = here.by_name(Reference(THERE, "lent"))
    assert lent is not None and lent.sources == ("care/lent@0", "shop/base@0", "observability/default@0")
    assert lent.spec.log_level == "Error" and lent.spec.buffer is None
    assert here.by_name(Reference(THERE, "closed")) is None and here.find(Reference(THERE, "closed")) == closed
    assert here.by_name(Reference(THERE, "nobody")) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", Wish(True)),
        ("false", Wish(False)),
        ("agents", Wish(True, Reference(HERE, "agents"))),
        ("care/agents.v2", Wish(True, Reference(THERE, "agents.v2"))),
        ("care/true", Wish(True, Reference(THERE, "true"))),
        ("", None),
        ("True", None),
        ("no", None),
        ("care/no", Wish(True, Reference(THERE, "no"))),
        ("care/", None),
        ("/agents", None),
        ("care/agents/x", None),
        ("ca.re/agents", None),
        ("agents\n", None),
        ("a" * 254, None),
    ],
)
def test_what_the_annotation_may_say(value: str, expected: Wish | None) -> None:
    assert parse_wish(value, HERE) == expected


def test_a_foreign_config_is_for_pods_that_name_it_alone() -> None:
    lent = config("lent", {"backends": [backend("b")], **OPEN}, THERE)
    here = scope(lent)
    merged = here.by_name(Reference(THERE, "lent"))
    assert merged is not None
    entry = PolicyEntry.of(merged, Aliases(HERE, merged.secrets), named=True)
    document = PolicyDocument(1, (), {}, None, (entry,), HERE)
    assert document.pick({}, {}) is None
    assert document.pick({}, {"tracekeeper.dev/inject": "true"}) is None
    assert document.pick({}, {"tracekeeper.dev/inject": "lent"}) is None
    assert document.pick({}, {"tracekeeper.dev/inject": "care/lent"}) == entry
    assert document.pick({}, {"tracekeeper.dev/inject": "care/other"}) is None
    assert PolicyDocument.from_json(document.to_json()) == document


def test_whoever_names_a_config_gets_no_other_instead() -> None:
    document = PolicyDocument(1, (PolicyEntry.of(merge([config("base", {"buffer": {}})]), Aliases(HERE, ())),))
    assert document.pick({}, {}) is not None
    assert document.pick({}, {"tracekeeper.dev/inject": "bsae"}) is None


def test_secrets_of_other_namespaces_get_names_of_their_own() -> None:
    default = config("default", {"backends": FULL["backends"], **OPEN}, ROOT)
    base = config("base", {"logLevel": "Info"})
    merged = scope(default, base).by_labels({})
    assert merged is not None and {key.namespace for key in merged.secrets} == {ROOT}
    aliases = Aliases(HERE, merged.secrets)
    entry = PolicyEntry.of(merged, aliases)
    renamed = secret_refs(entry.parse()[0])
    assert renamed == {(aliases.of(ROOT, key.name), key.key) for key in merged.secrets}
    assert len(renamed) == len(set(merged.secrets)) and not renamed & secret_refs(default.spec)
    assert entry.origins == {"backends": "observability/default"}
    # In its own namespace, nothing is renamed.
    at_home = scope(default, namespace=ROOT).by_labels({})
    assert at_home is not None
    assert PolicyEntry.of(at_home, Aliases(ROOT, at_home.secrets)).parse()[0].backends == default.spec.backends


def test_no_secret_stands_in_for_one_of_another_namespace() -> None:
    foreign = config("default", {"backends": [backend("a", "tempo")], **OPEN}, ROOT)
    first = Aliases(HERE, merge([foreign]).secrets)
    guessed = first.of(ROOT, "tempo")
    assert guessed.startswith(RESERVED), "so nobody may write it; and if somebody had:"
    second = Aliases(HERE, (SecretKey(HERE, guessed, "token"), *merge([foreign]).secrets))
    assert second.of(HERE, guessed) == guessed
    assert second.of(ROOT, "tempo") not in (guessed, "tempo")


@given(SPECS, SPECS)
def test_an_entry_tells_the_config_itself_from_what_it_inherits(mine: dict[str, Any], root: dict[str, Any]) -> None:
    root = {key: value for key, value in root.items() if key != "enforced"} | OPEN
    default, base = config("default", root, ROOT), config("base", mine)
    merged = scope(default, base).by_labels({})
    assert merged is not None
    own = PolicyEntry.of(merged, Aliases(HERE, merged.secrets)).own()
    assert own is not None
    assert own == replace(base, spec=own.spec, written=own.written)
    assert own.written == {key: value for key, value in mine.items() if (key, value) != ("suspend", False)}


def test_of_alerts_of_another_namespace_pods_know_only_whose_they_are() -> None:
    channel = {"name": "hook", "type": "Webhook", "webhook": {"url": "https://hooks.example/secret"}}
    alerts = {"rules": [{"name": "Errors", "condition": "error_rate > 0.05"}], "channels": [channel]}
    default = config("default", {"backends": [backend("a", "tempo")], "alerts": alerts, **OPEN}, ROOT)
    base = config("base", {"logLevel": "Info"})
    merged = scope(default, base).by_labels({})
    assert merged is not None
    entry = PolicyEntry.of(merged, Aliases(HERE, merged.secrets))
    assert entry.author(Section.ALERTS) == f"{ROOT}/default"
    assert "hooks.example" not in PolicyDocument(1, (entry,)).to_json()
    at_home = scope(default, namespace=ROOT).by_labels({})
    assert at_home is not None
    own = PolicyEntry.of(at_home, Aliases(ROOT, at_home.secrets)).own()
    assert own is not None and own.spec.alerts == default.spec.alerts, "what was in force last can be told from it"
