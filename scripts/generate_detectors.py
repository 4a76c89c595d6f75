"""Writes into the pages of detectors how often they are wrong on the labelled traces in tests/corpus/detect."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from tracekeeper_spec.detect import Detector

ROOT = Path(__file__).resolve().parent.parent
INDEX = "docs/reference/processors/detect.md"
BEGIN = "<!-- measured: written by scripts/generate_detectors.py -->\n"
END = "<!-- /measured -->"
SUMMARIES = {
    Detector.LOOP: "the same call of a tool or an agent again and again",
    Detector.CONTEXT_EXPLOSION: "an input that grows from call to call",
    Detector.TOKEN_RUNAWAY: "a trace that uses too many tokens",
    Detector.TOOL_FAILURES: "tools fail one after another",
    Detector.HANDOFF_PING_PONG: "two agents hand over to each other, back and forth",
    Detector.UNDECLARED_HANDOFF: "a hand-off to an agent that is not declared",
    Detector.FAN_OUT: "one request turns into very many calls",
    Detector.RESPONSE_MODEL_CHANGED: "another model has answered",
    Detector.ANSWER_CUT_OFF: "an answer ended because it was too long",
}


def page(detector: Detector) -> str:
    """Its path."""
    return f"docs/reference/detectors/{detector}.md"


@cache
def _measured() -> dict[str, str]:
    """What stands in each page between the marks."""
    sys.path.insert(0, str(ROOT / "tests"))
    from corpus.detect.labelled import cases  # noqa: PLC0415 - where tests are is known only now
    from corpus.detect.score import scores  # noqa: PLC0415

    labelled = cases()
    found, rows = {}, []
    for detector, score in scores(labelled).items():
        clean = len(labelled) - score.labelled
        rows.append(
            f"| [{detector}](../detectors/{detector}.md) | {SUMMARIES[detector]} | {score.found} of {score.labelled}"
            f" | {len(score.false)} of {clean} |\n"
        )
        text = (
            f"## How often it was wrong\n\nOf {score.labelled} labelled traces with this trouble it found {score.found}"
            f"; of {clean} without it, it took {len(score.false)} for trouble.\n"
        )
        for title, those in (("Missed", score.missed), ("Taken for trouble", score.false)):
            if those:
                text += f"\n| {title} | |\n|---|---|\n" + "".join(f"| `{case.name}` | {case.why} |\n" for case in those)
        found[page(detector)] = f"{text}\n"
    head = "| detector | what it sees | found | taken for trouble |\n|---|---|---|---|\n"
    found[INDEX] = f"{head}{''.join(rows)}\n"
    return found


def render(name: str) -> str:
    """The page at that path with the newest numbers."""
    text = (ROOT / name).read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{_measured()[name]}{END}{rest.split(END, 1)[1]}"


PAGES = {name: (lambda name=name: render(name)) for name in (INDEX, *map(page, Detector))}
