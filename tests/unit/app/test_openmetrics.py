"""Pages that scrapers can read, whatever an application calls its agents."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric as Parsed
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tracekeeper_sidecar.admin.accept import form_for
from tracekeeper_sidecar.admin.openmetrics import Family, Form, write
from tracekeeper_sidecar.meter.families import METERED
from tracekeeper_sidecar.meter.reading import Exemplar, Histogram
from tracekeeper_sidecar.metrics import TABLE, Metric

CALLS = Metric("tracekeeper_calls_total", "counter", 'Calls, "so to say",\nof a \\ model.', ("agent", "model"))
SECONDS = Metric("tracekeeper_wait_seconds", "histogram", "Waits.", ("agent",), "seconds", (0.5, 1.0, 14400.0), True)
LEVEL = Metric("tracekeeper_level", "gauge", "How high.")
EXEMPLAR = Exemplar(bytes(range(16)), bytes(range(8)), 0.75, 1_700_000_000.5)


def parsed(families: Iterable[Family], form: Form) -> dict[str, Parsed]:
    parse = parse_openmetrics if form is Form.OPENMETRICS else parse_text
    return {family.name: family for family in parse(write(families, form).decode())}


def written(text: str) -> str:
    """What a page can say of it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


@pytest.mark.parametrize("form", Form)
@given(labels=st.lists(st.tuples(st.text(), st.text()), unique_by=lambda pair: tuple(map(written, pair)), max_size=4))
def test_any_label_comes_out_as_it_went_in(form: Form, labels: list[tuple[str, str]]) -> None:
    found = parsed([(CALLS, [(pair, place) for place, pair in enumerate(labels)])], form)["tracekeeper_calls"]
    assert found.documentation == CALLS.help
    assert [(tuple(sample.labels.values()), sample.value) for sample in found.samples] == [
        ((written(agent), written(model)), place) for place, (agent, model) in enumerate(labels)
    ]


@pytest.mark.parametrize("form", Form)
@given(value=st.floats() | st.integers(min_value=-(2**53), max_value=2**53) | st.booleans())
def test_any_value_comes_out_as_it_went_in(form: Form, value: float) -> None:
    (sample,) = parsed([(LEVEL, [((), value)])], form)["tracekeeper_level"].samples
    assert sample.value == value or math.isnan(sample.value) == math.isnan(value)


def test_half_a_character_spoils_no_page() -> None:
    page = write([(CALLS, [(("\ud800", "nul\0"), 1)])], Form.TEXT).decode()
    assert page.splitlines()[-1] == 'tracekeeper_calls_total{agent="?",model="nul\N{REPLACEMENT CHARACTER}"} 1.0'


@pytest.mark.parametrize("form", Form)
def test_buckets_are_summed_up_and_bounds_are_floats(form: Form) -> None:
    value = Histogram((1, 2, 0, 4), 12.5, ())
    found = parsed([(SECONDS, [(("a",), value)])], form)["tracekeeper_wait_seconds"]
    assert [(sample.labels["le"], sample.value) for sample in found.samples if "le" in sample.labels] == [
        ("0.5", 1), ("1.0", 3), ("14400.0", 3), ("+Inf", 7)
    ]  # fmt: skip
    rest = {sample.name.rpartition("_")[2]: sample.value for sample in found.samples if "le" not in sample.labels}
    assert rest == {"count": 7, "sum": 12.5}
    assert b'tracekeeper_wait_seconds_bucket{agent="a",le="1.0"} 3.0\n' in write([(SECONDS, [(("a",), value)])], form)


def test_exemplars_are_shown_where_the_format_has_them() -> None:
    families = [(SECONDS, [(("a",), Histogram((0, 1, 0, 0), 0.75, (None, EXEMPLAR, None, None)))])]
    samples = parsed(families, Form.OPENMETRICS)["tracekeeper_wait_seconds"].samples
    (found,) = [sample.exemplar for sample in samples if sample.exemplar is not None]
    assert found.labels == {"trace_id": "000102030405060708090a0b0c0d0e0f", "span_id": "0001020304050607"}
    assert (found.value, float(str(found.timestamp))) == (0.75, 1_700_000_000.5)
    assert b"trace_id" not in write(families, Form.TEXT)


def test_openmetrics_says_units_and_that_it_is_whole() -> None:
    page = write([(SECONDS, []), (CALLS, [])], Form.OPENMETRICS).decode()
    assert "# UNIT tracekeeper_wait_seconds seconds\n" in page
    assert "# TYPE tracekeeper_calls counter\n" in page
    assert page.endswith("# EOF\n")
    assert "EOF" not in write([], Form.TEXT).decode()


@pytest.mark.parametrize("metric", [*TABLE, *METERED], ids=lambda metric: metric.name)
def test_every_declaration_is_one_that_scrapers_take(metric: Metric) -> None:
    base = metric.name.removesuffix("_total")
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not base.endswith(("_count", "_sum", "_bucket", "_created", "_info")) or metric.name.endswith("build_info")
    assert not metric.unit or base.endswith(f"_{metric.unit}")
    assert len(set(metric.labels)) == len(metric.labels)
    assert "le" not in metric.labels
    assert bool(metric.bounds) == (metric.type == "histogram")
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert metric.help.endswith(".")
    value = Histogram((0,) * (len(metric.bounds) + 1), 0.0, ()) if metric.bounds else 1
    for form in Form:
        assert base in "".join(parsed([(metric, [(metric.labels, value)])], form))


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.TEXT),
        ("*/*", Form.TEXT),
        ("text/plain;version=0.0.4", Form.TEXT),
        ("application/openmetrics-text", Form.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', Form.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", Form.TEXT),
        ("application/openmetrics-text;q=0.2,*/*", Form.TEXT),
        ("application/openmetrics-text;q=0", Form.TEXT),
        ("application/openmetrics-text;q=often", Form.TEXT),
        ("text/html;;,=;q,application/json", Form.TEXT),
        (PROMETHEUS_2, Form.OPENMETRICS),
        (PROMETHEUS_3, Form.OPENMETRICS),
    ],
)
def test_a_scraper_is_answered_in_the_format_that_it_likes_best(accept: str, form: Form) -> None:
    assert form_for(accept) is form
