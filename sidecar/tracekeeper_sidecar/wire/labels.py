# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Values of one label as small numbers; compiled with the types in labels.pxd.

Values are hashed where they lie, and only one that was not seen yet is decoded. There are at most 100; others, and
those that are not UTF-8, have the number of `other`. Values are cut after 128 bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.rows import Index

MOST = 100
TEXT = "other"
_LONGEST = 128
_NOTHING = 0
_OTHER = 1
_FIRST = 2

_ALL_64 = 0xFFFFFFFFFFFFFFFF
_BASIS = 0xCBF29CE484222325
_PRIME = 0x9FB21C651E98DF25


def hashed(data: bytes, pos: int, end: int, seed: int) -> int:
    """64 bits for the bytes at [pos, end), the same in every version: what is kept is compared by them.

    Whoever knows the seed, or has luck as often as not, finds texts that have the same.
    """
    mixed = ((_BASIS ^ seed) + end - pos) & _ALL_64
    rest = 0
    if end - pos > 8:
        rest = native.word(data, end - 8)
        while end - pos > 8:
            mixed = ((mixed ^ native.word(data, pos)) * _PRIME) & _ALL_64
            mixed ^= mixed >> 32
            pos += 8
    else:
        while pos < end:
            rest = rest << 8 | data[pos]
            pos += 1
    mixed = ((mixed ^ rest) * _PRIME) & _ALL_64
    return mixed ^ mixed >> 29


def marked(data: bytes, pos: int, end: int, seed: int) -> int:
    """64 bits for the bytes at [pos, end), by which alone they are known: who does not know the seed makes no text that
    has another's. They are for this process, and not to be kept.

    What words are multiplied by is not known either. With a factor that is, there would be words whose products differ
    in the same bits for many seeds, and a next word that takes these back.
    """
    key = native.fold(_BASIS ^ seed ^ (end - pos) << 32, _PRIME) | 1
    mixed = seed
    if end - pos > 8:
        last = end - 8
        while pos < last:
            mixed = native.fold(mixed ^ native.fixed(data, pos), key)
            pos += 8
        return native.fold(mixed ^ native.fixed(data, last), key)
    rest = 0
    while pos < end:
        rest = rest << 8 | data[pos]
        pos += 1
    return native.fold(mixed ^ rest, key)


class Labels:
    """The values that one label has had. For one thread at a time."""

    def __init__(self) -> None:
        self.texts: list[str | None] = ["", TEXT]
        """By their numbers; None where one is free."""
        self._seed = secrets.randbits(64)
        self._index = Index(MOST + 2)
        self._last = self._last_number = 0
        self._put(TEXT.encode(), _OTHER)

    def _number(self, data: bytes, pos: int, end: int) -> int:
        """The number of the text at [pos, end)."""
        if end - pos > _LONGEST:
            end = pos + _LONGEST
            while end > pos + _LONGEST - 4 and data[end] & 0xC0 == 0x80:  # Not in the middle of a character.
                end -= 1
        if pos == end:
            return _NOTHING
        mixed = marked(data, pos, end, self._seed)
        if mixed == self._last:
            return self._last_number
        number = self._index.get(mixed)
        if number < 0:
            number = self._new(data, pos, end)
        self._last = mixed
        self._last_number = number
        return number

    def _new(self, data: bytes, pos: int, end: int) -> int:
        at = pos
        while at < end and data[at] != 0:
            at += 1
        if at == end and self._index.count >= MOST + 1:
            return _OTHER
        try:
            text = bytes(data[pos:end]).decode()
        except UnicodeDecodeError:
            return _OTHER  # Whatever stood for it might be another's text as well.
        if at < end:
            # Pages of metrics cannot show it. Two values that look the same there must be one.
            shown = text.replace("\0", "\ufffd").encode()
            return self._number(shown, 0, len(shown))
        return self._add(text)

    def _add(self, text: str) -> int:
        number = next((number for number, known in enumerate(self.texts) if known is None), len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        else:
            self.texts[number] = text
        self._put(text.encode(errors="replace"), number)
        return number

    def _put(self, text: bytes, number: int) -> None:
        self._index.put(marked(text, 0, len(text), self._seed), number)

    # What is kept of it; nothing of this is hot.

    def __len__(self) -> int:
        """Values of their own."""
        return int(self._index.count) - 1

    def number(self, text: str) -> int:
        """As of a text in a span."""
        data = text.encode()
        return int(self._number(data, 0, len(data)))

    def restore(self, texts: Sequence[str | None]) -> None:
        """Begin with what an earlier process had. Raises ValueError for what cannot be that."""
        if len(texts) > MOST + _FIRST or list(texts[:_FIRST]) != ["", TEXT]:
            raise ValueError(f"{len(texts)} values of a label that begin with {list(texts[:_FIRST])!r}")
        self.texts = list(texts)
        self._again()

    def keep(self, used: set[int]) -> None:
        """Forget the values that are not used any more, by their numbers; others may have those then."""
        for number in range(_FIRST, len(self.texts)):
            if number not in used:
                self.texts[number] = None
        self._again()

    def _again(self) -> None:
        self._index.clear()
        self._last = self._last_number = 0
        for number, text in enumerate(self.texts):
            if number and text is not None:
                self._put(text.encode(errors="replace"), number)
