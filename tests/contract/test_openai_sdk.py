"""The OpenAI Agents SDK's own exporter against our receiver: what it sends, and when it tries again or gives up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest
from agents import add_trace_processor, agent_span, custom_span, function_span, set_trace_processors, trace
from agents.tracing import get_trace_provider
from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor

from openai_items import spans, values
from receivers import Serving, serving
from tracekeeper_sidecar.errors import LogFull, LogUnavailable


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    """The SDK's way to OpenAI is closed, before and after."""
    set_trace_processors([])
    yield
    set_trace_processors([])


def run(count: int) -> None:
    with trace("Demo", group_id="g", metadata={"user_id": "u"}), agent_span("triage"):
        for number in range(count):
            with function_span(f"tool {number}", input="a", output="b"):
                pass


async def traced(running: Serving, work: Callable[[], None], attempts: int = 3) -> None:
    """Do the work with the SDK's exporter pointed at the sidecar, and end as the SDK does."""
    endpoint = f"http://127.0.0.1:{running.http_port}/v1/traces/ingest"
    exporter = BackendSpanExporter(
        api_key="k", endpoint=endpoint, base_delay=0.01, max_delay=0.05, max_retries=attempts
    )
    processor = BatchTraceProcessor(exporter)
    add_trace_processor(processor)

    def all_of_it() -> None:
        work()
        get_trace_provider().shutdown()
        exporter.close()  # type: ignore[no-untyped-call]

    await asyncio.to_thread(all_of_it)


async def test_everything_is_sent_by_a_shutdown() -> None:
    async with serving() as running:
        await traced(running, lambda: run(300))
        found = [one for payload in running.store.payloads for one in spans(payload)]
        assert len(found) == 301
        assert len(running.store.payloads) > 1, "in several batches"
        (root,) = [one for one in found if not one.parent_span_id]
        assert root.name == "invoke_agent triage"
        assert {one.parent_span_id for one in found if one is not root} == {root.span_id}
        assert {values(one.attributes)["user.id"] for one in found} == {"u"}, "what a trace says reaches all batches"


@pytest.mark.parametrize("fault", [LogFull("quota", "no room", 0.01), LogUnavailable("read-only", 0.01)])
async def test_it_tries_again(fault: Exception) -> None:
    async with serving() as running:
        running.store.fault, running.store.heal_after = fault, 2
        await traced(running, lambda: run(1), attempts=4)
        assert len(running.store.span_ids()) == 2
        assert running.store.refusals == 2


async def test_it_does_not_try_again_what_can_never_be_taken(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(admission=80_000) as running:
        with caplog.at_level(logging.WARNING):
            await traced(running, lambda: run_large())
        assert running.store.payloads == []
        assert running.ledger.refused_requests == {"too_large": 1}
        assert "Tracing client error 413" in caplog.text
        assert "over the limit of 10000 bytes for JSON" in caplog.text, "the sidecar says why"


def run_large() -> None:
    with trace("Demo"), custom_span("step", {"text": "x" * 20_000}):
        pass
