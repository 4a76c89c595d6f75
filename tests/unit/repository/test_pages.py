"""What pages show for copying is right: configs have no faults, commands are understood, metrics exist."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from known_metrics import declared
from tracekeeper_cli.__main__ import _parser as cli
from tracekeeper_sidecar.__main__ import _parser as sidecar
from tracekeeper_spec.alert.routing import CONFIG_LABEL, METRIC_LABEL, TEST_LABEL
from tracekeeper_spec.config import KIND
from tracekeeper_spec.manifest import load_manifest
from tracekeeper_spec.resolve import check_resolved, resolve

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
OTHERS = {"alertmanager", "prometheus", "rule_files", "rules", "scrape_configs", "volumeMounts", "volumes"}
"""By which blocks are told that are for other programs, or the chart's values."""
LABELS_OF_ALERTS = {CONFIG_LABEL, METRIC_LABEL, TEST_LABEL}
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def fenced(page: Path) -> Iterator[tuple[str, str]]:
    """Each fenced block's language and text."""
    for indent, language, text in FENCED.findall(page.read_text()):
        yield language, textwrap.dedent(textwrap.indent(text, indent))


def configs(page: Path) -> list[dict[str, Any]]:
    """The specs of its TracingConfigs, whole or in part, made whole."""
    found = []
    for language, text in fenced(page):
        if language != "yaml":
            continue
        shown = yaml.safe_load(text)
        if shown.keys() == {"metadata"} or shown.keys() & OTHERS or shown.get("kind", KIND) != KIND:
            continue
        if "storage" in shown:
            shown = {"sidecar": shown}
        spec = shown.get("spec", shown)
        named = {name for entry in spec.get("delivery", ()) for name in entry["backends"]}
        there = {backend["name"] for backend in spec.get("backends", ())}
        otlp = {"protocol": "GRPC", "endpoint": "http://localhost:4317"}
        others = [{"name": name, "type": "OTLP", "otlp": otlp} for name in sorted((named or {"any"}) - there)]
        found.append(spec if there else spec | {"backends": others})
    return found


def commands(page: Path) -> list[list[str]]:
    """Commands of ours in its blocks, and those that run in a pod; not usages, with options in brackets."""
    blocks = [text for _, text in fenced(page)]
    indented = re.findall(r"^    (\S.*)$", page.read_text(), re.MULTILINE)
    inline = [code for code in re.findall(r"`([^`\n]+)`", page.read_text()) if "kubectl" in code and " -- " in code]
    found = []
    for line in re.sub(r" *\\\n *", " ", "\n".join([*blocks, *indented, *inline])).splitlines():
        started = re.search(r"(?:^|-- +)((?:kubectl )?tracekeeper(?:-sidecar)? .*)", line)
        if started and " [" not in line:
            words = shlex.split(started[1].split("    ")[0], comments=True)
            found.append(words[: words.index(">")] if ">" in words else words)
    return found


SHOWN = [(page, spec) for page in PAGES for spec in configs(page)]
TYPED = [(page, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "spec"), SHOWN, ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_configs_on_pages_have_no_faults(page: Path, spec: dict[str, Any]) -> None:
    whole = {"apiVersion": "tracekeeper.dev/v1alpha1", "kind": "TracingConfig", "metadata": {"name": "shown"}}
    manifest, faults = load_manifest(yaml.safe_dump(whole | {"spec": spec}), page.name)
    assert manifest is not None, [fault.located() for fault in faults]
    assert check_resolved(resolve(manifest.spec)) == []


@pytest.mark.parametrize(("page", "command"), TYPED, ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_commands_on_pages_are_understood(page: Path, command: list[str]) -> None:
    if command[0] == "kubectl":
        command = command[1:]
    (sidecar if command[0] == "tracekeeper-sidecar" else cli)().parse_args(command[1:])


def test_there_are_some() -> None:
    assert len(SHOWN) >= 8
    assert len(TYPED) >= 10


def test_metrics_on_pages_exist() -> None:
    known = {name for metric in declared() for name in (metric.name, *metric.series)}
    packages = {path.parent.name for path in ROOT.glob("*/tracekeeper_*/__init__.py")}
    for page in PAGES:
        for name in re.findall(r"\b(tracekeeper_[a-z_]+)", page.read_text()):
            several = name.endswith("_") and any(one.startswith(name) for one in known)
            assert several or name in known | packages | LABELS_OF_ALERTS, (page.name, name)


def headings(page: Path) -> set[str]:
    """Of a page, as links name them."""
    texts = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).strip().lower() for text in texts)
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_headings(page: Path) -> None:
    for file, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text()):
        target = page.parent / file if file else page
        assert target.suffix != ".md" or heading in headings(target), (file, heading)
