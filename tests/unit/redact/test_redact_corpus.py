"""The labelled corpus: how much of it each detector finds, held against what is declared here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "scripts"))
import redaction_corpus

from tracekeeper_spec.redact import Detector

FLOORS = {
    Detector.EMAIL: (0.90, 0.94),
    Detector.PHONE: (0.95, 0.92),
    Detector.CREDIT_CARD: (0.93, 0.97),
    Detector.SSN: (0.95, 0.99),
    Detector.IBAN: (0.97, 0.99),
    Detector.IP_ADDRESS: (0.90, 0.99),
    Detector.JWT: (0.90, 0.99),
    Detector.SECRET: (0.94, 0.99),
}
"""Recall and precision, at least. The misses are in the corpus on purpose: they are listed in the docs."""

CORPUS = redaction_corpus.lines()


@pytest.mark.parametrize("detector", Detector)
def test_recall_and_precision_are_not_below_what_is_declared(detector: Detector) -> None:
    score = redaction_corpus.scores(CORPUS)[detector]
    recall, precision = FLOORS[detector]
    assert score.recall >= recall, score.missed
    assert score.precision >= precision, score.alarms


def test_the_corpus_is_as_large_as_the_docs_say_and_half_of_what_is_in_it_says_nothing() -> None:
    assert len(CORPUS) >= 600
    assert sum(not line.labels for line in CORPUS) >= 150
    assert len({line.text for line in CORPUS}) == len(CORPUS)
