"""Records what one version's sidecar reads of a policy entry, for a test of later operators.

    .venv/bin/python tests/record_fields.py FILE

Run it with that version's `proto` first in PYTHONPATH, and keep what it writes in tests/neighbours/. A sidecar refuses
what it does not know, so this is what an entry for it may hold: the fields of a spec as a tree, the words of a choice
as a list, and null where a value has no parts.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

from tracekeeper_spec.fields import SPEC
from tracekeeper_spec.schema import Choice, ListOf, Node, Object


def shape(node: Node) -> object:
    """What may be written there."""
    match node:
        case Object(fields=fields):
            return {field.name: shape(field.node) for field in fields}
        case ListOf(item=item):
            return shape(item)
        case Choice(values=values):
            return [str(value) for value in values]
    return None


def main(file: str) -> None:
    Path(file).write_text(json.dumps({"version": version("tracekeeper"), "spec": shape(SPEC)}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
