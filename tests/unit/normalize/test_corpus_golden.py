"""Spans as the real SDKs emit them, normalised to one golden form."""

from __future__ import annotations

from typing import Any

import pytest

from genai_corpus import Case, cases, counted, form, normalizer, one_by_one, spans_of, through

ALL = cases()
TWICE = {"langfuse-generation"}
"""Where the outer span of the two comes first and has no response's id, both count."""
CANONICAL = ("gen_ai.", "tracekeeper.")
"""What may be replaced."""
PARTS = ("input", "output", "cache_read", "cache_write", "reasoning", "input_audio", "output_audio")


def forms(body: bytes) -> list[dict[str, Any]]:
    return [form(span) for span in spans_of(body)]


def golden(case: Case) -> list[dict[str, Any]]:
    """Its spans; what an SDK reports as cost is the business of Price."""
    return [{field: value for field, value in span.items() if field != "reported"} for span in case.golden["spans"]]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_spans_say_what_the_golden_form_says(case: Case) -> None:
    assert forms(through(case.body(), normalizer())) == golden(case)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_spans_that_come_one_by_one_say_the_same(case: Case) -> None:
    step = normalizer()
    found = [said for body in one_by_one(case.body()) for said in forms(through(body, step))]
    assert found == golden(case)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_tokens_of_calls_that_count_are_those_that_the_model_used(case: Case) -> None:
    said = counted(forms(through(case.body(), normalizer())))
    told = {part: sum(span.get(part, 0) for span in said) for part in PARTS}
    assert told == {part: case.golden["told"][part] for part in PARTS}


@pytest.mark.parametrize("case", ALL, ids=str)
def test_what_is_normalised_is_not_normalised_again(case: Case) -> None:
    once = through(case.body(), normalizer())
    assert through(once, normalizer()) == once


@pytest.mark.parametrize("case", ALL, ids=str)
def test_originals_are_kept(case: Case) -> None:
    before, after = spans_of(case.body()), spans_of(through(case.body(), normalizer()))
    for old, new in zip(before, after, strict=True):
        assert [
            item for item in old.attributes if not item.key.startswith(CANONICAL) and item not in new.attributes
        ] == []
        assert (new.trace_id, new.span_id, new.parent_span_id) == (old.trace_id, old.span_id, old.parent_span_id)
        assert (new.name, new.status, list(new.events), list(new.links)) == (
            old.name, old.status, list(old.events), list(old.links)
        )  # fmt: skip


@pytest.mark.parametrize("case", ALL, ids=str)
def test_tokens_are_the_same_when_spans_come_in_the_wrong_order(case: Case) -> None:
    step = normalizer()
    said = []
    for body in reversed(list(one_by_one(case.body()))):
        said += forms(through(body, step))
    told = {part: sum(span.get(part, 0) for span in counted(said)) for part in PARTS}
    times = 2 if str(case) in TWICE else 1
    assert told == {part: case.golden["told"][part] * times for part in PARTS}
