"""Certificates of backends that end soon: what the status says of them."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from control_objects import backend, config
from tracekeeper_operator.expiry import ending, life
from tracekeeper_operator.plan import Published, assess, plan
from tracekeeper_operator.secret_read import SecretRead
from tracekeeper_operator.status import Outcome, conditions

NOW = 1_800_000_000.0
DAY = 86400.0
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(days: float, life: float = 90.0, *, authority: bool = False) -> bytes:
    """One that ends in so many days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agents")])
    ends = datetime.datetime.fromtimestamp(NOW + days * DAY, datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(ends - datetime.timedelta(days=life))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def twice_extended() -> bytes:
    """What no authority makes, and whoever writes a Secret can: the same extension twice."""
    made = x509.load_pem_x509_certificate(certificate(1))
    again = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.14"), b"\x30\x00")
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(made.issuer)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(again, critical=False)
    )
    der = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    der = der.replace(bytes([0x55, 0x1D, 0x0E]), bytes([0x55, 0x1D, 0x13]))
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (certificate(80), ""),
        (certificate(14.1), ""),
        (certificate(13.9), "ends at 2027-01-29T05:36:00Z"),
        (certificate(-1), "ended at 2027-01-14T08:00:00Z"),
        (certificate(1, life=5), ""),
        (certificate(0.5, life=5), "ends at"),
        (certificate(80) + certificate(1, authority=True), ""),
        (certificate(1) + certificate(800, life=900, authority=True), "ends at"),
        (certificate(-9, authority=True) + certificate(800, life=900, authority=True), ""),
        (certificate(-9, authority=True), "ended at"),
        (twice_extended(), ""),
        (b"t0ken", ""),
        (b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", ""),
        (b"", ""),
    ],
)
def test_what_ends_soon(value: bytes, says: str) -> None:
    found = list(ending([("client", "tls.crt", known) for known in [life(value)] if known is not None], NOW))
    assert len(found) == bool(says)
    if found:
        assert found[0].startswith("Secret client: the certificate in its key tls.crt ") and says in found[0]


def test_the_status_says_so_and_all_else_is_as_it_was() -> None:
    told: dict[str, Any] = backend("a")
    told["otlp"]["endpoint"] = "https://tempo.obs:4317"
    told["otlp"]["tls"] = {"clientCertificate": {"secretName": "client"}}
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pair = {"tls.crt": certificate(3), "tls.key": key}
    decided = plan("shop", assess([config(backends=[told])], None), {}, Published(None), floor=0, now=NOW)
    found = conditions(decided.configs[0], decided, {"client": SecretRead(pair).without_values()}, Outcome(), now=NOW)
    assert [(each.type, each.status, each.reason) for each in found] == [
        ("Accepted", "True", "Accepted"),
        ("ResolvedRefs", "True", "CertificateEnds"),
        ("Ready", "True", "Published"),
    ]
    assert "Secret client" in found[1].message and "renew it" in found[1].message
