"""TracingConfigs in files: the line of each fault, and texts that are no TracingConfig at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_cases import FULL, manifest
from tracekeeper_spec.faults import MAX_FAULTS, Fault, shorten
from tracekeeper_spec.manifest import MAX_CHARACTERS, load_manifest
from tracekeeper_spec.resolve import check_resolved, resolve, warnings

ROOT = Path(__file__).resolve().parents[3]

WRONG = """\
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata:
  name: agents
spec:
  suspend: perhaps
  backends:
    - name: a
      type: OTLP
      otlp: {protocol: GRPC,
             endpoint: a:4317}
    - name: b
      type: OTLP
      otlp:
        protocol: HTTP
  logLevel: Info
  logLevel: Debug
"""


def one(text: str) -> str:
    config, faults = load_manifest(text, "t.yaml")
    assert config is None and len(faults) == 1, faults
    return faults[0].located()


def test_each_fault_has_its_line() -> None:
    config, faults = load_manifest(WRONG, "t.yaml")
    assert config is None
    assert [fault.located().split(" (")[0] for fault in faults] == [
        "t.yaml:6: spec.suspend: must be true or false, not 'perhaps'",
        "t.yaml:11: spec.backends[0].otlp.endpoint: has no scheme",
        "t.yaml:14: spec.backends[1].otlp.endpoint: is required",
        "t.yaml:17: 'logLevel' is written twice, first in line 16",
    ]


def test_the_first_example_has_no_fault_and_no_warning() -> None:
    file = ROOT / "examples/tracingconfig.yaml"
    config, faults = load_manifest(file.read_text(encoding="utf-8"), str(file))
    assert faults == [] and config is not None
    resolved = resolve(config.spec)
    assert check_resolved(resolved) == [] and warnings(resolved) == []
    assert [backend.name for backend in resolved.backends] == ["tempo", "collector"]
    assert [entry.backends for entry in resolved.delivery] == [("tempo",), ("collector",)]


def test_json_is_read_too() -> None:
    config, faults = load_manifest(json.dumps(manifest(FULL)), "t.json")
    assert faults == [] and config is not None and config.written == FULL


def test_empty_documents_around_the_one_do_not_matter() -> None:
    config, faults = load_manifest(f"---\n---\n{json.dumps(manifest(FULL))}\n---\n# the end\n", "t.yaml")
    assert faults == [] and config is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "t.yaml: is empty"),
        ("# only this\n", "t.yaml: is empty"),
        ("a: 1\n---\nb: 2\n", "t.yaml:3: holds several documents, and one is expected"),
        ("- a\n", "t.yaml:1: must be a TracingConfig, not a list"),
        ("just text", "t.yaml:1: must be a TracingConfig, not 'just text'"),
        ("a: [1\nb: 2\n", "t.yaml:2: is not valid YAML"),
        ("a: !!python/object:os.system {}", "t.yaml:1: is not valid YAML: could not determine a constructor"),
        ("a: \x00", "t.yaml: is not valid YAML: special characters are not allowed"),
        ("a: *b", "t.yaml:1: is not valid YAML: found undefined alias"),
        ("[" * 5000, "t.yaml: cannot be read as YAML: maximum recursion depth"),
        ("a: " + "9" * 5000, "t.yaml: cannot be read as YAML: Exceeds the limit"),
        ("a: 2001-99-99", "t.yaml: cannot be read as YAML: month must be in 1..12"),
        ("#" * (MAX_CHARACTERS + 1), "t.yaml: is larger than 1048576 characters"),
    ],
    ids=range(13),
)
def test_what_is_no_manifest(text: str, told: str) -> None:
    assert one(text).startswith(told)


def test_twins_are_found_on_one_line_and_at_any_depth() -> None:
    _, faults = load_manifest("spec: {backends: [{name: a, timeout: 1s, timeout: 2s}]}\n", "t.yaml")
    assert "t.yaml:1: 'timeout' is written twice, first in line 1 (remove one of them)" in [f.located() for f in faults]


def test_faults_of_a_hopeless_file_are_counted() -> None:
    _, faults = load_manifest("a: 1\n" * 500, "t.yaml")
    assert len(faults) == MAX_FAULTS and "more faults are not listed" in faults[-1].problem
    fault = Fault("a", "b")
    assert shorten([fault] * MAX_FAULTS) == [fault] * MAX_FAULTS
    assert shorten([fault] * 150)[-1].problem == "51 more faults are not listed"


def test_another_kind_is_named() -> None:
    _, faults = load_manifest("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "t.yaml")
    assert [fault.located() for fault in faults] == [
        "t.yaml:1: apiVersion: must be tracekeeper.dev/v1alpha1, not 'v1'",
        "t.yaml:2: kind: must be TracingConfig, not 'Pod'",
    ]


def test_a_document_that_holds_itself_is_read() -> None:
    config, faults = load_manifest("&a {spec: *a, kind: *a, metadata: *a}", "t.yaml")
    assert config is None and faults


@given(st.text(st.sampled_from("ab: -[]{},\n\t&*!|>'\"%@`#?0<=.~")) | st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    config, faults = load_manifest(text, "t.yaml")
    assert config is None and faults
    assert all(fault.located().startswith("t.yaml:") for fault in faults)
