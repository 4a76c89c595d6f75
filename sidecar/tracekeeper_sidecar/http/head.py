# cython: annotation_typing=False
"""What a request's head says. llhttp judges its syntax; what could be read in two ways is refused here.

A request that two parties delimit differently is how requests are smuggled past one of them, so RFC 9112 sections 6.1
to 6.3 are taken strictly: one framing field, once, in one plain form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

MAX_LENGTH_DIGITS: Final = 18
"""Digits of a Content-Length; more would not fit in 63 bits, which other parties count in."""

_SILENT: Final = object()
"""llhttp calls nothing back: it judges, and the few fields that matter are looked up in what it found good."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A head that is refused, and why, for people."""

    status: int
    problem: str


class Head:
    """A request's head that is well formed and means one thing only."""

    __slots__ = ("_folded", "_raw", "chunked", "continues", "keep_alive", "length", "method", "minor", "target")

    def __init__(self, raw: bytes, folded: bytes) -> None:
        self._raw, self._folded = raw, folded
        self.method = ""
        self.target = b""
        self.minor = 1
        """HTTP/1.0 or HTTP/1.1."""
        self.length = 0
        """Bytes of the body; not known, and 0, where it is chunked."""
        self.chunked = False
        self.keep_alive = False
        self.continues = False
        """The client waits for `100 Continue` before it sends the body."""

    @property
    def path(self) -> str:
        """The target without scheme, host and query."""
        target = self.target
        if not target.startswith(b"/"):  # The absolute form, which every server must take: RFC 9112 section 3.2.2.
            _, separator, rest = target.partition(b"://")
            slash = rest.find(b"/") if separator else -1
            target = rest[slash:] if slash >= 0 else b"/" if separator else target
        return target.partition(b"?")[0].decode("latin-1")

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition(b"?")[2].decode("latin-1")

    def field(self, name: bytes) -> str:
        """The value of the field `name` (lower case) where it comes first; empty where it is missing."""
        key = b"\r\n" + name + b":"
        at = self._folded.find(key)
        if at < 0:
            return ""
        end = self._folded.find(b"\r\n", at + 2)
        return self._raw[at + len(key) : end].strip(b" \t").decode("latin-1")

    def fields(self) -> Iterator[tuple[str, str]]:
        """All fields as they come, with their names in lower case."""
        for line in self._raw.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name:
                yield name.lower().decode("latin-1"), value.strip(b" \t").decode("latin-1")


def read(raw: bytes) -> Head | Bad:
    """Read a head, from the request line to the empty line and both included."""
    parser = HttpRequestParser(_SILENT)
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        pass  # Another protocol is offered; a server may go on with this one: RFC 9110 section 7.8.
    except HttpParserError as error:
        return Bad(400, f"this is not HTTP/1.1: {error}")
    if raw.count(b"\n") != raw.count(b"\r\n"):
        return Bad(400, "a line of the head does not end with CR LF")
    line, _, _ = raw.partition(b"\r\n")
    version = line[-9:]
    if version not in (b" HTTP/1.1", b" HTTP/1.0"):
        return Bad(505, "the version of HTTP is neither 1.1 nor 1.0")
    head = Head(raw, raw.lower())
    head.minor = line[-1] - 48
    head.method = parser.get_method().decode("latin-1")
    head.target = line[len(head.method) + 1 : -9]
    if b" " in head.target:
        return Bad(400, "the request line has more than two spaces")
    head.keep_alive = _persistent(head)
    return _framing(head) or _expectation(head) or head


def _persistent(head: Head) -> bool:
    """Whether the client wants the connection to stay: RFC 9112 section 9.3."""
    options = [one.strip() for one in head.field(b"connection").lower().split(",")]
    if "close" in options or _count(head, b"connection") > 1:
        return False
    return head.minor == 1 or "keep-alive" in options


def _framing(head: Head) -> Bad | None:
    """Settle how long the body is."""
    hosts = _count(head, b"host")
    if hosts > 1 or (not hosts and head.minor == 1):
        return Bad(400, "HTTP/1.1 needs exactly one Host field")
    lengths, codings = _count(head, b"content-length"), _count(head, b"transfer-encoding")
    if not lengths and not codings:
        return None
    if lengths + codings > 1:
        return Bad(400, "the body's length is given twice, by Content-Length or Transfer-Encoding")
    if lengths:
        text = head.field(b"content-length")
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
            return Bad(400, "Content-Length is not a plain number")
        head.length = int(text)
        return None
    if head.minor == 0:
        return Bad(400, "HTTP/1.0 has no Transfer-Encoding")
    if head.field(b"transfer-encoding").lower() != "chunked":
        return Bad(501, "no Transfer-Encoding but chunked is understood")
    head.chunked = True
    return None


def _expectation(head: Head) -> Bad | None:
    expected = head.field(b"expect").lower()
    if not expected or head.minor == 0:
        return None
    if expected != "100-continue":
        return Bad(417, "no expectation but 100-continue is met")
    head.continues = True
    return None


def _count(head: Head, name: bytes) -> int:
    return head._folded.count(b"\r\n" + name + b":")
