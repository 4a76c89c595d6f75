"""What is generated from the declared fields is current, and fit for Kubernetes and for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spec_crd import TEMPLATE, crd
from tracekeeper_spec import schema
from tracekeeper_spec.fields import SPEC

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reference/tracingconfig.md"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the project's scripts importable."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield
    for name in ("generate_crd", "generate_reference"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("scripts")
def test_the_committed_files_are_current() -> None:
    import generate_crd
    import generate_reference

    assert TEMPLATE.read_text(encoding="utf-8") == generate_crd.render(), "run make docs"
    assert PAGE.read_text(encoding="utf-8") == generate_reference.render(), "run make docs"


def test_defaults_stand_on_the_page_as_one_writes_them_into_a_manifest() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    defaults = [row[2] for row in rows if len(row) == 4]
    assert "`true`" in defaults and any(each.startswith("`[email, password") for each in defaults)
    assert not [each for each in defaults if re.search(r"`(True|False|\['.*)`", each)]


def nodes(form: dict[str, Any], at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield at, form
    for name, inner in form.get("properties", {}).items():
        yield from nodes(inner, f"{at}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(form.get(key), dict):
            yield from nodes(form[key], f"{at}[]")


FORMS = list(nodes(crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec"))


def test_the_crd_is_what_users_will_type() -> None:
    spec = crd()["spec"]
    assert (spec["group"], spec["scope"]) == ("tracekeeper.dev", "Namespaced")
    assert spec["names"]["shortNames"] == ["tcfg"] and crd()["metadata"]["name"] == "tracingconfigs.tracekeeper.dev"
    (version,) = spec["versions"]
    assert version["name"] == "v1alpha1" and version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]][:2] == ["Ready", "Pods"]
    rules = next(column for column in version["additionalPrinterColumns"] if column["name"] == "Rules")
    assert rules["jsonPath"] == '.status.conditions[?(@.type=="RulesLoaded")].status'


def test_the_crd_is_kept_by_value() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert "{{- if .Values.crds.enabled }}" in text
    assert re.search(r"\{\{- if \.Values\.crds\.keep \}\}\n +annotations:\n +helm.sh/resource-policy: keep\n", text)


def test_no_default_is_in_the_crd() -> None:
    """An absent section must stay absent, or merging of configs could not see it."""
    assert [at for at, form in FORMS if "default" in form] == []


def test_everything_in_the_crd_is_bounded_and_described() -> None:
    for at, form in FORMS:
        if form.get("type") == "string" and "enum" not in form:
            assert form["maxLength"] <= 4096, at
        if form.get("type") == "array":
            assert form["maxItems"] <= 64 and form["x-kubernetes-list-type"] in ("map", "atomic"), at
        if "additionalProperties" in form:
            assert form["maxProperties"] <= 16, at
        assert at.endswith("[]") or form["description"].endswith("."), at


def test_every_field_is_on_the_reference_page_with_its_default() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE))
    fields = list(declared(SPEC, ""))
    assert len(fields) > 60
    for path, field in fields:
        assert field.description in rows[path], path
        if isinstance(field.default, (str, int)):
            written = str(field.default).lower() if isinstance(field.default, bool) else field.default
            assert f"`{written}`" in rows[path], path


def declared(node: schema.Node, at: str) -> Iterator[tuple[str, schema.Field]]:
    if isinstance(node, schema.ListOf):
        yield from declared(node.item, f"{at}[]")
    if isinstance(node, schema.Object):
        for field in node.fields:
            path = f"{at}.{field.name}" if at else field.name
            yield path, field
            yield from declared(field.node, path)
