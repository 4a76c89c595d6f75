"""`tracekeeper check`: the same verdict as the sidecar's own check, and words that fit the number."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from control_objects import backend, config
from tracekeeper_cli.__main__ import main
from tracekeeper_sidecar.control.check import check_file

EMPTY = {**config(), "spec": {}}
NOWHERE = config(delivery=[{"name": "x", "backends": ["b"]}])
MANIFESTS = {
    "sound": (config(), 0),
    "suspended": ({**config(), "spec": {"suspend": True}}, 0),
    "no backends": (EMPTY, 1),
    "delivery to nobody": (NOWHERE, 1),
    "faulty condition": (config(delivery=[{"name": "x", "backends": ["a"], "match": "span.nme == 1 || foo"}]), 2),
    "two faults": (config(logLevel="Loud", backends=[backend("A B")]), 2),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_both_checks_find_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, count = MANIFESTS[name]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(manifest))
    assert main(["check", str(file)]) == (2 if count else 0)
    printed = capsys.readouterr()
    assert printed.err.splitlines() == check_file(str(file))
    words = {0: "no faults", 1: "1 fault", 2: "2 faults"}[count]
    assert printed.out == f"{file}: {words}\n"


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "nowhere.yaml")]) == 1
    assert f"{tmp_path}/nowhere.yaml: cannot be read" in capsys.readouterr().err
