"""The document between operator and sidecar."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_cases import BACKEND, FULL, manifest
from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.candidate import Candidate, Halted
from tracekeeper_spec.merge import merge
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import MAX_BYTES, Control, PolicyDocument, PolicyEntry, PolicyFormatError

SPEC = {"backends": [BACKEND]}


def entry(
    name: str = "a", spec: dict[str, Any] | None = None, retired: bool = False, created: str = "2026"
) -> PolicyEntry:
    return PolicyEntry(name, "shop", "u", 1, created, SPEC if spec is None else spec, retired)


DOCUMENT = PolicyDocument(7, (entry(), entry("b", FULL)), {"creds": {"token": b"\x00\xff secret"}})

NAMES = st.text(max_size=8)
TEXTS = st.lists(NAMES, max_size=3).map(tuple)
N = st.integers(0, 2**40)
ENTRIES = st.builds(
    PolicyEntry,
    NAMES,
    NAMES,
    NAMES,
    st.integers(0, 2**63),
    NAMES,
    st.sampled_from([SPEC, FULL]),
    st.booleans(),
    st.integers(0, 2**40),
    st.lists(NAMES, max_size=3).map(tuple),
    st.dictionaries(NAMES, NAMES, max_size=2),
    st.dictionaries(NAMES, st.just({}), max_size=1),
    st.just({"rollout": {}}),
    st.sampled_from([{}, {"alerts": {}}, {"budgets": [{"name": "daily", "limit": {"amount": "10"}}]}]),
    st.none()
    | st.builds(Candidate, st.just(SPEC), N, TEXTS, st.dictionaries(NAMES, NAMES, max_size=1), NAMES, N, N, N, TEXTS),
    st.none() | st.builds(Halted, N, TEXTS, NAMES, N, NAMES, NAMES),
)


@given(
    st.builds(
        PolicyDocument,
        st.integers(0, 2**63),
        st.lists(ENTRIES, max_size=3).map(tuple),
        st.dictionaries(NAMES, st.dictionaries(NAMES, st.binary(max_size=40), max_size=2), max_size=2),
        st.none() | st.builds(Control, NAMES, NAMES),
        st.lists(ENTRIES, max_size=2).map(tuple),
        NAMES,
    )
)
def test_a_document_survives_writing_and_reading(document: PolicyDocument) -> None:
    again = PolicyDocument.from_json(document.to_json().encode())
    assert again == document
    assert again.digest == document.digest and again.same_content(document)


def test_the_format_is_the_documented_one() -> None:
    obj = json.loads(DOCUMENT.to_json())
    assert obj["formatVersion"] == 1 and obj["revision"] == 7
    assert obj["configs"][0] == {
        "name": "a",
        "namespace": "shop",
        "uid": "u",
        "generation": 1,
        "created": "2026",
        "retired": False,
        "spec": SPEC,
    }
    assert obj["secrets"] == {"creds": {"token": "AP8gc2VjcmV0"}}


def test_it_says_where_the_control_stream_is() -> None:
    here = Control("tracekeeper-control.tk.svc:9444", "-----BEGIN CERTIFICATE-----")
    told = replace(DOCUMENT, control=here)
    obj = json.loads(told.to_json())
    assert obj["control"] == {"endpoint": here.endpoint, "ca": here.ca}
    assert PolicyDocument.from_json(told.to_json()) == told
    assert told.digest == DOCUMENT.digest and not told.same_content(DOCUMENT)
    assert "control" not in json.loads(DOCUMENT.to_json())


def test_members_of_later_versions_are_ignored() -> None:
    obj = json.loads(DOCUMENT.to_json())
    obj["later"] = obj["configs"][0]["later"] = {"x": 1}
    assert PolicyDocument.from_json(json.dumps(obj)) == DOCUMENT


def test_an_entry_holds_what_was_written() -> None:
    config, _ = parse_manifest(manifest(FULL))
    assert config is not None
    made = PolicyEntry.of(merge([config]), Aliases("shop", ()))
    about = {"allowedNamespaces": FULL["allowedNamespaces"], "enforced": FULL["enforced"]}
    # A sidecar of an earlier version would not know what is said about configs, or to the operator.
    operator = {"receivers": FULL["sidecar"]["receivers"], "repair": "Evict", "imageUpdate": "InPlace"}
    sidecar = {**made.spec["sidecar"], **operator}
    whole = {**made.spec, **about, "sidecar": sidecar, "suspend": False, "rollout": made.operator["rollout"]}
    assert whole == FULL and "enforced" not in made.spec and "rollout" not in made.spec
    assert (
        made.operator == {"sidecar": operator, "rollout": FULL["rollout"]}
        and not operator.keys() & made.spec["sidecar"].keys()
    )
    assert made.name == "agents" and not made.retired and made.sources == ("shop/agents@0",)
    assert made.parse_whole() == (replace(config.spec, suspend=None, allowed_namespaces=None, enforced=None), [])
    own = made.own()
    assert own is not None and own.spec == replace(config.spec, suspend=None)


def test_channels_that_are_inherited_stay_where_they_are() -> None:
    slack = {"webhookURL": {"secretKeyRef": {"name": "slack", "key": "url"}}}
    alerts = {"channels": [{"name": "platform", "type": "Slack", "slack": slack}]}
    default, _ = parse_manifest(manifest({"alerts": alerts}, name="default"))
    config, _ = parse_manifest(manifest({"backends": [BACKEND]}))
    assert default is not None and config is not None
    merged = merge([replace(default, namespace="root"), config])
    made = PolicyEntry.of(merged, Aliases("shop", merged.secrets))
    assert made.beside["alerts"] == {} and made.origins["alerts"] == "root/default"


def test_the_digest_is_of_the_configs_alone() -> None:
    assert DOCUMENT.digest.startswith("sha256:") and len(DOCUMENT.digest) == 71
    assert replace(DOCUMENT, revision=8).digest == DOCUMENT.digest
    assert replace(DOCUMENT, secrets={}).digest == DOCUMENT.digest
    assert replace(DOCUMENT, configs=DOCUMENT.configs[:1]).digest != DOCUMENT.digest


def test_same_content_looks_at_secrets_and_not_at_the_revision() -> None:
    assert DOCUMENT.same_content(replace(DOCUMENT, revision=8))
    assert not DOCUMENT.same_content(replace(DOCUMENT, secrets={"creds": {"token": b"rotated"}}))
    assert not DOCUMENT.same_content(replace(DOCUMENT, configs=()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"formatVersion": 2}, "formatVersion: is 2, and this version reads 1"),
        ({"formatVersion": None}, "formatVersion: must be a whole number"),
        ({"revision": -1}, "revision: must be a whole number, not -1"),
        ({"revision": True}, "revision: must be a whole number, not True"),
        ({"configs": {}}, "configs: must be a list"),
        ({"configs": [3]}, "configs[0]: must be an object, not 3"),
        ({"configs": [{"namespace": "x"}]}, "configs[0].name: must be a string"),
        ({"control": []}, "control: must be an object"),
        ({"control": {"ca": "PEM"}}, "control.endpoint: must be a string"),
        ({"control": {"endpoint": "a:1", "ca": 7}}, "control.ca: must be a string, not 7"),
        ({"secrets": []}, "secrets: must be an object"),
        ({"secrets": {"a": 1}}, "secrets.a: must be an object"),
        ({"secrets": {"a": {"k": "hunter2!"}}}, "secrets.a.k: must be a base64 string"),
        ({"secrets": {"a": {"k": 5}}}, "secrets.a.k: must be a base64 string"),
        ({"secrets": {"a": {"k": "\u00e9"}}}, "secrets.a.k: must be a base64 string"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(change: dict[str, Any], told: str) -> None:
    text = json.dumps({**json.loads(DOCUMENT.to_json()), **change})
    with pytest.raises(PolicyFormatError) as raised:
        PolicyDocument.from_json(text)
    assert str(raised.value).startswith(f"policy document: {told}")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("member", ["retired", "spec", "generation", "created", "uid"])
def test_a_wrong_member_of_an_entry_is_named(member: str) -> None:
    obj = json.loads(DOCUMENT.to_json())
    obj["configs"][1][member] = []
    with pytest.raises(PolicyFormatError) as raised:
        PolicyDocument.from_json(json.dumps(obj))
    assert raised.value.where == f"configs[1].{member}"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "offset 0"),
        ('{"a": }', "offset 6"),
        (b"\xff\xfe\xfd", "document"),
        ("[" * 100_000, "document"),
        ('{"revision": ' + "9" * 5000 + "}", "document"),
        ("[]", "document"),
    ],
    ids=range(6),
)
def test_what_is_not_json_is_told_by_its_offset(text: str | bytes, where: str) -> None:
    with pytest.raises(PolicyFormatError) as raised:
        PolicyDocument.from_json(text)
    assert raised.value.where == where


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(["formatVersion", "revision", "configs", "secrets"]), JSON, st.integers(0, 400))
def test_no_text_raises_anything_else(key: str, value: object, cut: int) -> None:
    obj = {**json.loads(DOCUMENT.to_json()), key: value}
    for text in (json.dumps(obj), DOCUMENT.to_json()[:cut], json.dumps(value)):
        try:
            document = PolicyDocument.from_json(text)
        except PolicyFormatError:
            continue
        assert PolicyDocument.from_json(document.to_json()) == document


def test_a_document_that_does_not_fit_into_a_secret_is_a_fault() -> None:
    assert DOCUMENT.size_fault() is None
    fault = replace(DOCUMENT, secrets={"a": {"k": b"x" * MAX_BYTES}}).size_fault()
    assert fault is not None and f"its Secret can hold {MAX_BYTES}" in fault.problem


AGENTS = {**SPEC, "selector": {"matchLabels": {"part-of": "agents"}}}


def test_a_pod_gets_the_config_that_selects_it() -> None:
    document = PolicyDocument(1, (entry("all", created="2020"), entry("agents", AGENTS)))
    assert document.pick({"part-of": "agents"}, {}) is document.configs[1]
    assert document.pick({}, {}) is document.configs[0]
    assert PolicyDocument(1).pick({}, {}) is None


def test_a_retired_config_is_picked_only_if_no_other_matches() -> None:
    gone = entry("agents", AGENTS, retired=True)
    assert PolicyDocument(1, (gone, entry("all"))).pick({"part-of": "agents"}, {}) == entry("all")
    assert PolicyDocument(1, (gone,)).pick({"part-of": "agents"}, {}) == gone
    assert PolicyDocument(1, (gone,)).pick({}, {}) is None


def test_a_selector_that_cannot_be_read_selects_nothing() -> None:
    assert PolicyDocument(1, (entry("x", {**SPEC, "selector": {"later": 1}}),)).pick({}, {}) is None


def test_a_fault_elsewhere_does_not_hide_the_selector() -> None:
    broken = entry("x", {"selector": AGENTS["selector"], "backends": 3})
    assert PolicyDocument(1, (broken,)).pick({"part-of": "agents"}, {}) == broken
    assert PolicyDocument(1, (broken,)).pick({}, {}) is None
    assert [fault.path for fault in broken.parse()[1]] == ["spec.backends"]


def test_secrets_are_looked_up_in_the_document() -> None:
    secrets = DOCUMENT.lookup()
    assert secrets.get("creds", "token") == b"\x00\xff secret"
    assert secrets.get("creds", "other") is None and secrets.get("other", "token") is None
