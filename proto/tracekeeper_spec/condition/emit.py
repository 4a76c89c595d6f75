"""From what a condition means to its program; see `code`."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekeeper_spec.condition import meaning
from tracekeeper_spec.condition.code import MAX_CELLS, MAX_INSTRUCTIONS, MAX_PATTERNS, STEP, Code, Constant, Op, Slot
from tracekeeper_spec.condition.pattern import Pattern

_COMPARE = {"==": Op.EQUAL, "!=": Op.UNEQUAL, "<": Op.LESS, "<=": Op.AT_MOST}
_TEXT = {"startsWith": Op.STARTS, "endsWith": Op.ENDS, "contains": Op.CONTAINS}


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell by its sort (0 constant, 1 slot, 2 temporary) and number; they are put in a row at the end."""

    sort: int
    number: int


@dataclass(slots=True)
class Emitter:
    """Collects a program, operation by operation."""

    constants: list[Constant] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    patterns: list[Pattern] = field(default_factory=list)
    temporaries: int = 0
    steps: list[list[_Cell | int]] = field(default_factory=list)

    def test(self, node: meaning.Test) -> None:
        """Instructions after which the flag says whether `node` holds."""
        match node:
            case meaning.Truth(value=value):
                self._step(Op.TRUTH, self._value(value))
            case meaning.Compare(sign=sign, left=left, right=right):
                self._step(_COMPARE[sign], self._value(left), self._value(right))
            case meaning.Among(value=value, items=items):
                cell = self._value(value)
                first = _Cell(0, len(self.constants))
                self.constants += [item.constant for item in items]
                self._step(Op.AMONG, cell, first, len(items))
            case meaning.Has(slot=slot):
                self._step(Op.HAS, self._slot(slot))
            case meaning.Within(value=value, array=array):
                self._step(Op.WITHIN, self._value(value), self._value(array))
            case meaning.TextTest(name=name, text=text, part=part):
                self._step(_TEXT[name], self._value(text), self._value(part))
            case meaning.Matches(text=text, pattern=pattern):
                self.patterns.append(pattern)
                self._step(Op.MATCHES, self._value(text), len(self.patterns) - 1)
            case meaning.Not(test=test):
                self.test(test)
                self._step(Op.NOT)
            case meaning.Logic():
                self._logic(node)

    @property
    def fits(self) -> bool:
        """Whether the evaluator has room for it."""
        cells = len(self.constants) + len(self.slots) + self.temporaries
        return cells <= MAX_CELLS and len(self.steps) <= MAX_INSTRUCTIONS and len(self.patterns) <= MAX_PATTERNS

    def code(self, text: str) -> Code:
        """The program, for the condition `text`."""
        begins = (0, len(self.constants), len(self.constants) + len(self.slots))
        flat = [part if isinstance(part, int) else begins[part.sort] + part.number for s in self.steps for part in s]
        parts = tuple(self.constants), tuple(self.slots), self.temporaries, tuple(flat), tuple(self.patterns)
        return Code(text, *parts)

    def _logic(self, node: meaning.Logic) -> None:
        self.test(node.left)
        jump: list[_Cell | int] = [Op.IF_FALSE if node.sign == "&&" else Op.IF_TRUE, 0, 0, 0]
        self.steps.append(jump)
        self.test(node.right)
        jump[1] = len(self.steps)

    def _step(self, op: Op, *operands: _Cell | int) -> None:
        self.steps.append([op, *operands, *[0] * (STEP - 1 - len(operands))])

    def _value(self, value: meaning.Value) -> _Cell:
        match value:
            case meaning.Fixed(constant=constant):
                return self._constant(constant)
            case meaning.Read(slot=slot):
                return self._slot(slot)
            case meaning.Sum(sign=sign, left=left, right=right):
                operands = self._value(left), self._value(right)
                return self._result(Op.SUM if sign == "+" else Op.DIFFERENCE, *operands)
            case meaning.Size(of=of):
                return self._result(Op.SIZE, self._value(of), 0)

    def _result(self, op: Op, x: _Cell | int, y: _Cell | int) -> _Cell:
        cell = _Cell(2, self.temporaries)
        self.temporaries += 1
        self._step(op, x, y, cell)
        return cell

    def _constant(self, constant: Constant) -> _Cell:
        for number, known in enumerate(self.constants):
            if known == constant and type(known.value) is type(constant.value):
                return _Cell(0, number)
        self.constants.append(constant)
        return _Cell(0, len(self.constants) - 1)

    def _slot(self, slot: Slot) -> _Cell:
        if slot not in self.slots:
            self.slots.append(slot)
        return _Cell(1, self.slots.index(slot))
