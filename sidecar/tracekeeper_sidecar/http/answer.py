# cython: annotation_typing=False
"""An HTTP response before it goes to a connection, and the bytes it becomes there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_PHRASES: Final = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
"""RFC 9110 section 15: of the codes that we answer with. The library's own table takes milliseconds to import."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_KEPT: Final = 16
"""Answers whose head is kept."""
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and its type; `headers` come besides."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def head(self) -> bytes:
        """Status line and fields without those that depend on the moment and the connection."""
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join((*lines, "Server: tracekeeper", "Date: ")).encode("latin-1", "replace")


class Writer:
    """Turns answers into bytes. Heads of answers that come again and again are kept."""

    __slots__ = ("_date", "_heads", "_now", "_second")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._second = -1
        self._date = b""
        self._heads: dict[int, tuple[Answer, bytes]] = {}

    def encode(self, answer: Answer, close: bool, old: bool, bodiless: bool) -> bytes:
        """`close` says that the connection ends here, `old` that the client spoke HTTP/1.0, `bodiless` is for HEAD."""
        second = int(self._now())
        if second != self._second:
            self._second, self._date = second, http_date(second)
        kept = self._heads.get(id(answer))
        if kept is None or kept[0] is not answer:
            if len(self._heads) >= _KEPT:
                self._heads.clear()
            kept = self._heads[id(answer)] = (answer, answer.head())
        end = (
            b"\r\nConnection: close\r\n\r\n" if close else b"\r\nConnection: keep-alive\r\n\r\n" if old else b"\r\n\r\n"
        )
        return b"".join((kept[1], self._date, end, b"" if bodiless else answer.body))


def http_date(second: int) -> bytes:
    """The date of a Unix time as RFC 9110 section 5.6.7 has it, in English whatever the locale."""
    t = time.gmtime(second)
    text = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
    return f"{text}{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT".encode()
