"""Makes up texts: conditions of alerts, and PromQL as Prometheus 2.42 reads it; most of them sound, some damaged."""

from __future__ import annotations

from random import Random

from tracekeeper_spec.alert.metric import BOUNDS, METRICS, Unit
from tracekeeper_spec.alert.raw_functions import AGGREGATIONS, FUNCTIONS, Type
from tracekeeper_spec.units import format_duration

LABELS = ("service", "agent", "workflow", "model", "provider", "tool")
TEXTS = ("planner", "a.b", 'q"uo', "back\\slash", "ünï", "{{ x }}", "`tick`", "", "new\nline", "a|b", "(", "\t")
NAMES = ("up", "http_requests_total", "a:b:c", "tracekeeper_cost_dollars_total", "x", "sum_of", "rate_x", "namespace")
RAW_LABELS = ("job", "namespace", "le", "agent", "__name__", "pod", "on", "by", "sum")
SIGNS = "()[]{}<>=!~+-*/%^,.:;@#\"'`|&$ \\\n0123456789abchmsx"


class Conditions:
    """Of alerts."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def text(self) -> str:
        made = self._test(3)
        return damaged(made, self._random) if self._random.random() < 0.3 else made

    def _test(self, depth: int) -> str:
        kind = self._random.random()
        if depth == 0 or kind < 0.45:
            return self._compare()
        if kind < 0.55:
            return f"!({self._test(depth - 1)})"
        if kind < 0.75:
            return f"{self._label()} && {self._compare()}"
        sign = self._random.choice(["&&", "||"])
        return f"({self._test(depth - 1)}) {sign} {self._test(depth - 1)}"

    def _compare(self) -> str:
        pick = self._random.choice
        if self._random.random() < 0.15:
            member = pick(["spent", "limit", "forecast", "remaining", "used", 'burn("1h")', "burn(6h)"])
            other = pick(["10", 'budget("daily").limit', "0.5", "budget_limit"])
            return f'budget("{pick(["daily", "weekly"])}").{member} {pick("<>")} {other}'
        metric = pick(list(METRICS.values()))
        left = metric.name
        number = {
            Unit.SHARE: pick(["0.05", "0.5", "0", "1", "1e-3", "5"]),
            Unit.DURATION: format_duration(pick(BOUNDS)) if self._random.random() < 0.7 else "11s",
        }.get(metric.unit, pick(["0", "1", "2.5", "100", "20000", "1e6"]))
        if metric.name == "slow_rate":
            left = f"slow_rate({format_duration(pick(BOUNDS))})"
        if self._random.random() < 0.15:
            left, number = f"rise({left}, {pick(['1h', '24h', '90s'])})", pick(["1.2", "2"])
        sign = pick(["<", "<=", ">", ">=", ">", ">", "==", "!="])
        return f"{number} {sign} {left}" if self._random.random() < 0.15 else f"{left} {sign} {number}"

    def _label(self) -> str:
        pick = self._random.choice
        label, text = pick(LABELS), quoted(pick(TEXTS))
        forms = [f"{label} == {text}", f"{label} != {text}", f"{label} in [{text}, {quoted(pick(TEXTS))}]"]
        forms += [f"{label}.{name}({text})" for name in ("startsWith", "endsWith", "contains")]
        patterns = ['r"^pl.n+(er)?$"', 'r"[a-z]{2,5}|\\d"', '"(?i)x"', '"é"']
        return pick([*forms, f"{label}.matches({pick(patterns)})"])


def quoted(text: str) -> str:
    """As a text of the condition language."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


class PromQL:
    """As somebody might write it."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def text(self) -> str:
        made = self._of(Type.VECTOR, 4)
        return damaged(made, self._random) if self._random.random() < 0.4 else made

    def _of(self, type: Type, depth: int) -> str:
        if self._random.random() < 0.03:
            type = self._random.choice(list(Type))  # Of the wrong kind, now and then.
        match type:
            case Type.STRING:
                return self._string()
            case Type.SCALAR:
                return self._scalar(depth)
            case Type.MATRIX:
                return self._matrix(depth)
        return self._vector(depth)

    def _vector(self, depth: int) -> str:
        pick, chance = self._random.choice, self._random.random()
        if depth <= 0 or chance < 0.25:
            offset = f" offset {pick(['', '-'])}{self._duration()}" if self._random.random() < 0.15 else ""
            return self._selector() + offset
        if chance < 0.45:
            return self._aggregation(depth)
        if chance < 0.65:
            name = pick([name for name, function in FUNCTIONS.items() if function.result is Type.VECTOR])
            return self._call(name, depth)
        if chance < 0.72:
            return f"({self._vector(depth - 1)})"
        if chance < 0.76:
            return f"-{self._vector(depth - 1)}"
        return self._binary(depth)

    def _binary(self, depth: int) -> str:
        pick, space = self._random.choice, self._random.choice([" ", "  ", "\n"])
        sign = pick(["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "and", "or", "UNLESS"])
        as_number = " bool" if sign in ("==", ">", "+") and self._random.random() < 0.2 else ""
        chance = self._random.random()
        if chance < 0.25 and sign.lower() not in ("and", "or", "unless"):
            return f"{self._vector(depth - 1)}{space}{sign}{as_number} {self._scalar(depth - 1)}"
        matching = ""
        if chance < 0.6:
            matching = f" {pick(['on', 'ignoring', 'ON'])} ({self._labels()})"
            if self._random.random() < 0.3:
                matching += f" {pick(['group_left', 'group_right'])}" + pick(["", " (job)", " (pod, le)", "()"])
        return f"{self._vector(depth - 1)}{space}{sign}{as_number}{matching} {self._vector(depth - 1)}"

    def _aggregation(self, depth: int) -> str:
        pick = self._random.choice
        name = pick(list(AGGREGATIONS))
        parameter = AGGREGATIONS[name]
        inner = self._of(Type.VECTOR, depth - 1)
        if parameter is not None:
            first = '"version"' if name == "count_values" else self._of(parameter, depth - 2)
            inner = f"{first}, {inner}"
        written = pick([name, name, name.upper()])
        by = f" {pick(['by', 'without', 'BY'])} ({self._labels()})" if self._random.random() < 0.6 else ""
        return f"{written}{by} ({inner})" if self._random.random() < 0.5 else f"{written}({inner}){by}"

    def _call(self, name: str, depth: int) -> str:
        function = FUNCTIONS[name]
        types = list(function.arguments)
        if function.optional and self._random.random() < 0.5:
            types = types[: -function.optional]
        if name == "label_replace":
            texts = ['"dst"', '"$1"', '"job"', self._random.choice(['"(.*)"', '"a|b"', '"["'])]
            return f"label_replace({self._of(Type.VECTOR, depth - 1)}, {', '.join(texts)})"
        if name == "label_join":
            texts = ['"dst"', '","', *['"job"'] * self._random.randint(0, 3)]
            return f"label_join({self._of(Type.VECTOR, depth - 1)}, {', '.join(texts)})"
        return f"{name}({', '.join(self._of(type, depth - 1) for type in types)})"

    def _scalar(self, depth: int) -> str:
        pick = self._random.choice
        if depth > 0 and self._random.random() < 0.3:
            return pick([f"scalar({self._vector(depth - 1)})", "time()", "pi()", f"({self._scalar(depth - 1)} * 2)"])
        return pick(
            ["0", "5", "0.25", "1e3", "1.5E-3", ".5", "5.", "0x1F", "Inf", "NaN", "-2", "+Inf", "3 > bool 2", "07"]
        )

    def _matrix(self, depth: int) -> str:
        if depth > 0 and self._random.random() < 0.25:
            step = self._random.choice(["", "1m", "30s"])
            return f"{self._of(Type.VECTOR, depth - 1)}[{self._duration()}:{step}]"
        return f"{self._selector()}[{self._duration()}]" + self._random.choice(["", "", " offset 1h"])

    def _selector(self) -> str:
        pick = self._random.choice
        count = self._random.randint(0, 3)
        inside = pick([",", ", "]).join(self._matcher() for _ in range(count)) + (
            "," if self._random.random() < 0.1 else ""
        )
        name = pick(NAMES) if self._random.random() < 0.85 else ""
        return f"{name}{{{inside}}}" if count or not name or self._random.random() < 0.2 else name

    def _matcher(self) -> str:
        pick = self._random.choice
        sign = pick(["=", "!=", "=~", "!~"])
        text = pick(['"a.*"', '"a|b"', '""', '"^x$"', '".+"', '"\\\\d+"', '"("']) if "~" in sign else self._string()
        return f"{pick(RAW_LABELS)}{pick(['', ' '])}{sign}{text}"

    def _string(self) -> str:
        return self._random.choice(
            ['"shop"', "'shop'", '"a\\"b"', "'it\"s'", '"é{}[]()"', '"\\\\"', '"\\x41"', '"#"', '""']
        )

    def _labels(self) -> str:
        return ", ".join(self._random.choices(RAW_LABELS[:-3], k=self._random.randint(0, 3)))

    def _duration(self) -> str:
        return self._random.choice(["5m", "1h30m", "1d", "90s", "250ms", "1w", "1d12h", "5", "0s"])


def damaged(text: str, random: Random) -> str:
    """`text` with a few characters taken out, put in or exchanged."""
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(text))
        text = text[:at] + random.choice(["", random.choice(SIGNS)]) + text[at + random.randint(0, 2) :]
    return text
