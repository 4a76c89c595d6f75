"""The labelled traces: for each a story, and which detectors should speak, in the judgement of who reads it.

All detectors have their defaults; triage is declared to hand over to billing and refunds only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from corpus.detect.story import Story
from tracekeeper_spec.detect import Detector

LOOP, CONTEXT, TOKENS = Detector.LOOP, Detector.CONTEXT_EXPLOSION, Detector.TOKEN_RUNAWAY
FAILURES, PING_PONG, UNDECLARED = Detector.TOOL_FAILURES, Detector.HANDOFF_PING_PONG, Detector.UNDECLARED_HANDOFF
FAN_OUT, MODEL, CUT_OFF = Detector.FAN_OUT, Detector.RESPONSE_MODEL_CHANGED, Detector.ANSWER_CUT_OFF
DECLARED: Final = {"triage": ["billing", "refunds"]}


class Case(NamedTuple):
    """One labelled trace, or conversation."""

    name: str
    story: Story
    labels: frozenset[Detector]
    why: str
    """Where the label, or its absence, is not plain."""


def cases() -> list[Case]:
    """All of them."""
    return [
        *_loops(),
        *_contexts(),
        *_tokens(),
        *_failures(),
        *_handoffs(),
        *_fan_outs(),
        *_models(),
        *_cut_offs(),
        *_clean(),
    ]


def _case(name: str, story: Story, *labels: Detector, why: str = "") -> Case:
    return Case(name, story, frozenset(labels), why)


def _numbered(story: Story, tool: str, pattern: str, numbers: Iterable[int]) -> Story:
    for number in numbers:
        story.tool(tool, pattern.replace("#", str(number)))
    return story


def _loops() -> Iterator[Case]:
    stuck = Story()
    for _ in range(8):
        stuck.chat(reason="tool_calls").tool("search", '{"query":"weather in Lisbon"}')
    yield _case("same-search-again", stuck.end(), LOOP)
    two = Story()
    for _ in range(7):
        two.tool("open_file", '{"path":"a.py"}').tool("edit_file", '{"path":"a.py","old":"x","new":"y"}')
    yield _case("edit-and-open-in-turn", two.end(), LOOP)
    yield _case("asks-the-same-agent", Story().invoke("writer", "Write the summary again.", times=9).end(), LOOP)
    yield _case("long-loop", Story().tool("list_orders", '{"user":"17"}', times=90).end(), LOOP)
    yield _case("endless-loop", Story().tool("list_orders", '{"user":"17"}', times=97).chat(times=2).end(), LOOP)
    yield _case("loop-over-mcp", Story().tool("fetch", '{"url":"https://a.example/"}', mcp=True, times=8).end(), LOOP)
    yield _case("loop-without-arguments", Story().tool("think", times=60).end(), LOOP)
    yield _case(
        "short-loop-without-arguments",
        Story().tool("search", times=12).end(),
        LOOP,
        why="arguments are not recorded, and twelve calls look like a walk through pages",
    )
    yield _case(
        "loop-with-a-counter",
        _numbered(Story(), "search", '{"query":"weather in Lisbon","attempt":#}', range(12)).end(),
        LOOP,
    )
    yield _case(
        "loop-with-a-time",
        _numbered(Story(), "search", '{"timestamp":"2026-03-01T10:#:00Z","query":"Lisbon"}', range(10, 22)).end(),
        LOOP,
    )
    yield _case(
        "loop-with-a-number-of-its-own",
        _numbered(Story(), "search", '{"query":"weather in Lisbon","seq":#}', range(12)).end(),
        LOOP,
        why="a number in the arguments makes each call another one, and nothing says that it only counts",
    )
    yield _case(
        "loop-of-words",
        _numbered(Story(), "search", '{"query":"weather Lisbon #"}', range(10)).end(),
        LOOP,
        why="the agent puts the same question into other words each time",
    )
    yield _case("pages", _numbered(Story(), "list_orders", '{"page":#}', range(1, 30)).end())
    yield _case("pages-without-arguments", Story().tool("list_orders", times=25).end())
    yield _case("retries-that-succeed", _retried(Story(), 3).end())
    yield _case("five-of-the-same", Story().tool("get_time", '{"zone":"Europe/Lisbon"}', times=5).end())
    yield _case("polling-a-job", Story().tool("get_job", '{"id":"job-17"}', times=14).end())
    yield _case(
        "polling-by-another-name",
        Story().tool("describe_cluster", '{"name":"c-17"}', times=14).end(),
        why="waits by asking for the state of something: the same call, and meant so",
    )
    yield _case("waits-for-ever", Story().tool("get_job", '{"id":"job-17"}', times=60).end(), LOOP)
    yield _case(
        "asks-for-the-state-again-and-again",
        Story().tool("check_status", '{"order":"17"}', times=15).end(),
        LOOP,
        why="nothing changes, but a tool of this name is asked again on purpose more often than not",
    )
    yield _case(
        "mails-to-masked-addresses", Story().tool("send_mail", '{"to":"[REDACTED]","text":"Hello"}', times=9).end()
    )
    yield _case(
        "the-same-masked-mail",
        Story().tool("send_mail", '{"to":"[REDACTED]","text":"Hello"}', times=12).end(),
        LOOP,
        why="the same mail to one person twelve times; masked, it could be to twelve",
    )
    screens = Story()
    for number in range(20):
        screens.tool("take_screenshot", "{}").tool("click", f'{{"x":{number},"y":4}}')
    yield _case("screens-between-clicks", screens.end())
    workers = Story()
    for number in range(12):
        workers.tool("get_schema", '{"table":"orders"}', agent=f"worker-{number}").invoke(
            f"worker-{number}", f"part {number}"
        )
    yield _case("many-workers-ask-the-same", workers.end())
    same = Story()
    for number in range(8):
        same.tool("get_schema", '{"table":"orders"}', agent="worker").invoke("worker", f"part {number}")
    yield _case(
        "workers-of-one-name-ask-the-same", same.end(), why="workers that share a name look like one that repeats"
    )


def _retried(story: Story, times: int) -> Story:
    return story.tool("charge", '{"order":"9"}', failed=True, times=times).tool("charge", '{"order":"9"}')


def _contexts() -> Iterator[Case]:
    yield _case("doubling", _growing(Story(), [2_000 * 2**step for step in range(6)]).end(), CONTEXT)
    yield _case("whole-pages-appended", _growing(Story(), range(6_000, 72_000, 6_000)).end(), CONTEXT)
    yield _case("half-as-much-again", _growing(Story(), [int(5_000 * 1.5**step) for step in range(8)]).end(), CONTEXT)
    over = Story(conversation="talk-growing")
    for step in range(7):
        over.chat(3_000 * 2**step // 1).end().next_trace()
    yield _case("doubling-from-turn-to-turn", over, CONTEXT)
    tools = Story()
    for step in range(8):
        tools.chat(4_000 + 8_000 * step).tool("read_log", f'{{"from":{step}}}')
    yield _case("logs-pasted-into-it", tools.end(), CONTEXT)
    yield _case(
        "slow-and-endless",
        _growing(Story(), [int(30_000 * 1.05**step) for step in range(40)]).end(),
        CONTEXT,
        TOKENS,
        why="grows by a twentieth at a time, without an end",
    )
    pair = Story()
    for step in range(7):
        pair.chat(3_000 * 2**step).chat(900)
    yield _case(
        "two-prompts-of-one-agent",
        pair.end(),
        CONTEXT,
        why="one prompt explodes, and another one of the same agent comes between its calls",
    )
    yield _case("long-chat", _growing(Story(), range(2_000, 34_000, 800)).end())
    yield _case("one-large-document", Story().chat(2_000).chat(60_000, times=6).end())
    yield _case(
        "grows-and-is-compacted", _growing(Story(), [8_000, 16_000, 30_000, 6_000, 9_000, 14_000, 20_000]).end()
    )
    yield _case("grows-and-stays-small", _growing(Story(), [500, 1_000, 2_000, 4_000, 8_000, 16_000]).end())
    yield _case("up-and-down", _growing(Story(), [40_000, 4_000] * 8).end())
    several = Story()
    for step in range(5):
        several.chat(1_500 * 2**step, agent="a").chat(40_000, agent="b")
    yield _case("each-agent-for-itself", several.end())
    yield _case(
        "research-that-reads",
        _growing(Story(agent="researcher"), [5_000, 14_000, 26_000, 40_000, 55_000, 70_000]).end(),
        why="reads one source after another because that is what it was asked to do",
    )


def _growing(story: Story, inputs: Iterable[int]) -> Story:
    for tokens in inputs:
        story.chat(tokens)
    return story


def _tokens() -> Iterator[Case]:
    yield _case("a-million-in-long-answers", Story().chat(2_000, 12_000, times=80).end(), TOKENS)
    yield _case("forty-large-prompts", Story().chat(30_000, 500, times=40).end(), TOKENS)
    yield _case("ten-windows-full", Story().chat(126_000, 900, times=10).end(), TOKENS)
    yield _case(
        "a-night-of-small-calls",
        _many_traces(Story(conversation="night"), 30, 60_000),
        TOKENS,
        why="each trace is small; only the conversation as a whole runs away",
    )
    yield _case("a-long-report", Story().chat(8_000, 6_000, times=40).end())
    yield _case("two-large-documents", Story().chat(180_000, 2_000, times=4).end())
    yield _case("nearly-a-million", Story().chat(9_000, 900, times=98).end())
    yield _case(
        "a-book-translated",
        Story(agent="translator").chat(9_000, 9_000, times=90).end(),
        why="as much as the work needs: a book",
    )


def _many_traces(story: Story, traces: int, tokens: int) -> Story:
    for _ in range(traces):
        story.chat(tokens // 2, tokens // 2).end().next_trace()
    return story


def _failures() -> Iterator[Case]:
    yield _case("down-for-good", Story().tool("get_weather", '{"city":"Lisbon"}', failed=True, times=5).end(), FAILURES)
    several = Story()
    for number in range(6):
        several.chat(reason="tool_calls").tool(f"tool-{number}", f'{{"n":{number}}}', failed=True)
    yield _case("one-tool-after-another", several.end(), FAILURES)
    half = Story()
    for number in range(8):
        half.tool("search", f'{{"q":{number}}}').tool("fetch", f'{{"n":{number}}}', failed=True)
    yield _case("every-other-call", half.end(), FAILURES)
    yield _case("over-mcp", _numbered_failures(Story(), 7, mcp=True).end(), FAILURES)
    mixed = Story().tool("search", '{"q":"a"}', times=2)
    yield _case("at-the-end", _numbered_failures(mixed, 6).end(), FAILURES)
    yield _case(
        "gives-up-after-four",
        _numbered_failures(Story(), 4).end(),
        FAILURES,
    )
    yield _case(
        "gives-up-after-three",
        _numbered_failures(Story(), 3).end(),
        FAILURES,
        why="the whole task has failed, but after three calls",
    )
    absent = Story()
    for number in range(4):
        absent.tool("find_order", f'{{"number":{number}}}', failed=True)
    yield _case(
        "not-there-at-all",
        absent.chat().end(),
        why="a tool that says no by an error, asked four times, and the answer is that there is none",
    )
    yield _case("three-retries", _retried(Story(), 3).end())
    yield _case("four-retries", _retried(Story(), 4).end())
    often = Story()
    for number in range(6):
        often.tool("fetch", f'{{"n":{number},"try":1}}', failed=True).tool("fetch", f'{{"n":{number},"try":2}}')
        often.tool("parse", f'{{"n":{number}}}').tool("store", f'{{"n":{number}}}')
    yield _case("each-second-try", often.end())
    yield _case("one-in-ten", _one_in_ten(Story()).end())
    yield _case(
        "failures-of-others", Story().plain("GET /health", times=20, failed=True).tool("search", '{"q":"a"}').end()
    )
    probes = Story()
    for number in range(5):
        probes.tool("exists", f'{{"path":"/etc/{number}.conf"}}', failed=True)
    yield _case(
        "looks-for-a-file",
        probes.tool("read", '{"path":"/etc/9.conf"}').end(),
        why="a tool that says no by an error, asked until it says yes",
    )


def _numbered_failures(story: Story, times: int, *, mcp: bool = False) -> Story:
    for number in range(times):
        story.tool("query", f'{{"n":{number}}}', failed=True, mcp=mcp)
    return story


def _one_in_ten(story: Story) -> Story:
    for number in range(40):
        story.tool("fetch", f'{{"n":{number}}}', failed=number % 10 == 3)
    return story


def _handoffs() -> Iterator[Case]:
    back_and_forth = Story(agent="a")
    for _ in range(4):
        back_and_forth.hand_over("sales", "support").hand_over("support", "sales")
    yield _case("back-and-forth", back_and_forth.end(), PING_PONG)
    graph = Story(agent="")
    for _ in range(4):
        graph.tool("transfer_to_coder", agent="tester").chat(agent="coder").tool("transfer_to_tester", agent="coder")
    yield _case("back-and-forth-by-tools", graph.end(), PING_PONG)
    talk = Story(conversation="talk-ping-pong")
    for _ in range(4):
        talk.hand_over("sales", "support").end().next_trace().hand_over("support", "sales").end().next_trace()
    yield _case("back-and-forth-from-turn-to-turn", talk, PING_PONG)
    three = Story(agent="a")
    for _ in range(6):
        three.hand_over("a", "b").hand_over("b", "c").hand_over("c", "a")
    yield _case("round-in-a-ring", three.end(), PING_PONG)
    four = Story(agent="a")
    for _ in range(6):
        four.hand_over("a", "b").hand_over("b", "c").hand_over("c", "d").hand_over("d", "a")
    yield _case("round-in-a-ring-of-four", four.end(), PING_PONG, why="rings of more than three are not followed")
    drafts = Story(agent="writer")
    for _ in range(2):
        drafts.hand_over("writer", "critic").hand_over("critic", "editor").hand_over("editor", "writer")
    yield _case("two-rounds-of-drafts", drafts.end())
    yield _case("outside-what-is-declared", Story(agent="triage").hand_over("triage", "legal").end(), UNDECLARED)
    yield _case(
        "two-outside", Story(agent="triage").hand_over("triage", "legal").hand_over("triage", "hr").end(), UNDECLARED
    )
    told = Story(agent="front-desk").invoke("front-desk", handoffs=["weather"])
    yield _case("outside-what-it-says-itself", told.hand_over("front-desk", "billing").end(), UNDECLARED)
    early = Story(agent="reception").hand_over("reception", "billing").invoke("reception", handoffs=["weather"])
    yield _case("before-it-has-said", early.end(), UNDECLARED)
    yield _case("within-what-is-declared", Story(agent="triage").hand_over("triage", "billing").end())
    allowed = Story(agent="lobby").invoke("lobby", handoffs=["weather", "billing"])
    yield _case("within-what-it-says-itself", allowed.hand_over("lobby", "billing").end())
    yield _case("nothing-declared", Story().hand_over("planner", "writer").end())
    yield _case("there-and-back", Story().hand_over("sales", "support").hand_over("support", "sales").end())
    supervisor = Story(agent="supervisor")
    for worker in ("math", "search", "math", "writer", "search"):
        supervisor.tool(f"transfer_to_{worker}", agent="supervisor").tool("transfer_back_to_supervisor", agent=worker)
    yield _case("supervisor-and-workers", supervisor.end())
    twice = Story(agent="supervisor")
    for _ in range(2):
        twice.tool("transfer_to_math", agent="supervisor").tool("transfer_back_to_supervisor", agent="math")
    yield _case("the-same-worker-twice", twice.end())
    often = Story(agent="supervisor")
    for _ in range(4):
        often.tool("transfer_to_math", agent="supervisor").tool("transfer_back_to_supervisor", agent="math")
    yield _case("the-same-worker-four-times", often.end())
    seven = Story(agent="supervisor")
    for _ in range(7):
        seven.tool("transfer_to_math", agent="supervisor").tool("transfer_back_to_supervisor", agent="math")
    yield _case(
        "the-same-worker-seven-times", seven.end(), why="a supervisor that gives one worker seven tasks, one by one"
    )


def _fan_outs() -> Iterator[Case]:
    yield _case(
        "147-calls-from-one-message", _numbered(Story().chat(times=47), "search", '{"q":#}', range(100)).end(), FAN_OUT
    )
    yield _case("a-hundred-and-fifty-chats", Story().chat(300, 20, times=150).end(), FAN_OUT)
    yield _case("tools-alone", _numbered(Story(), "fetch", '{"url":"https://a.example/#"}', range(180)).end(), FAN_OUT)
    agents = Story()
    for number in range(40):
        agents.chat(300, 20, agent=f"worker-{number}", times=3).invoke(f"worker-{number}", f"part {number}")
    yield _case("agents-that-call-agents", agents.end(), FAN_OUT)
    yield _case(
        "ninety-calls",
        _numbered(Story(agent="greeter").chat(times=30), "search", '{"q":#}', range(60)).end(),
        FAN_OUT,
        why="ninety calls for a greeting: too many for this agent, not for others",
    )
    reduced = Story()
    for number in range(20):
        reduced.chat(2_000, 300, agent=f"worker-{number}", times=2).tool(
            "fetch", f'{{"part":{number}}}', agent=f"worker-{number}"
        ).invoke(f"worker-{number}", f"part {number}")
    yield _case("map-and-reduce", reduced.end())
    batch = Story(agent="batch")
    batch.chat(400, 5, times=120)
    yield _case("a-batch-in-one-trace", batch.end(), why="a nightly batch that has one trace for all its rows")
    mcp = Story()
    for number in range(60):
        mcp.tool("fetch", f'{{"n":{number}}}', mcp=True).tool("fetch", f'{{"n":{number}}}')
    yield _case("sixty-calls-told-twice", mcp.end())
    yield _case("many-plain-spans", Story().plain("GET /orders", times=300).chat(times=3).end())


def _models() -> Iterator[Case]:
    def answered(asked: str, *answers: str, provider: str = "openai") -> Story:
        story = Story(model=asked, provider=provider)
        for answer in answers:
            story.chat(answered=answer)
        return story.end()

    yield _case("a-smaller-one-answers", answered("gpt-4o", "gpt-4o-mini-2024-07-18"), MODEL)
    yield _case("an-older-one-answers", answered("gpt-4o", "gpt-3.5-turbo-0125"), MODEL)
    yield _case("moves-to-a-newer-version", answered("gpt-4o", "gpt-4o-2024-05-13", "gpt-4o-2024-08-06"), MODEL)
    yield _case("falls-back-half-way", answered("claude-sonnet-4", *["claude-sonnet-4-20250514"] * 3, "gpt-4.1"), MODEL)
    yield _case("another-point-version", answered("gpt-4", "gpt-4.1-2025-04-14"), MODEL)
    yield _case(
        "deployment-that-moves",
        answered("prod-chat", "gpt-4o-2024-05-13", "gpt-4o-2024-11-20", provider="azure.ai.openai"),
        MODEL,
    )
    yield _case(
        "another-behind-a-deployment",
        answered("gpt-4o", "gpt-4o-mini-2024-07-18", provider="azure.ai.openai"),
        MODEL,
    )
    yield _case(
        "another-behind-a-name-of-ours",
        answered("chat", "gpt-4o-mini-2024-07-18", provider="azure.ai.openai"),
        MODEL,
        why="the large model was meant by this name, which nobody but its owner can tell",
    )
    yield _case("deployment-without-dots", answered("gpt-35-turbo", "gpt-3.5-turbo-0125", provider="azure.ai.openai"))
    yield _case("deployment-of-a-team", answered("gpt-4o-search", "gpt-4o-2024-08-06", provider="azure.ai.openai"))
    yield _case("gateway-that-moves", answered("fast", "gpt-4o-mini", "gpt-4.1-nano"), MODEL)
    yield _case(
        "name-of-a-gateway-with-a-number",
        answered("chat-v2", "gpt-4o-mini-2024-07-18"),
        why="a gateway's own name for a model, which looks like a maker's; told once, when it is first seen",
    )
    yield _case("dated", answered("gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"))
    yield _case("dated-and-bare", answered("gpt-4o", "gpt-4o-2024-08-06", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o"))
    yield _case("latest", answered("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", provider="anthropic"))
    yield _case("revision", answered("gemini-1.5-pro", "gemini-1.5-pro-002", provider="gcp.gemini"))
    yield _case("at-a-gateway", answered("openai/gpt-4o", "gpt-4o-2024-08-06"))
    yield _case(
        "at-bedrock",
        answered("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022", provider="aws.bedrock"),
    )
    yield _case("deployment", answered("prod-chat", *["gpt-4o-2024-05-13"] * 3, provider="azure.ai.openai"))
    yield _case(
        "two-models-by-turns", answered("gpt-4o", "gpt-4o").chat(model="o3-mini", answered="o3-mini-2025-01-31").end()
    )
    yield _case("name-of-a-gateway", answered("fast", "gpt-4o-mini-2024-07-18"))


def _cut_offs() -> Iterator[Case]:
    yield _case("cut-off", Story().chat(1_000, 4_096, reason="length").end(), CUT_OFF)
    yield _case(
        "cut-off-at-anthropic", Story(provider="anthropic").chat(1_000, 1_024, reason="max_tokens").end(), CUT_OFF
    )
    yield _case("cut-off-at-google", Story(provider="gcp.gemini").chat(900, 8_192, reason="MAX_TOKENS").end(), CUT_OFF)
    yield _case("one-of-ten", Story().chat(times=9).chat(1_000, 2_048, reason="length").end(), CUT_OFF)
    yield _case("all-of-them", Story().chat(1_000, 512, reason="length", times=20).end(), CUT_OFF)
    yield _case(
        "short-limit-by-mistake",
        Story().chat(1_000, 20, reason="length").end(),
        CUT_OFF,
        why="a limit of twenty tokens where a sentence was wanted",
    )
    yield _case("one-word", Story(agent="classifier").chat(400, 1, reason="length", times=10).end())
    yield _case("stops-by-itself", Story().chat(1_000, 4_000, reason="stop").end())
    yield _case("calls-a-tool", Story().chat(reason="tool_calls").tool("search", '{"q":"a"}').chat().end())
    yield _case("filtered", Story().chat(1_000, 60, reason="content_filter").end())
    yield _case(
        "summary-to-a-length",
        Story(agent="teaser").chat(3_000, 64, reason="length").end(),
        why="a teaser that is meant to break off after 64 tokens",
    )


def _clean() -> Iterator[Case]:
    yield _case("question-and-answer", Story().chat().end())
    yield _case("question-tool-answer", Story().chat().tool("get_weather", '{"city":"Lisbon"}').chat().end())
    talk = Story(conversation="talk-clean")
    for turn in range(12):
        talk.chat(1_000 + 300 * turn).tool("search", f'{{"q":{turn}}}').chat(1_200 + 300 * turn).end().next_trace()
    yield _case("a-talk-of-twelve-turns", talk)
    coder = Story(agent="coder")
    for number in range(18):
        coder.chat(9_000 + 700 * number, 400, reason="tool_calls").tool("read", f'{{"path":"src/{number}.py"}}')
    yield _case("a-coder-that-reads", coder.tool("run_tests", '{"all":true}', times=3).chat(22_000).end())
    streaming = Story(answered="gpt-4o")
    yield _case("streaming-without-usage", streaming.chat(0, 0, times=5).end())
    crew = Story(agent="crew")
    for name in ("researcher", "writer", "editor"):
        crew.chat(agent=name, times=4).tool("search", f'{{"for":"{name}"}}', agent=name).invoke(
            name, f"task for {name}"
        )
    yield _case("a-crew", crew.end())
    yield _case("nothing-of-agents", Story(agent="").plain("GET /", times=40))
