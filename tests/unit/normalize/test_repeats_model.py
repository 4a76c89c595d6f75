"""Which spans repeat others, against a slow model of the rule: random traces, any order, one request or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import normalize_world as world
from normalize_world import Told

KEY = "tracekeeper.usage.repeated"
OPERATIONS = {"llm": "chat", "embedding": "embeddings", "agent": "invoke_agent", "tool": "execute_tool"}
CALLS = ("llm", "embedding")
TOKENS = st.sampled_from([None, (100, 20), (100, 20), (5, 2), (105, 22), (200, 40)])


@dataclass(frozen=True)
class Node:
    """A span of the one trace."""

    number: int
    parent: int
    kind: str
    tokens: tuple[int, int] | None
    answer: str | None
    said: bool

    def told(self) -> Told:
        has: dict[str, Any] = {}
        if self.kind in OPERATIONS:
            has["gen_ai.operation.name"] = OPERATIONS[self.kind]
        if self.tokens:
            has["gen_ai.usage.input_tokens"], has["gen_ai.usage.output_tokens"] = self.tokens
        if self.answer:
            has["gen_ai.response.id"] = self.answer
        if self.said:
            has[KEY] = True
        # No two at the same time: those beside each other are another rule.
        begin = world.NOW + self.number * world.MINUTE
        return Told(has, span_id=self.number, parent=self.parent, begin=begin, end=begin + 1_000_000_000)


@dataclass
class Call:
    """What a call has used, as those above it come to know it."""

    kind: str
    tokens: tuple[int, int]
    answer: str | None
    counts: bool


@dataclass
class Model:
    """What the rule says of spans, request by request."""

    later: dict[int, list[Call]] = field(default_factory=dict)
    """Of spans that are still to come: what is below them."""
    came: set[int] = field(default_factory=set)

    def request(self, nodes: list[Node]) -> dict[int, bool]:
        """Whether each repeats others."""
        found: dict[int, bool] = {}
        known = {node.number: node for node in nodes}
        below = {number: list(self.later.get(number, ())) for number in known}

        def up(node: Node) -> list[Call]:
            """What the span and all below it tell its parent."""
            calls = below[node.number]
            for other in nodes:
                if other.parent == node.number:
                    calls.extend(up(other))
            found[node.number] = repeats(node, calls)
            rising = [adopted(node, call) for call in calls]
            if node.kind in CALLS and node.tokens and not node.said:
                rising.append(Call(node.kind, node.tokens, node.answer, not found[node.number]))
            return [] if node.kind == "tool" else rising

        for node in nodes:
            if node.parent not in known:
                rising = up(node)
                if node.parent and node.number not in self.came:
                    self.later.setdefault(node.parent, []).extend(rising)
        self.came |= known.keys()
        return found


def repeats(node: Node, below: list[Call]) -> bool:
    if node.said or (node.kind not in CALLS and not node.tokens):
        return False
    if node.kind not in CALLS:
        return bool(below)
    if any(same(node, call) for call in below):
        return True
    alike = [call for call in below if call.kind == node.kind]
    if not alike or (node.answer and any(call.answer for call in alike)):
        return False
    if not node.tokens:
        return True
    counting = [call for call in below if call.counts]
    sums = tuple(sum(call.tokens[side] for call in counting) for side in (0, 1))
    return len(alike) == len(below) and sums == node.tokens


def same(node: Node, call: Call) -> bool:
    if node.kind not in CALLS or node.kind != call.kind:
        return False
    if node.answer and call.answer:
        return node.answer == call.answer
    return node.tokens == call.tokens


def adopted(node: Node, call: Call) -> Call:
    """A call that is the one above it was answered what that one was, above that."""
    if call.answer is None and same(node, call):
        return Call(call.kind, call.tokens, node.answer, call.counts)
    return call


@st.composite
def traces(draw: st.DrawFn) -> list[Node]:
    """Spans whose parents have lower numbers; the first one's is elsewhere or nowhere."""
    nodes = []
    for number in range(1, draw(st.integers(1, 9)) + 1):
        kind = draw(st.sampled_from(["llm", "llm", "llm", "embedding", "agent", "tool", ""]))
        # No answer has tokens that another has not: then it would not be the same.
        answer = draw(st.sampled_from([None, None, "a", "b", f"own-{number}"])) if kind == "llm" else None
        nodes.append(
            Node(
                number,
                draw(st.integers(0, number - 1)) if number > 1 else draw(st.sampled_from([0, 77])),
                kind,
                draw(TOKENS),
                answer,
                draw(st.sampled_from([False] * 9 + [True])),
            )
        )
    return nodes


@settings(max_examples=300)
@given(traces(), st.randoms(use_true_random=False))
def test_one_request_in_any_order(nodes: list[Node], chance: Any) -> None:
    chance.shuffle(nodes)
    expected = Model().request(nodes)
    found = world.repeated(world.run(world.step(), *(node.told() for node in nodes)))

    assert found == [node.said or expected[node.number] for node in nodes]


@settings(max_examples=300)
@given(traces(), st.data())
def test_requests_with_children_before_their_parents_and_some_again(nodes: list[Node], data: st.DataObject) -> None:
    by, model = world.step(), Model()
    nodes.reverse()
    while nodes:
        size = data.draw(st.integers(1, len(nodes)))
        now, nodes = nodes[:size], nodes[size:]
        distinct = {(call.tokens, call.answer) for calls in model.later.values() for call in calls}
        expected = model.request(now)
        if len(distinct) > 4:
            return
        for _ in range(data.draw(st.integers(1, 2))):  # A client that is not sure sends it again.
            found = world.repeated(world.run(by, *(node.told() for node in now)))
            assert found == [node.said or expected[node.number] for node in now]


@settings(max_examples=300)
@given(traces(), st.data())
def test_any_order_over_requests_counts_each_use_once_at_least(nodes: list[Node], data: st.DataObject) -> None:
    """Whatever comes first: where there were tokens of calls, not all of them are taken for repetitions."""
    by = world.step()
    order = data.draw(st.permutations(nodes))
    marked = {}
    for node in order:
        (marked[node.number],) = world.repeated(world.run(by, node.told()))
    calls = [node for node in nodes if node.kind in CALLS and node.tokens and not node.said]
    for node in calls:
        if marked[node.number]:
            assert any(
                not marked[other.number] and (other.kind == node.kind) for other in calls if other.number > node.number
            )


@given(st.integers(1, 6), st.integers(0, 3), st.randoms(use_true_random=False), st.booleans())
def test_of_calls_that_are_each_above_all_others_one_counts(
    size: int, below: int, chance: Any, one_by_one: bool
) -> None:
    """Ids that were made up."""
    ring = [Node(number + 1, (number + 1) % size + 1, "llm", (100, 20), None, False) for number in range(size)] + [
        Node(size + 1 + number, number % size + 1, "embedding", (5, 2), None, False) for number in range(below)
    ]
    chance.shuffle(ring)
    by = world.step()
    parts = [[node] for node in ring] if one_by_one else [ring]
    found = []
    for part in parts:
        found += world.repeated(world.run(by, *(node.told() for node in part)))

    assert [node for node, is_repeated in zip(ring, found, strict=True) if node.kind == "llm" and not is_repeated]
