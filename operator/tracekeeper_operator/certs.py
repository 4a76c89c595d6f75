"""The operator's certificates: made by ourselves at run time, renewed before they expire. Pure but for the
random keys.

An authority signs the serving certificate, which the webhooks and the control stream share; the API server trusts
it through the `caBundle` of the webhook configurations, sidecars through their policy document. A new authority is
made when a third of the old one's life is left. It is published beside the old one first, and signs the next
serving certificate only once every webhook configuration trusts it and sidecars have had time to hear of it, so
that no admission fails in between, and no sidecar is turned away. The order is decided in `renew`, from nothing but
what is there and the time.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .errors import CertificateError

DAY = 86400.0
SPREAD = 900.0
"""Seconds from a new authority to what it signs: the kubelet brings a changed policy to its pods within two minutes."""
SKEW = 300.0
"""Seconds by which a certificate is valid before it was made: clocks of nodes differ."""
KEYS = ("tls.crt", "tls.key", "ca.crt", "ca.key")


@dataclass(frozen=True, slots=True)
class Lives:
    """Seconds for which new certificates are valid. Both are renewed when a third of that is left."""

    authority: float = 730 * DAY
    serving: float = 90 * DAY
    spread: float = 0.0
    """What a new authority waits at least before it signs, while there is an old one that can."""

    @classmethod
    def of(cls, authority: float, serving: float) -> Lives:
        """With as long a wait as there is time for. Raises ValueError when one of them is too short for the other."""
        if serving < 10:
            raise ValueError(f"the certificate's life of {serving:g} s is too short; the least is 10s")
        if authority < 2 * serving:
            raise ValueError("the authority has to live for at least twice as long as the certificates that it signs")
        return cls(authority, serving, min(SPREAD, authority / 12))


LIVES = Lives.of(730 * DAY, 90 * DAY)


@dataclass(frozen=True, slots=True)
class Material:
    """All that the Secret holds, as PEM texts. `ca` may hold several authorities, the newest first."""

    certificate: str
    key: str
    ca: str
    ca_key: str

    @classmethod
    def from_secret(cls, data: Mapping[str, object], where: str) -> Material | None:
        """Read a Secret's `data`; None when it has no certificate yet. Raises CertificateError naming the
        key.
        """
        if not any(data.get(key) for key in KEYS):
            return None
        texts = [_decode(data.get(key), f"{where} key {key}") for key in KEYS]
        return cls(*texts)

    def to_secret(self) -> dict[str, str]:
        """The `data` of the Secret."""
        texts = (self.certificate, self.key, self.ca, self.ca_key)
        return {key: base64.b64encode(text.encode()).decode() for key, text in zip(KEYS, texts, strict=True)}


def renew(
    old: Material | None, now: float, hosts: Sequence[str], *, trusted: bool, lives: Lives | None = None
) -> Material:
    """The material that should be there at `now`: `old` itself when nothing is due.

    `hosts` are the names that the API server calls; `trusted` says that every webhook configuration already
    carries `old.ca`. Raises CertificateError when `old` cannot be read; `make` then replaces it.
    """
    lives = lives or Lives()
    if old is None:
        return make(now, hosts, lives)
    authorities = _certificates(old.ca, "ca.crt")
    if _due(authorities[0], now, 3) or _too_long(authorities[0], now, lives.authority):
        if _expired(authorities[0], now):
            return make(now, hosts, lives)
        return _with_new_authority(old, authorities, now, lives)
    serving = _certificates(old.certificate, "tls.crt")[0]
    current = _signed_by(serving, authorities[0]) and _names(serving) == list(hosts)
    useless = not _names(serving) or not _fits(old.key, serving)
    known = trusted and not (len(authorities) > 1 and _young(authorities[0], now, lives.spread))
    due = _due(serving, now, 3) or _too_long(serving, now, lives.serving)
    if (known and (not current or due)) or _due(serving, now, 6) or useless:
        return _with_new_serving(old, now, hosts, lives)
    return _without_expired(old, authorities, serving, now)


def make(now: float, hosts: Sequence[str], lives: Lives) -> Material:
    """A new authority and a serving certificate of it, for when there is nothing to overlap with."""
    authority, key = _authority(now, lives.authority)
    empty = Material("", "", _pem(authority), _key_pem(key))
    return _with_new_serving(empty, now, hosts, lives)


def expires(material: Material) -> float:
    """Unix time at which the serving certificate or its authority ends. Raises CertificateError."""
    ends = [_certificates(material.certificate, "tls.crt")[0], _certificates(material.ca, "ca.crt")[0]]
    return min(certificate.not_valid_after_utc.timestamp() for certificate in ends)


def validity(material: Material) -> tuple[float, float]:
    """Unix times between which the serving certificate is good. Raises CertificateError."""
    serving = _certificates(material.certificate, "tls.crt")[0]
    return serving.not_valid_before_utc.timestamp(), serving.not_valid_after_utc.timestamp()


def life(material: Material) -> float:
    """Seconds for which the serving certificate was made. Raises CertificateError."""
    begin, end = validity(material)
    return end - begin - SKEW


def _with_new_authority(old: Material, authorities: list[x509.Certificate], now: float, lives: Lives) -> Material:
    """The new authority goes in front; the serving certificate stays with the old one until everybody trusts
    both.
    """
    authority, key = _authority(now, lives.authority)
    known = [item for item in authorities if not _expired(item, now)]
    return replace(old, ca=_pem(authority) + "".join(_pem(item) for item in known), ca_key=_key_pem(key))


def _with_new_serving(old: Material, now: float, hosts: Sequence[str], lives: Lives) -> Material:
    authority = _certificates(old.ca, "ca.crt")[0]
    signer = _private_key(old.ca_key)
    if signer.public_key() != authority.public_key():
        raise CertificateError("ca.key", "it does not belong to the first certificate of ca.crt")
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + lives.serving, authority.not_valid_after_utc.timestamp())
    builder = (
        _builder("tracekeeper webhook", now, end, key)
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return replace(old, certificate=_pem(builder.sign(signer, hashes.SHA256())), key=_key_pem(key))


def _without_expired(
    old: Material, authorities: list[x509.Certificate], serving: x509.Certificate, now: float
) -> Material:
    """Drop authorities that are over and sign nothing; the rest stays as it is."""
    kept = [item for item in authorities if not _expired(item, now) or _signed_by(serving, item)]
    if len(kept) == len(authorities):
        return old
    return replace(old, ca="".join(_pem(item) for item in kept))


def _authority(now: float, life: float) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "tracekeeper webhook authority"
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, now, now + life, key)
        .issuer_name(_subject(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _builder(name: str, begin: float, end: float, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(begin, UTC) - timedelta(seconds=SKEW)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(datetime.fromtimestamp(end, UTC))
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _due(certificate: x509.Certificate, now: float, part: int) -> bool:
    """Whether less than one `part`-th of the certificate's life is left."""
    end = certificate.not_valid_after_utc.timestamp()
    life = end - certificate.not_valid_before_utc.timestamp() - SKEW
    return end - now < life / part


def _too_long(certificate: x509.Certificate, now: float, life: float) -> bool:
    """Whether it was made for longer than certificates are to live now, by more than clocks may explain."""
    return certificate.not_valid_after_utc.timestamp() - now > life + max(SKEW, life / 10)


def _young(certificate: x509.Certificate, now: float, seconds: float) -> bool:
    """Whether it was made less than that ago."""
    return now < certificate.not_valid_before_utc.timestamp() + SKEW + seconds


def _expired(certificate: x509.Certificate, now: float) -> bool:
    return certificate.not_valid_after_utc.timestamp() <= now


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _fits(key: str, certificate: x509.Certificate) -> bool:
    """Whether this is the certificate's private key; one that cannot be read is not."""
    try:
        found = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return found.public_key() == certificate.public_key()


def _certificates(text: str, where: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise CertificateError(where, f"it holds no certificate that can be read: {error}") from error


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError("ca.key", f"it cannot be read as a private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("ca.key", "it is not an elliptic-curve key")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _decode(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise CertificateError(where, "it is missing")
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise CertificateError(where, f"it is not base64 of a text: {error}") from error
