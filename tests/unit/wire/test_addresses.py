"""Where raw bytes may hold addresses of e-mail."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

import otlp_requests
from tracekeeper_sidecar.wire import addresses
from tracekeeper_sidecar.wire.addresses import mail_ends

PLAIN = re.compile(rb"(?<=[0-9A-Za-z._%+'\x80-\xbf-])@(?=[0-9A-Za-z\xc2-\xf4\\])(?=[0-9A-Za-z\x80-\xff-]*[.\\])")


def test_the_module_is_the_compiled_one() -> None:
    assert addresses.__file__.endswith(".so")


def test_a_domain_has_a_dot_or_what_may_be_one() -> None:
    text = b"ada@example.com, not@that, @nobody.org, x@\\u0065xample, o@xn--e1a.org, a@b@c.d"
    assert [text[end - 2 : end] for end in mail_ends(text, 100)] == [b"@e", b"@\\", b"@x", b"@c"]


@otlp_requests.property_test
@given(st.binary(max_size=40) | st.text("a@.\\ é-", max_size=40).map(str.encode))
def test_it_finds_what_the_pattern_finds(data: bytes) -> None:
    assert mail_ends(data, 100) == [found.start() + 2 for found in PLAIN.finditer(data)]


def test_it_stops_where_there_are_too_many() -> None:
    assert len(mail_ends(b"a@b." * 1000, 10)) == 11
    assert len(mail_ends(b"a@b." * 10, 10)) == 10
