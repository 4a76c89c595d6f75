"""Addresses as people write them."""

import pytest

from tracekeeper_sidecar.settings import Address


@pytest.mark.parametrize(
    ("text", "address", "printed"),
    [
        ("127.0.0.1:4317", Address("127.0.0.1", 4317), "127.0.0.1:4317"),
        ("[::1]:0", Address("::1", 0), "[::1]:0"),
        (":4318", Address("", 4318), ":4318"),
    ],
)
def test_addresses(text: str, address: Address, printed: str) -> None:
    assert Address.parse(text) == address
    assert str(address) == printed


@pytest.mark.parametrize("text", ["", "4317", "localhost:", "localhost:x", "localhost:70000", "localhost:-1"])
def test_what_is_not_an_address_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT"):
        Address.parse(text)
