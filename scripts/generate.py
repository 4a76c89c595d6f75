"""Writes every generated page and manifest anew; with --check fails, naming them, when any is not current.

Usage: make docs            (writes)
       make check           (checks, among other things)
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import generate_crd
import generate_dashboard
import generate_detectors
import generate_dialects
import generate_metrics
import generate_prices
import generate_redaction
import generate_reference
import generate_rendered
import generate_values

ROOT = Path(__file__).resolve().parent.parent


PAGES: dict[str, Callable[[], str]] = {
    **generate_dashboard.PAGES,
    **generate_detectors.PAGES,
    "charts/tracekeeper/templates/crd.yaml": generate_crd.render,
    "docs/reference/chart-values.md": generate_values.render,
    "docs/reference/metrics.md": generate_metrics.render,
    "docs/reference/processors/redact.md": generate_redaction.render,
    "docs/reference/processors/normalize.md": generate_dialects.render,
    "docs/reference/tracingconfig.md": generate_reference.render,
    "proto/tracekeeper_spec/prices.json": generate_prices.render,
}


def main(check: bool) -> int:
    """Write or check; returns the exit code."""
    stale = []
    # The rendered chart last: it shows the files before it.
    for name, make in [*PAGES.items(), *generate_rendered.pages().items()]:
        path = ROOT / name
        if check and (not path.exists() or path.read_text(encoding="utf-8") != make()):
            stale.append(name)
        elif not check:
            path.write_text(make(), encoding="utf-8")
    protos = subprocess.run([ROOT / "scripts/proto.sh", *(["--check"] if check else [])], check=False)
    for name in stale:
        print(f"{name} is not current: run `make docs` and commit it", file=sys.stderr)
    return 1 if stale or protos.returncode else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
