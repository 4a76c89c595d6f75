"""The corpus itself: complete, small, telling nothing of the machine that made it, and true to what was served."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from genai_corpus import CORPUS, Case, attributes, cases, normalizer, spans_of, through
from tracekeeper_sidecar.process.normalize.dialects import DIALECTS

ALL = cases()
MOST_BYTES = 1_500_000
SOUND = {"input_audio", "output_audio"}
UNTRUE = {
    "otel_stable": {
        "chat_stream": {"cache_read"},
        "chat_think": {"cache_read", "reasoning"},
        "chat_tool": {"cache_read"},
        "chat_audio": SOUND,
    },
    "otel_opt_in": {
        "chat_stream": {"cache_read"},
        "chat_think": {"cache_read", "reasoning"},
        "chat_tool": {"cache_read"},
        "chat_audio": SOUND,
    },
    "openinference": {"openai_agents": {"cache_read"}, "langchain_twice": {"input", "output", "cache_read"}},
    "openlit": {"chat_think": {"reasoning"}, "chat_audio": SOUND},
    "traceloop": {"anthropic_stream": {"output"}, "chat_audio": SOUND},
    "traceloop_old": {"anthropic_stream": {"output"}, "chat_audio": SOUND},
    "vercel5": {
        "chat_think": {"cache_read", "reasoning"},
        "responses_think": {"cache_read", "reasoning"},
        "agent_tool": {"cache_read"},
    },
    "vercel7": {"chat_think": {"reasoning"}, "responses_think": {"reasoning"}},
}
"""Parts of usage that an SDK does not tell, or not as they were; the README says why."""


@pytest.mark.parametrize("case", ALL, ids=str)
def test_golden_forms_add_up_to_what_was_served(case: Case) -> None:
    told, served = case.golden["told"], case.golden["served"]["total"]
    wrong = {part for part in served if part != "cost" and told[part] != served[part]}
    assert wrong == UNTRUE.get(case.dialect, {}).get(case.name, set())
    total = sum((Decimal(call["cost"]) for call in case.golden["served"]["calls"]), Decimal(0))
    assert Decimal(served["cost"]) == total


def test_every_case_has_a_golden_form_and_the_other_way_round() -> None:
    golden = {(path.parent.name, path.name.removesuffix(".expected.json")) for path in CORPUS.glob("*/*.expected.json")}
    assert golden == {(case.dialect, case.name) for case in ALL}


def test_every_dialect_has_fixtures() -> None:
    found = set()
    for case in ALL:
        for span in spans_of(through(case.body(), normalizer())):
            found.add(attributes(span).get("tracekeeper.dialect"))
    assert {dialect.name for dialect in DIALECTS} <= found


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MOST_BYTES


@pytest.mark.parametrize("case", ALL, ids=str)
def test_nothing_tells_of_the_machine(case: Case) -> None:
    text = case.text.decode()
    assert not re.search(r"127\.0\.0\.1|localhost|/home/|/root/|/tmp/|site-packages|0x[1-9a-f][0-9a-f]{5}", text)
    keys = set(re.findall(r'"key": "((?:host|process|os|container)\.[^"]*)"', text))
    assert not keys
    identifiers = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", text)
    assert all(one.startswith("00000000-0000-4000-8000-") for one in identifiers)
    json.loads(text)
