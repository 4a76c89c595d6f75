"""Answers as bytes."""

from __future__ import annotations

from tracekeeper_sidecar.http.answer import Answer, Writer, http_date

TEAPOT = Answer(418, "text/plain", b"short", (("Retry-After", "1"),))


def test_bytes_of_an_answer() -> None:
    writer = Writer(lambda: 784111777.9)
    assert writer.encode(Answer(200, "text/plain", b"hi"), close=False, old=False, bodiless=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nServer: tracekeeper\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhi"
    )
    last = writer.encode(TEAPOT, close=True, old=True, bodiless=True)
    assert last.startswith(b"HTTP/1.1 418 \r\n")
    assert last.endswith(b"\r\nConnection: close\r\n\r\n")
    assert b"\r\nRetry-After: 1\r\n" in last and b"\r\nContent-Length: 5\r\n" in last
    assert b"\r\nConnection: keep-alive\r\n" in writer.encode(TEAPOT, close=False, old=True, bodiless=False)


def test_heads_that_are_kept_are_those_of_the_same_answer() -> None:
    writer = Writer(lambda: 0.0)
    for number in range(100):
        answer = Answer(200, "text/plain", b"", (("N", str(number)),))
        assert b"N: %d\r\n" % number in writer.encode(answer, close=False, old=False, bodiless=False)


def test_the_date_moves_on() -> None:
    now = [0.0]
    writer = Writer(lambda: now[0])
    assert http_date(0) in writer.encode(TEAPOT, close=False, old=False, bodiless=False)
    now[0] = 1e9
    assert b"Sun, 09 Sep 2001 01:46:40 GMT" in writer.encode(TEAPOT, close=False, old=False, bodiless=False)
