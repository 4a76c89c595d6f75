"""How much of the labelled corpus redaction finds, how much it finds that is nothing, and what it misses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tracekeeper_sidecar.process.redact.matcher import Matcher, Report
from tracekeeper_sidecar.process.redact.texts import Texts
from tracekeeper_spec.redact import Detector, Redact
from tracekeeper_spec.redact_fields import REDACT
from tracekeeper_spec.walk import read

CORPUS = Path(__file__).parent.parent / "tests" / "corpus" / "redaction"
APART: Final = "¤"
"""Stands within keys of the corpus, so that nobody who looks for keys in repositories takes them for some."""
_LABELLED = re.compile(r"⟦(\w+)\|(.*?)⟧", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One text of the corpus, without its labels, and what is labelled in it: detector and text."""

    text: str
    labels: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Score:
    """Of one detector: labelled values that it hides whole, those that it does not, and what else it hides."""

    found: int = 0
    missed: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of the labelled values that are hidden."""
        return self.found / (self.found + len(self.missed))

    @property
    def precision(self) -> float:
        """Share of what is hidden that is labelled."""
        return self.found / (self.found + len(self.alarms))


def lines() -> list[Line]:
    """All of the corpus."""
    found = []
    for path in sorted(CORPUS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["text"].replace(APART, "")
            found.append(Line(_LABELLED.sub(lambda one: one[2], text), tuple(_LABELLED.findall(text))))
    return found


def scores(corpus: list[Line]) -> dict[Detector, Score]:
    """Each detector alone, over all of the corpus."""
    return {detector: _score(detector, corpus) for detector in Detector}


def _score(detector: Detector, corpus: list[Line]) -> Score:
    wish = read(REDACT, {"detectors": [str(detector)], "keyPatterns": []}, "redact", [])
    assert isinstance(wish, Redact)
    texts = Texts(Matcher(wish, None))
    score = Score()
    for line in corpus:
        report = Report()
        hidden = texts.redact(line.text.encode(), None, report).decode()
        found = 0
        for label, value in line.labels:
            if label != detector:
                continue
            if hidden.count(value) < line.text.count(value):
                found += 1
            else:
                score.missed.append(line.text)
        score.found += found
        score.alarms += [line.text] * max(0, report.values[str(detector)] - found)
    return score


def table(corpus: list[Line]) -> str:
    """The table of the reference page, and the lists of what is missed and of false alarms, in Markdown."""
    made = [
        f"{len(corpus)} texts, {sum(len(line.labels) for line in corpus)} values labelled in them.",
        "*Recall*: of the labelled values, so many are hidden. *Precision*: of what is hidden, so much is labelled.",
        "Each detector runs alone over all of it.",
        "",
        "| detector | labelled | recall | precision |",
        "|---|---|---|---|",
    ]
    found = scores(corpus)
    for detector, score in found.items():
        labelled = score.found + len(score.missed)
        made.append(f"| `{detector}` | {labelled} | {score.recall:.1%} | {score.precision:.1%} |".replace("%", " %"))
    for title, kind in (("What is missed", "missed"), ("What is hidden and should not be", "alarms")):
        made += ["", f"### {title}", ""]
        for detector, score in found.items():
            made += [f"- `{detector}`: {_code(text)}" for text in dict.fromkeys(getattr(score, kind))]
    return "\n".join(made) + "\n"


def _code(text: str) -> str:
    shown = text.replace("\n", "⏎").replace("|", "\\|")
    return f"`` {shown} ``"
