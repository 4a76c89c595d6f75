"""Writes the figures of bench/results/latest.json into docs/explanation/performance.md, between its marks.

    python bench/report.py [--results bench/results/latest.json] [--page docs/explanation/performance.md]

A part of the page whose job was not run keeps what it says. The pictures go beside the page. What receive.py found
is in receive.json beside the results.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import backlog
import conditions
import limits
import outage
import physical
import receive
import table
import window
from machine import sentence
from measure import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
PICTURES = (
    ("jobs", "latest.png", "performance.png"),
    ("tail", "tail.png", "performance-tail.png"),
    ("redaction", "redaction.png", "performance-redaction.png"),
    ("backlog", "backlog.png", "backlog.png"),
)
"""The part of the page, its picture's name, and what the page calls that."""
MARK = "<!-- bench: {} -->"
END = "<!-- end -->"


def parts(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """The lines of each part that there are results for."""
    special, jobs = found["special"], found["jobs"]
    made = {"machine": [sentence(found["machine"])]}
    plain, tail, redacted = table.split(jobs)
    if plain:
        made["jobs"] = _jobs(plain)
        made["physical"] = _physical(found["physical"], plain)
    if tail:
        picture = "![spans per CPU-second, memory and p99 of both sides' tail samplers](performance-tail.png)"
        made["tail"] = [*_jobs(tail), "", picture]
    if redacted:
        picture = "![spans per CPU-second, memory and p99 of both sides while they redact](performance-redaction.png)"
        made["redaction"] = [*_jobs(redacted), "", picture]
    if "outage" in special:
        made["outage"] = table.markdown(outage.HEAD, outage.cells(special["outage"]))
    if "limits" in special and "not_run" not in special["limits"]:
        made["limits"] = table.markdown(limits.HEAD, limits.cells(special["limits"]))
    if "backlog" in special:
        made["backlog"] = table.markdown(("a backlog", ""), backlog.cells(special["backlog"]))
    if "window" in special:
        made["window"] = table.markdown(("a long window", ""), window.cells(special["window"]))
    if "conditions" in special:
        made["conditions"] = table.markdown(conditions.HEAD, conditions.cells(special["conditions"]))
    if "receive" in special:
        made["receive"] = [
            sentence(special["receive"]["machine"]),
            "",
            *table.markdown(receive.HEAD, receive.cells(special["receive"])),
        ]
    return made


def _jobs(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    ((head, rows),) = table.tables(jobs)
    return [*table.markdown(head, rows), "", *(f"- {verdict}" for verdict in table.verdicts(jobs))]


def _physical(figures: Mapping[str, float], jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ("what the machine does at most", "")
    body = [
        ("bytes over the loopback, one connection", f"{figures['mb_per_second']:,} MB/s"),
        ("… for a second of CPU, both ends together", f"{figures['mb_per_cpu_second']:,} MB"),
        ("`fdatasync`, each after a write of 200 KB", f"{figures['fdatasyncs_per_second']:,} a second"),
        ("writing into the page cache, for a second of CPU", f"{figures['write_mb_per_cpu_second']:,} MB"),
        ("reading out of it", f"{figures['read_mb_per_cpu_second']:,} MB"),
    ]
    for job in jobs:
        run = job["ours"]["rounds"][0]
        if job["ours"]["acknowledged"] and run["spans_per_request"] >= 50:
            least = physical.floor(figures, run["bytes_per_request"] / run["spans_per_request"])
            ours = 1e6 / job["ours"]["per_cpu_second"]
            what = f"{job['title']}: CPU a span, moving its bytes alone ÷ measured"
            body.append((what, f"{least:.2f} ÷ {ours:.2f} µs = {least / ours:.0%}"))
    return table.markdown(head, body)


def written(page: str, made: Mapping[str, Sequence[str]]) -> str:
    """The page with each part between its mark and the next end. Raises ValueError where there is no place for one."""
    for name, lines in made.items():
        mark = re.escape(MARK.format(name))
        pattern = re.compile(f"({mark}\n).*?({re.escape(END)})", re.DOTALL)
        text = "\n".join(lines)
        page, count = pattern.subn(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page has {count} places for {name}, marked {MARK.format(name)} … {END}")
    return page


def main() -> int:
    """Read, write, copy the pictures."""
    parser = argparse.ArgumentParser(description="the bench's figures into the page on performance")
    parser.add_argument("--results", type=Path, default=RESULTS / "latest.json")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    try:
        found = json.loads(options.results.read_text())
        if (beside := options.results.with_name("receive.json")).exists():
            found["special"]["receive"] = json.loads(beside.read_text())
        made = parts(found)
        options.page.write_text(written(options.page.read_text(), made))
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    for part, picture, name in PICTURES:
        source = options.results.with_name(picture)
        if part in made and source.exists():
            shutil.copyfile(source, options.page.with_name(name))
    print(f"{options.page}: {', '.join(made)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
