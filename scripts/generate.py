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
import generate_prices
import generate_reference
import generate_rendered
import generate_values

from tracekeeper_sidecar.metrics import TABLE

ROOT = Path(__file__).resolve().parent.parent


def metrics_page() -> str:
    """docs/reference/metrics.md, from the sidecar's declared table."""
    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in TABLE
    ]
    return "\n".join(
        [
            "# Metrics of the sidecar",
            "",
            "At `:14316/metrics`. Generated from `sidecar/tracekeeper_sidecar/metrics.py` by `make docs`. Never a",
            "label per user, per session or per trace.",
            "",
            "| metric | type | labels | what it says |",
            "|---|---|---|---|",
            *rows,
            "",
            "Two equations hold within every scrape:",
            "",
            "- `received = acknowledged + refused + filtered + suspended`",
            "- for each `delivery` since it began:",
            "  `acknowledged = delivered + sampled_out + unmatched + pending + dropped`",
            "",
        ]
    )


PAGES: dict[str, Callable[[], str]] = {
    "charts/tracekeeper/dashboards/operator.json": generate_dashboard.render,
    "charts/tracekeeper/templates/crd.yaml": generate_crd.render,
    "docs/reference/chart-values.md": generate_values.render,
    "docs/reference/metrics.md": metrics_page,
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
