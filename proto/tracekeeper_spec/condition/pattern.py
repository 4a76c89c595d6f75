"""Regular expressions as tables: one look-up for each byte of a text, whatever the pattern and the text are.

The syntax is RE2's, less what few need (see `regex`); as in RE2 there is nothing that backtracks. A pattern becomes a
deterministic automaton by subset construction (Aho, Sethi, Ullman, "Compilers", 3.6), over classes of bytes that no
part of the pattern tells apart. One that would get too large is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tracekeeper_spec.condition import regex
from tracekeeper_spec.condition.regex import PatternError, PatternTooLarge

__all__ = ["MAX_STATES", "Pattern", "PatternError", "PatternTooLarge", "compile_pattern"]

MAX_STATES = 512


@dataclass(frozen=True, slots=True)
class Pattern:
    """State 0 is the first one. From state s, byte b leads to table[s * classes + byte_class[b]]."""

    text: str
    classes: int
    byte_class: bytes
    """256 of them."""
    table: tuple[int, ...]
    final: bytes
    """For each state: 2 if the pattern was found, 1 if it is found when the text ends here, else 0."""

    def found(self, data: bytes) -> bool:
        """Whether the pattern is found in the UTF-8 text `data`. The evaluator does the same, compiled."""
        state = 0
        for byte in data:
            if self.final[state] == 2:
                return True
            state = self.table[state * self.classes + self.byte_class[byte]]
        return self.final[state] != 0


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Pattern:
    """The automaton that finds `text` anywhere in a text; raises PatternError."""
    machine = regex.machine(text)
    byte_class, classes = _classes(machine)
    begin = machine.closure([machine.start], at_begin=True)
    again = machine.closure([machine.start], at_begin=False)
    # Where no byte has been read yet, `^` may still come, behind a `$` for one.
    numbers = {(begin, True): 0}
    waiting = [(begin, True)]
    table: list[int] = []
    final = bytearray()
    samples = [byte_class.index(number) for number in range(classes)]
    while waiting:
        states, at_begin = waiting.pop(0)
        done = machine.accept in states
        final.append(2 if done else int(machine.accept in machine.closure(states, at_begin, at_end=True)))
        for byte in samples:
            target = (states if done else machine.step(states, byte) | again, False)
            if target not in numbers:
                numbers[target] = len(numbers)
                waiting.append(target)
                if len(numbers) > MAX_STATES:
                    raise PatternTooLarge
            table.append(numbers[target])
    return Pattern(text, classes, byte_class, tuple(table), bytes(final))


def _classes(machine: regex.Machine) -> tuple[bytes, int]:
    """The class of each byte, and how many classes there are: bytes between the same bounds behave alike."""
    bounds = {0} | {low for low, _ in machine.ranges()} | {high + 1 for _, high in machine.ranges()}
    classes = bytearray()
    number = -1
    for byte in range(256):
        number += byte in bounds
        classes.append(number)
    return bytes(classes), number + 1
