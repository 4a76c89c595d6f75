"""The chunked transfer coding, RFC 9112 section 7.1: read strictly, bounded, in whatever pieces it comes.

Our own, because a pipelined request may follow in the same bytes and llhttp's binding does not say where one ends.
Tests hold it against llhttp.
"""

from __future__ import annotations

import re
from typing import Final

MAX_LINE: Final = 256
"""Bytes of a chunk's size with its extensions, which are ignored."""
MAX_TRAILER: Final = 8 * 1024
"""Bytes of all trailer fields, which are ignored."""
MAX_SIZE_DIGITS: Final = 8
"""Hexadecimal digits of a chunk's size."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SIZE: Final = re.compile(
    rb"([0-9a-fA-F]{1,%d})(?:;%b(?:=(?:%b|\"[\t !#-\[\]-~\x80-\xff]*\"))?)*\r\n" % (MAX_SIZE_DIGITS, _TOKEN, _TOKEN)
)
_FIELD: Final = re.compile(rb"%b:[\t -~\x80-\xff]*\r\n" % _TOKEN)


class Chunks:
    """One body. Feed until `done`, or until there is a `problem`."""

    __slots__ = ("_ending", "_left", "_line", "_trailing", "done", "problem")

    def __init__(self) -> None:
        self.done = False
        self.problem = ""
        """Why this is no chunked body; empty while it is one."""
        self._left = 0
        """Bytes of the present chunk that are still to come."""
        self._ending = False
        """A chunk is complete but for its CR LF."""
        self._line = b""
        """The beginning of a line whose end has not come yet."""
        self._trailing = -1
        """Bytes of trailer fields so far; -1 before the last chunk."""

    def feed(self, data: bytes, at: int) -> tuple[list[bytes], int]:
        """Read from `data[at:]`; the pieces of the body that it holds, and where the reading stopped."""
        pieces = []
        size = len(data)
        while at < size and not self.done and not self.problem:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._ending = not self._left
            else:
                at = self._read_line(data, at)
        return pieces, at

    def _read_line(self, data: bytes, at: int) -> int:
        """Go on with the line that begins or continues at `at`; returns where the next thing begins."""
        end = data.find(b"\n", at, at + MAX_TRAILER)
        if end < 0:
            self._line += data[at : at + MAX_TRAILER + 1]
            self._check_unfinished()
            return len(data)
        line, self._line = self._line + data[at : end + 1], b""
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            self.problem = "a line between chunks does not end with CR LF"
        elif self._ending:
            self._ending = False
            if line != b"\r\n":
                self.problem = "a chunk is longer than its size says"
        elif self._trailing < 0:
            self._begin(line)
        else:
            self._trail(line)
        return end + 1

    def _check_unfinished(self) -> None:
        if self._ending:
            if not b"\r\n".startswith(self._line):
                self.problem = "a chunk is longer than its size says"
        elif len(self._line) > (MAX_LINE if self._trailing < 0 else MAX_TRAILER):
            self.problem = "a line between chunks is too long"
        elif b"\r" in self._line[:-1]:
            self.problem = "a line between chunks does not end with CR LF"

    def _begin(self, line: bytes) -> None:
        """A chunk's size, and extensions after a semicolon."""
        if len(line) > MAX_LINE:
            self.problem = "a line between chunks is too long"
        elif (size := _SIZE.fullmatch(line)) is None:
            self.problem = "a chunk's size is not a plain hexadecimal number"
        else:
            self._left = int(size[1], 16)
            if not self._left:
                self._trailing = 0

    def _trail(self, line: bytes) -> None:
        if line == b"\r\n":
            self.done = True
            return
        self._trailing += len(line)
        if self._trailing > MAX_TRAILER:
            self.problem = "the trailer is too long"
        elif not _FIELD.fullmatch(line):
            self.problem = "a line of the trailer is no field"
