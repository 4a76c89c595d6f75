"""Heads: what is read out of one; what is refused is in tests/contract/smuggling.json."""

from __future__ import annotations

import pytest

from tracekeeper_sidecar.http.head import Bad, Head, read


def head(line: str, *fields: str) -> Head | Bad:
    return read("\r\n".join((line, "Host: x", *fields, "", "")).encode())


def good(line: str, *fields: str) -> Head:
    found = head(line, *fields)
    assert isinstance(found, Head), found
    return found


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/traces", "/v1/traces", ""),
        ("/flush?timeout=3&x=?", "/flush", "timeout=3&x=?"),
        ("http://127.0.0.1:4318/v1/traces?a", "/v1/traces", "a"),
        ("http://127.0.0.1", "/", ""),
        ("*", "*", ""),
    ],
)
def test_target(target: str, path: str, query: str) -> None:
    found = good(f"OPTIONS {target} HTTP/1.1")
    assert (found.method, found.path, found.query) == ("OPTIONS", path, query)


@pytest.mark.parametrize(
    ("line", "fields", "keep"),
    [
        ("GET / HTTP/1.1", (), True),
        ("GET / HTTP/1.1", ("Connection: close",), False),
        ("GET / HTTP/1.1", ("Connection: TE, Close",), False),
        ("GET / HTTP/1.0", (), False),
        ("GET / HTTP/1.0", ("Connection: keep-alive",), True),
        ("POST / HTTP/1.1", ("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3"), True),
    ],
)
def test_whether_the_connection_stays(line: str, fields: tuple[str, ...], keep: bool) -> None:
    assert good(line, *fields).keep_alive is keep


def test_fields_are_found_by_their_whole_name() -> None:
    found = good("POST / HTTP/1.1", "X-Content-Type: a", "content-TYPE:  Text/Plain \t", "Content-Type: b", "Empty:")
    assert found.field(b"content-type") == "Text/Plain"
    assert found.field(b"empty") == found.field(b"missing") == ""


def test_the_body_s_length() -> None:
    assert (good("POST / HTTP/1.1").length, good("POST / HTTP/1.1").chunked) == (0, False)
    assert good("POST / HTTP/1.1", "Content-Length: 0017").length == 17
    assert good("POST / HTTP/1.1", "Transfer-Encoding: CHUNKED").chunked


def test_expectations() -> None:
    assert good("POST / HTTP/1.1", "Expect: 100-Continue", "Content-Length: 1").continues
    assert not good("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 1").continues
    assert head("POST / HTTP/1.1", "Expect: more") == Bad(417, "no expectation but 100-continue is met")
