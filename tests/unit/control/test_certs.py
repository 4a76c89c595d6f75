"""Certificates: what is made, when it is renewed, and in which order trust moves to a new authority."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography import x509

from tracekeeper_operator.certs import DAY, Lives, Material, expires, make, renew
from tracekeeper_operator.errors import CertificateError

NOW = 1_800_000_000.0
HOSTS = ["injector.tk.svc", "injector.tk.svc.cluster.local"]
LIVES = Lives(authority=300.0, serving=60.0)


@pytest.fixture
def material() -> Material:
    return make(NOW, HOSTS, LIVES)


def certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def signed(material: Material, place: int) -> bool:
    """Whether the serving certificate comes from the authority at this place of the bundle."""
    authority = certificates(material.ca)[place]
    return certificates(material.certificate)[0].issuer == authority.subject and _verifies(material, authority)


def _verifies(material: Material, authority: x509.Certificate) -> bool:
    try:
        certificates(material.certificate)[0].verify_directly_issued_by(authority)
    except Exception:
        return False
    return True


def test_names_the_service_and_is_signed(material: Material) -> None:
    serving = certificates(material.certificate)[0]
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    assert signed(material, 0)
    assert expires(material) == NOW + 60


def test_by_default_it_lasts_for_months() -> None:
    assert expires(make(NOW, HOSTS, Lives())) == NOW + 90 * DAY


def test_nothing_is_done_while_nothing_is_due(material: Material) -> None:
    for later in (0.0, 20.0, 39.0):
        assert renew(material, NOW + later, HOSTS, trusted=True, lives=LIVES) is material


def test_makes_all_when_there_is_nothing() -> None:
    found = renew(None, NOW, HOSTS, trusted=False, lives=LIVES)
    assert signed(found, 0)


def test_serving_is_renewed_with_a_third_left(material: Material) -> None:
    found = renew(material, NOW + 41, HOSTS, trusted=True, lives=LIVES)
    assert found.certificate != material.certificate
    assert (found.ca, found.ca_key) == (material.ca, material.ca_key)
    assert expires(found) == NOW + 101


def test_serving_waits_for_trust_but_not_for_ever(material: Material) -> None:
    assert renew(material, NOW + 41, HOSTS, trusted=False, lives=LIVES) is material
    assert renew(material, NOW + 51, HOSTS, trusted=False, lives=LIVES) != material


def test_other_names_need_another_certificate(material: Material) -> None:
    found = renew(material, NOW, ["other.tk.svc"], trusted=True, lives=LIVES)
    assert found.certificate != material.certificate
    assert found.ca == material.ca


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("key", ["other", "garbage"])
def test_a_key_that_is_not_the_certificates_is_mended(material: Material, key: str, trusted: bool) -> None:
    broken = replace(material, key=make(NOW, HOSTS, LIVES).key if key == "other" else key)
    found = renew(broken, NOW, HOSTS, trusted=trusted, lives=LIVES)
    assert found.certificate != material.certificate
    assert (found.ca, found.ca_key) == (material.ca, material.ca_key)
    assert renew(found, NOW, HOSTS, trusted=trusted, lives=LIVES) is found


def test_a_new_authority_is_trusted_before_it_signs(material: Material) -> None:
    due = NOW + 201
    current = renew(material, due - 30, HOSTS, trusted=True, lives=LIVES)
    overlapping = renew(current, due, HOSTS, trusted=True, lives=LIVES)
    assert len(certificates(overlapping.ca)) == 2
    assert overlapping.certificate == current.certificate
    assert signed(overlapping, 1) and not signed(overlapping, 0)
    assert renew(overlapping, due, HOSTS, trusted=False, lives=LIVES) is overlapping
    moved = renew(overlapping, due, HOSTS, trusted=True, lives=LIVES)
    assert signed(moved, 0)
    assert moved.ca == overlapping.ca
    assert renew(moved, due + 1, HOSTS, trusted=True, lives=LIVES) is moved


def test_a_new_authority_has_time_to_get_around(material: Material) -> None:
    """Everybody whom we can ask trusts it at once; pods hear of it when their kubelet looks."""
    lives = replace(LIVES, spread=20.0)
    current = renew(material, NOW + 171, HOSTS, trusted=True, lives=lives)
    overlapping = renew(current, NOW + 201, HOSTS, trusted=True, lives=lives)
    for later in (201.0, 210.0, 220.9):
        assert renew(overlapping, NOW + later, HOSTS, trusted=True, lives=lives) is overlapping
    assert signed(renew(overlapping, NOW + 221, HOSTS, trusted=True, lives=lives), 0)
    # But what serves must not run out: it ends at 231.
    slow = replace(lives, spread=60.0)
    assert renew(overlapping, NOW + 220, HOSTS, trusted=True, lives=slow) is overlapping
    assert signed(renew(overlapping, NOW + 222, HOSTS, trusted=True, lives=slow), 0)


def test_a_first_authority_waits_for_nobody(material: Material) -> None:
    lives = replace(LIVES, spread=60.0)
    assert renew(material, NOW + 1, ["other.tk.svc"], trusted=True, lives=lives) is not material


def test_shorter_lives_hold_for_what_is_there_already(material: Material) -> None:
    """As after any renewal: a new authority beside the old one first, then what it signs."""
    long = make(NOW, HOSTS, Lives())
    assert renew(long, NOW + 1, HOSTS, trusted=True, lives=Lives(serving=89 * DAY)) is long
    soon = renew(long, NOW + 1, HOSTS, trusted=True, lives=Lives(serving=DAY))
    assert (expires(soon), soon.ca) == (NOW + 1 + DAY, long.ca)
    overlapping = renew(long, NOW + 1, HOSTS, trusted=True, lives=LIVES)
    assert overlapping.certificate == long.certificate
    assert len(certificates(overlapping.ca)) == 2
    moved = renew(overlapping, NOW + 2, HOSTS, trusted=True, lives=LIVES)
    assert signed(moved, 0) and expires(moved) == NOW + 62
    assert renew(moved, NOW + 3, HOSTS, trusted=True, lives=LIVES) is moved


@pytest.mark.parametrize(
    ("authority", "serving", "text"), [(60, 9, "least is 10s"), (60, 31, "twice as long"), (10, 10, "twice as long")]
)
def test_lives_that_leave_no_time_to_renew_are_refused(authority: float, serving: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Lives.of(authority, serving)


@pytest.mark.parametrize(("authority", "spread"), [(60.0, 5.0), (3600.0, 300.0), (730 * DAY, 900.0)])
def test_a_new_authority_waits_as_long_as_there_is_time_for(authority: float, spread: float) -> None:
    assert Lives.of(authority, 25.0) == Lives(authority, 25.0, spread)


def test_an_authority_that_is_over_is_dropped(material: Material) -> None:
    current = renew(material, NOW + 180, HOSTS, trusted=True, lives=LIVES)
    overlapping = renew(current, NOW + 201, HOSTS, trusted=True, lives=LIVES)
    moved = renew(overlapping, NOW + 201, HOSTS, trusted=True, lives=LIVES)
    after = renew(moved, NOW + 245, HOSTS, trusted=True, lives=LIVES)
    assert len(certificates(after.ca)) == 2
    alone = renew(after, NOW + 301, HOSTS, trusted=True, lives=LIVES)
    alone = renew(alone, NOW + 301, HOSTS, trusted=True, lives=LIVES)
    assert len(certificates(alone.ca)) == 1
    assert signed(alone, 0)


def test_everything_anew_when_all_is_over(material: Material) -> None:
    found = renew(material, NOW + 10_000, HOSTS, trusted=False, lives=LIVES)
    assert len(certificates(found.ca)) == 1
    assert signed(found, 0)
    assert expires(found) > NOW + 10_000


def test_a_life_of_renewals_never_breaks_trust() -> None:
    """Every second for half an hour: the serving certificate is always valid, and signed by what is published."""
    material, trusted, published = make(NOW, HOSTS, LIVES), True, ""
    for second in range(1800):
        now = NOW + second
        before = material
        material = renew(material, now, HOSTS, trusted=trusted, lives=LIVES)
        trusted = material == before
        serving = certificates(material.certificate)[0]
        assert serving.not_valid_after_utc.timestamp() > now
        # What the API server trusts at this moment is what the last second published.
        bundle = certificates(published) if published else certificates(material.ca)
        assert any(_verifies(material, authority) for authority in bundle)
        published = material.ca
        assert len(certificates(material.ca)) <= 2


def test_survives_the_secret(material: Material) -> None:
    assert Material.from_secret(material.to_secret(), "secret tk/tls") == material


@pytest.mark.parametrize("data", [{}, {"tls.crt": "", "ca.key": None}])
def test_an_empty_secret_is_no_material(data: dict[str, object]) -> None:
    assert Material.from_secret(data, "secret tk/tls") is None


@pytest.mark.parametrize("value", ["", None, "no base64!", base64.b64encode(b"\xff\xfe").decode(), 7])
def test_names_the_key_that_is_damaged(material: Material, value: object) -> None:
    with pytest.raises(CertificateError, match=r"secret tk/tls key ca\.crt"):
        Material.from_secret({**material.to_secret(), "ca.crt": value}, "secret tk/tls")


@pytest.mark.parametrize("field", ["ca", "certificate"])
def test_damaged_certificates_are_errors(material: Material, field: str) -> None:
    with pytest.raises(CertificateError, match=r"(ca|tls)\.crt"):
        renew(replace(material, **{field: "garbage"}), NOW + 41, HOSTS, trusted=True, lives=LIVES)


@pytest.mark.parametrize("key", ["garbage", make(NOW, HOSTS, LIVES).ca_key])
def test_a_key_of_another_authority_is_an_error(material: Material, key: str) -> None:
    with pytest.raises(CertificateError, match=r"ca\.key"):
        renew(replace(material, ca_key=key), NOW + 41, HOSTS, trusted=True, lives=LIVES)
