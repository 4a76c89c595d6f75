"""The command `tracekeeper-sidecar redact --explain`: what would be hidden in a file of spans, and why; never the
text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tracekeeper_sidecar.control.check import check_file
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.process.redact.engine import Engine
from tracekeeper_sidecar.process.redact.explain import explained
from tracekeeper_sidecar.wire.otlp_json import json_to_protobuf
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_spec.manifest import load_manifest
from tracekeeper_spec.redact import Action, Redact
from tracekeeper_spec.redact_fields import REDACT
from tracekeeper_spec.walk import read

NOTHING, FAILED, FAULTY, FOUND = 0, 1, 2, 3
"""Exit codes: nothing would be hidden; the file or the config cannot be read; the config has faults; something would
be."""
MOST_BYTES: Final = 256 << 20


def explain(file: str, config: str | None, as_json: bool) -> int:
    """Print what each step Redact of the manifest `config` would hide in `file` (None: one with all defaults)."""
    try:
        steps = _steps(config)
    except _FaultyError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return FAULTY
    except OSError as error:
        print(f"{config}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    if not steps:
        print(f"{config}: has no processor of type Redact: nothing would be hidden", file=sys.stderr)
        return FAILED
    try:
        bodies = list(_bodies(Path(file)))
    except (OSError, ValueError, WireError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return FAILED
    refused = 0
    found: list[dict[str, Any]] = []
    for name, wish in steps:
        refused += _explain_one(name, wish, bodies, found)
    if as_json:
        for each in found:
            print(json.dumps(each))
    else:
        _print(found)
    return FOUND if found or refused else NOTHING


class _FaultyError(Exception):
    def __init__(self, faults: list[str]) -> None:
        super().__init__()
        self.faults = faults


def _steps(config: str | None) -> list[tuple[str, Redact]]:
    if config is None:
        return [("redact", read(REDACT, {}, "redact", []))]
    if faults := check_file(config):
        raise _FaultyError(faults)
    found, _ = load_manifest(Path(config).read_text(encoding="utf-8"), config)
    assert found is not None  # It has no faults.
    return [(each.name, each.redact) for each in found.spec.processors or () if each.redact is not None]


def _bodies(path: Path) -> Iterator[bytes]:
    """The requests in a file: OTLP as protobuf, as JSON, or as a line of JSON for each request."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES} bytes")
    data = path.read_bytes()
    bodies = [data]
    if data.lstrip()[:1] == b"{":
        lines = [line for line in data.splitlines() if line.strip()]
        try:
            bodies = [json_to_protobuf(data)]
        except WireError:
            if len(lines) < 2:
                raise
            bodies = [json_to_protobuf(line) for line in lines]
    for body in bodies:
        look(body)
        yield body


def _explain_one(name: str, wish: Redact, bodies: list[bytes], found: list[dict[str, Any]]) -> int:
    """Adds what the step finds, and hides it in `bodies`, as the steps behind it see them; returns the spans
    refused."""
    # Hashes are not shown: any key will do.
    engine = Engine(wish, os.urandom(32) if wish.action is Action.HASH else None)
    if engine.prefilter.problem:
        print(f"{name}: {engine.prefilter.problem}", file=sys.stderr)
    refused = 0
    for number, body in enumerate(bodies):
        outcome, each = explained(engine, body)
        if outcome.gone:
            refused += outcome.gone
            spans = "1 span" if outcome.gone == 1 else f"{outcome.gone} spans"
            print(
                f"request {number}: {name} could not redact {spans}, which would not be stored: {outcome.problem}",
                file=sys.stderr,
            )
        bodies[number] = outcome.body
        for one in each:
            label, why, length = one.note
            where = {"request": number, "span": one.span, "name": one.name, "field": one.field, "key": one.key}
            what = {"detector": label, "keyPattern": why, "bytes": length, "action": str(wish.action)}
            found.append({"processor": name} | where | what)
    return refused


def _print(found: list[dict[str, Any]]) -> None:
    for each in found:
        whose = f"span {each['span']} ({each['name']})" if each["span"] >= 0 else "resource or scope"
        where = each["field"] + (f"[{json.dumps(each['key'], ensure_ascii=False)}]" if each["key"] else "")
        why = f" pattern {each['keyPattern']}" if each["keyPattern"] else ""
        print(
            f"request {each['request']}, {whose}, {where}: {each['detector']}{why}, {each['bytes']} bytes: "
            f"{each['action']} by {each['processor']}"
        )
    print(f"{len(found)} {'value' if len(found) == 1 else 'values'} would be hidden")
