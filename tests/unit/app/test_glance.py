"""What is told of a policy before it is read: whether spans may have to be changed before they are stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tracekeeper_sidecar.control.glance import may_process, may_speak_of_processors
from tracekeeper_sidecar.control.source import parse_downward_map
from tracekeeper_sidecar.settings import Settings
from tracekeeper_spec.policy import PolicyDocument

EVERY_POD: dict[str, Any] = {"backends": []}
SOME: dict[str, Any] = {"selector": {"matchLabels": {"app": "agent"}}}


def _settings(folder: Path, text: str | None, annotations: str | None = None) -> Settings:
    if text is not None:
        (folder / "policy.json").write_text(text)
    if annotations is not None:
        (folder / "annotations").write_text(annotations)
    pod_info = str(folder) if annotations is not None else None
    return Settings("data", 1 << 20, policy_file=str(folder / "policy.json"), pod_info_dir=pod_info)


def _policy(*specs: Any) -> str:
    shared = {"namespace": "shop", "generation": 1, "created": "", "retired": False}
    configs = [{"name": f"c{number}", "uid": f"{number}", "spec": spec} | shared for number, spec in enumerate(specs)]
    return json.dumps({"formatVersion": 1, "revision": 1, "configs": configs, "secrets": {}})


@pytest.mark.parametrize(
    ("text", "annotations"),
    [
        (_policy(EVERY_POD), None),
        (_policy(SOME, EVERY_POD), 'a="b"\n'),
        (_policy(EVERY_POD), 'tracekeeper.dev/inject="true"\ntracekeeper.dev/inject-container="agent"\n'),
    ],
)
def test_nothing_waits_where_a_config_without_processors_takes_every_pod(
    tmp_path: Path, text: str, annotations: str | None
) -> None:
    settings = _settings(tmp_path, text, annotations)
    assert not may_process(settings)
    assert PolicyDocument.from_json(text).pick({}, parse_downward_map(annotations or "")) is not None


@pytest.mark.parametrize(
    ("text", "annotations"),
    [
        (None, None),
        (_policy(), None),
        (_policy(SOME), None),
        (_policy(EVERY_POD | {"processors": []}), None),
        (_policy(EVERY_POD), 'tracekeeper.dev/inject="other/config"\n'),
        (_policy(EVERY_POD | {"x": "-" * (1 << 17)}), None),
        ("[" * 100_000, None),
        ("{}", None),
        ('{"configs": [{"spec": 7}]}', None),
        ("\xff{", None),
    ],
)
def test_requests_wait_where_spans_may_be_redacted(tmp_path: Path, text: str | None, annotations: str | None) -> None:
    assert may_process(_settings(tmp_path, text, annotations))


def test_requests_wait_where_it_is_not_known_what_the_pod_asks_for(tmp_path: Path) -> None:
    settings = Settings("data", 1 << 20, policy_file=str(tmp_path / "policy.json"), pod_info_dir=str(tmp_path))
    (tmp_path / "policy.json").write_text(_policy(EVERY_POD))
    assert may_process(settings)


def test_a_manifest_is_for_this_process_whatever_it_selects(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    settings = Settings("data", 1 << 20, config_file=str(file))
    assert may_process(settings) and may_speak_of_processors(settings), "it cannot be read yet"
    file.write_text("spec: {selector: {matchLabels: {app: agent}}}")
    assert not may_process(settings) and not may_speak_of_processors(settings)
    file.write_text("spec: {processors: [")
    assert may_process(settings) and may_speak_of_processors(settings)
