"""Certificates among the values of Secrets that end soon. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509

from .clock import timestamp

BEGIN = b"-----BEGIN CERTIFICATE-----"
SOON = 14 * 86400.0
"""Seconds before its end at which a certificate should have been renewed,"""
LATE = 6
"""and this part of its life, if that is less: whoever renews automatically does so when a third is left."""
LARGEST = 1 << 18
"""Bytes of a value that is looked into: all authorities of a distribution have some 220 KB."""

Life = tuple[float, float]
"""Begin and end, in Unix time."""


def ending(lives: Iterable[tuple[str, str, Life]], now: float) -> Iterator[str]:
    """What ends soon, or has ended, in words. Of each certificate comes the Secret's name, the key, and its life."""
    for name, key, (begin, end) in lives:
        if end - now >= min(SOON, (end - begin) / LATE):
            continue
        verb = "ended" if end <= now else "ends"
        yield f"Secret {name}: the certificate in its key {key} {verb} at {timestamp(end)}: renew it"


def life(value: bytes) -> Life | None:
    """None for what is no certificate that can be read, of which the sidecar says why.

    Of a chain the first certificate counts, which is the holder's own; of authorities the one that lasts longest, since
    old ones may be left beside it.
    """
    if BEGIN not in value[:LARGEST]:
        return None
    try:
        found = x509.load_pem_x509_certificates(value[:LARGEST])
        lives = [(each.not_valid_before_utc.timestamp(), each.not_valid_after_utc.timestamp()) for each in found]
        return max(lives, key=lambda life: life[1]) if _authority(found[0]) else lives[0]
    except Exception:
        # What can be wrong with a certificate has no common class, and it is a tenant's.
        return None


def _authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
