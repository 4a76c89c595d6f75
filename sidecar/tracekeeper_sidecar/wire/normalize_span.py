# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Takes one span apart for what works on it in Python: where its attributes and events are; compiled with the types in
normalize_span.pxd."""

from __future__ import annotations

from tracekeeper_sidecar.wire.walker import Walker


class Parts(Walker):
    """What a span has. For one thread at a time."""

    def __init__(self) -> None:
        Walker.__init__(self)
        self.events: list[tuple[int, int]] = []
        """After `attributes`: where the contents of the span's events begin and end, in their order."""

    def attributes(self, body: bytes, begin: int, end: int, field: int = 9) -> dict[str, tuple[int, int, int, int]]:
        """By key: where the attribute begins, tag and all, and ends, and where its AnyValue begins and ends. `field` is
        the number that attributes have in the message at [begin, end): 9 in a span, 3 in an event, 1 in a resource. Of
        two of one key the first counts."""
        found: dict[str, tuple[int, int, int, int]] = {}
        self.events = []
        pos = begin
        while pos < end:
            stop = self.next(body, pos, end)
            if stop < 0:
                break
            if self.wire == 2:
                if self.number == field:
                    self._attribute(body, pos, self.value, stop, found)
                elif self.number == 11 and field == 9:
                    self.events.append((self.value, stop))
            pos = stop
        return found

    def text(self, body: bytes, begin: int, end: int, field: int) -> str:
        """The text in that field of the message at [begin, end); of two the last counts, and "" stands for none."""
        found = ""
        pos = begin
        while pos < end:
            stop = self.next(body, pos, end)
            if stop < 0:
                break
            if self.number == field and self.wire == 2:
                found = bytes(body[self.value : stop]).decode(errors="replace")
            pos = stop
        return found

    def _attribute(self, data: bytes, at: int, pos: int, end: int, found: dict[str, tuple[int, int, int, int]]) -> None:
        if self._key_value(data, pos, end) < 0 or self._pair_value == 0:
            return
        name = bytes(data[self._pair_key : self._pair_key_end]).decode(errors="replace")
        if name not in found:
            found[name] = (at, end, self._pair_value, self._pair_value_end)
