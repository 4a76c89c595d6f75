"""What somebody who may write TracingConfigs and Secrets in one namespace cannot do to those who lend to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_objects import backend, config
from tracekeeper_operator.plan import Assessed, Plan, Published, assess, plan, read_published
from tracekeeper_operator.retire import RETIRED_FOR
from tracekeeper_operator.secret_read import SecretRead
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import MAX_BYTES, PolicyDocument, PolicyEntry
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.wish import Reference

NOW = 1_800_000_000.0
ROOT = "observability"
Object = dict[str, Any]
OPEN = {"from": "All"}
ALL, HALF = ({"default": {"type": "Probabilistic", "probabilistic": {"probability": share}}} for share in (1.0, 0.5))
THEIRS = SecretRead({"token": b"of-the-lender", "ca.crt": b"PEM"})
SLY = f"tracekeeper-{hashlib.sha256(b'observability/tempo/0').hexdigest()[:32]}"
"""The name under which a document keeps the lender's Secret."""


@dataclass
class World:
    """One namespace, `shop`, and what is lent to it; each `round` is one plan, which is carried out."""

    own: list[Object] = field(default_factory=list)
    lent: list[Object] = field(default_factory=list)
    secrets: dict[str, SecretRead] = field(default_factory=dict)
    named: tuple[Reference, ...] = ()
    labels: dict[str, str] | None = field(default_factory=dict)
    published: Published = field(default_factory=lambda: Published(None))
    now: float = NOW

    def round(self) -> Plan:
        configs = assess(self.own, self.published.document)
        decided = plan(
            "shop",
            configs,
            self.secrets,
            self.published,
            floor=0,
            now=self.now,
            scope=Scope("shop", self.labels, self._of(configs), ROOT),
            named=self.named,
            known=lambda wanted, uid: any(
                (item["metadata"]["namespace"], item["metadata"]["uid"]) == (wanted.namespace, uid)
                for item in (*self.own, *self.lent)
            ),
        )
        if decided.write:
            self.published = read_published(decided.secret)
            assert self.published.document == decided.document
        return decided

    def _of(self, configs: Iterable[Assessed]) -> Any:
        own = [item.config for item in configs if item.config is not None]
        lent = [parsed(item) for item in self.lent]
        return lambda wanted: [item for item in (*own, *lent) if item.namespace == wanted]

    @property
    def document(self) -> PolicyDocument:
        assert self.published.document is not None
        return self.published.document

    def entry(self, name: str) -> PolicyEntry:
        return next(item for item in (*self.document.configs, *self.document.named) if item.name == name)

    def token(self, name: str) -> bytes | None:
        """What the backends of an entry send as their token."""
        spec, _ = self.entry(name).parse()
        (found,) = spec.backends or ()
        assert found.otlp.auth is not None and found.otlp.auth.bearer is not None
        ref = found.otlp.auth.bearer.secret_key_ref
        return self.document.lookup().get(ref.name, ref.key)


def parsed(manifest: Object) -> TracingConfig:
    found, faults = parse_manifest(manifest)
    assert found is not None, faults
    return found


def lent(name: str = "default", namespace: str = ROOT, **spec: Any) -> Object:
    return config(name, namespace, **{"backends": [backend("theirs", "tempo")], "allowedNamespaces": OPEN, **spec})


@pytest.mark.parametrize("name", [SLY, "tracekeeper-policy", "tracekeeper-webhook-tls"])
def test_secrets_of_the_operator_cannot_be_named(name: str) -> None:
    by_key = config(backends=[backend("mine", name)])
    by_name = config(backends=[backend("mine")])
    by_name["spec"]["backends"][0]["otlp"]["tls"] = {"clientCertificate": {"secretName": name}}
    for manifest, path in ((by_key, "auth.bearer.secretKeyRef.name"), (by_name, "tls.clientCertificate.secretName")):
        found, (fault,) = parse_manifest(manifest)
        assert found is None
        assert fault.path == f"spec.backends[0].otlp.{path}" and "tracekeeper-" in fault.problem


def test_a_sidecar_reads_the_names_that_the_operator_makes() -> None:
    """They are refused where people write them, and nowhere else."""
    world = World(lent=[lent()], secrets={f"{ROOT}/tempo": THEIRS})
    world.round()
    assert world.entry("default").parse()[1] == [] and world.token("default") == b"of-the-lender"
    assert list(world.document.secrets) == [SLY]


def test_no_name_leads_to_a_value_that_was_published_for_somebody_else() -> None:
    """As it was published before such names were refused: the lender's value under a name that the tenant wants."""
    world = World(own=[config(selector={"matchLabels": {"app": "x"}})], lent=[lent()])
    world.secrets = {f"{ROOT}/tempo": THEIRS}
    world.round()
    assert world.token("default") == b"of-the-lender"
    sly = config(backends=[backend("mine", "other")], selector={"matchLabels": {"app": "x"}}, generation=2)
    made = parsed(sly)
    renamed = Renamed(made, SLY)
    for unread in (SecretRead(None, forbidden=True), SecretRead(None, problem="timeout")):
        decided = plan(
            "shop",
            (),
            {SLY: unread, f"{ROOT}/tempo": unread},
            world.published,
            floor=0,
            now=NOW,
            scope=Scope("shop", {}, lambda wanted: [renamed.config] if wanted == "shop" else [parsed(lent())], ROOT),
        )
        values = decided.document.secrets
        assert SLY not in values, "the tenant's own, of which nothing is known"
        assert not values, "and under its new name the lender's was never published"


class Renamed:
    """A config that names a Secret which `parse_manifest` refuses."""

    def __init__(self, config: TracingConfig, name: str) -> None:
        (found,) = config.spec.backends or ()
        assert found.otlp.auth is not None and found.otlp.auth.bearer is not None
        ref = replace(found.otlp.auth.bearer.secret_key_ref, name=name)
        auth = replace(found.otlp.auth, bearer=replace(found.otlp.auth.bearer, secret_key_ref=ref))
        spec = replace(config.spec, backends=(replace(found, otlp=replace(found.otlp, auth=auth)),))
        written = {**config.written, "backends": [backend("mine", name)]}
        self.config = replace(config, spec=spec, written=written)


def test_a_retired_entry_gives_its_values_to_nobody_else() -> None:
    """What drains keeps the lender's credentials for a while, beside what the tenant writes meanwhile."""
    world = World(lent=[lent()], secrets={f"{ROOT}/tempo": THEIRS})
    world.round()
    sly = Renamed(parsed(config(backends=[backend("mine", "other")])), SLY).config
    decided = plan(
        "shop",
        (),
        {SLY: SecretRead(None, absent=True)},
        world.published,
        floor=0,
        now=NOW,
        scope=Scope("shop", {}, lambda wanted: [sly] if wanted == "shop" else [], ROOT),
    )
    assert [(entry.name, entry.retired) for entry in decided.document.configs] == [("agents", False), ("default", True)]
    assert SLY not in decided.document.secrets


def huge(size: int = MAX_BYTES) -> SecretRead:
    return SecretRead({"token": b"x" * size})


def tenant() -> World:
    """A tenant whose policy was good and is now too large."""
    world = World(
        own=[config("mine", backends=None, selector={"matchLabels": {"app": "x"}}, logLevel="Debug")],
        lent=[lent(enforced=["Sampling"], sampling=ALL)],
        secrets={f"{ROOT}/tempo": THEIRS},
    )
    del world.own[0]["spec"]["backends"]
    assert world.round().size is None
    world.own[0]["spec"]["backends"] = [backend("b", "big")]
    world.own[0]["metadata"]["generation"] = 2
    world.secrets["big"] = huge()
    return world


def test_one_that_is_too_large_goes_on_as_it_was_published() -> None:
    world = tenant()
    before = world.document
    decided = world.round()
    assert decided.size is not None and "bytes" in str(decided.size)
    assert not decided.write and decided.document == before


def test_too_large_a_policy_does_not_keep_consent_from_being_taken_back() -> None:
    world = tenant()
    world.round()
    world.lent = [lent(allowedNamespaces={"from": "Same"})]
    decided = world.round()
    assert decided.size is not None and decided.write
    assert world.document.secrets == {}
    assert not world.entry("mine").retired and "backends" not in world.entry("mine").spec
    assert world.entry("mine").spec["logLevel"] == "Debug"


def test_too_large_a_policy_does_not_keep_what_is_enforced_from_changing() -> None:
    world = tenant()
    world.round()
    world.lent = [lent(generation=2, enforced=["Sampling", "LogLevel"], sampling=HALF, logLevel="Error")]
    decided = world.round()
    assert decided.size is not None and decided.write
    spec = world.entry("mine").spec
    assert spec["sampling"] == HALF and spec["logLevel"] == "Error"
    assert world.token("mine") == b"of-the-lender"
    assert not world.round().write, "and then it is as it should be"
    # When it is mended, everything is in force again.
    world.secrets["big"] = SecretRead({"token": b"small"})
    mended = world.round()
    assert mended.size is None and world.token("mine") == b"small" and world.entry("mine").generation == 2


def test_a_secret_that_grows_does_not_hold_up_the_default_either() -> None:
    world = World(own=[config("mine", backends=[backend("b", "big")])], lent=[lent()], secrets={"big": huge(100)})
    world.secrets[f"{ROOT}/tempo"] = THEIRS
    world.round()
    world.secrets["big"] = huge()
    world.lent = [lent(generation=2, enforced=["LogLevel"], logLevel="Error")]
    decided = world.round()
    assert decided.size is not None and world.entry("mine").spec["logLevel"] == "Error"
    assert world.token("mine") == b"x" * 100


def test_the_tenants_configs_make_room_for_the_default_the_newest_first() -> None:
    fifth = MAX_BYTES // 5 * 3 // 4  # as Base64
    own = [
        config(name, backends=[backend("b", name)], selector={"matchLabels": {"app": name}}) for name in ("a", "b", "c")
    ]
    world = World(own=own, lent=[lent()], secrets={name: huge(fifth) for name in ("a", "b", "c")})
    for item, day in zip(own, ("01", "02", "03"), strict=True):
        item["metadata"]["creationTimestamp"] = f"2026-01-{day}T00:00:00Z"
    world.secrets[f"{ROOT}/tempo"] = THEIRS
    assert world.round().size is None
    world.secrets[f"{ROOT}/tempo"] = SecretRead({"token": b"y" * (fifth * 5 // 2)})
    decided = world.round()
    assert decided.size is not None and decided.write and decided.document.size_fault() is None
    assert [entry.name for entry in world.document.configs] == ["a", "b", "default"]
    assert world.token("default") == b"y" * (fifth * 5 // 2)
    assert not world.round().write


def test_names_that_lead_nowhere_take_no_room() -> None:
    """Where there is no default, they alone are nothing that could be published, and not something too large."""
    fifth = MAX_BYTES // 5 * 3 // 4  # as Base64
    own = [config(name, backends=[backend("b", name)], selector={"matchLabels": {"app": name}}) for name in ("a", "b")]
    world = World(own=own, lent=[lent("named", "care")], secrets={name: huge(2 * fifth) for name in ("a", "b")})
    world.named = (*(Reference("care", f"absent-{number}") for number in range(10)), Reference("care", "named"))
    world.secrets["care/tempo"] = THEIRS
    assert world.round().size is None
    world.secrets["care/tempo"] = SecretRead({"token": b"y" * (fifth * 5 // 2)})
    decided = world.round()
    assert decided.size is not None and decided.write and decided.document.size_fault() is None
    assert [entry.name for entry in (*world.document.configs, *world.document.named)] == ["a", "named"]
    assert world.token("named") == b"y" * (fifth * 5 // 2)
    assert not world.round().write


def test_when_not_even_the_default_fits_what_was_lent_is_still_taken_back() -> None:
    world = World(lent=[lent(), lent("named", "care"), lent("kept", "care")])
    world.named = (Reference("care", "named"), Reference("care", "kept"))
    world.secrets = {f"{ROOT}/tempo": THEIRS, "care/tempo": SecretRead({"token": b"of-care"})}
    world.round()
    world.lent = [
        lent(generation=2, backends=[backend("theirs", "big")]),
        lent("named", "care", allowedNamespaces={"from": "Same"}),
        lent("kept", "care"),
    ]
    world.secrets[f"{ROOT}/big"] = huge()
    decided = world.round()
    assert decided.size is not None and decided.write
    assert world.entry("named").retired and not world.entry("kept").retired and not world.entry("default").retired
    assert world.token("default") == b"of-the-lender" and world.token("kept") == b"of-care"
    assert not world.round().write
    world.lent = [item for item in world.lent if item["metadata"]["name"] == "default"]
    world.round()
    assert world.entry("kept").retired
    world.now += RETIRED_FOR
    world.round()
    assert [entry.name for entry in (*world.document.configs, *world.document.named)] == ["default"]


def test_a_forged_policy_that_is_too_large_leads_to_nothing_more_of_the_lenders() -> None:
    """Of the lender's Secret, one key is lent. What is held on to then comes from the tenant's own Secret."""
    world = World(own=[config("mine", backends=[backend("b", "big")])], lent=[lent("named", "care")])
    world.named = (Reference("care", "named"),)
    world.secrets = {"care/tempo": THEIRS, "big": huge()}
    forged = PolicyEntry("mine", "care", "uid-mine", 1, "", {"backends": [backend("b", "tempo", "ca.crt")]})
    world.published = Published(PolicyDocument(5, (forged,), namespace="shop"), ours=True)
    assert world.round().size is not None
    values = [value for keys in world.document.secrets.values() for value in keys.values()]
    assert values == [b"of-the-lender"]


SIZES = st.sampled_from([1, MAX_BYTES // 5, MAX_BYTES // 3, MAX_BYTES])
LEVELS = st.sampled_from(["Error", "Warning", "Info", "Debug"])
STEPS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from("abc"), SIZES, min_size=1
        ),  # the tenant's configs, and the sizes of their Secrets
        LEVELS,  # what is enforced
        st.booleans(),  # whether the default's owner consents
        st.booleans(),  # whether that of a named config does
        SIZES,  # of the default's Secret
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=20)  # Each moves megabytes.
@given(STEPS)
def test_whatever_the_sizes_what_is_published_fits_and_obeys_those_who_lend(
    steps: list[tuple[dict[str, int], str, bool, bool, int]],
) -> None:
    world = World(named=(Reference("care", "named"),))
    for number, (own, level, default, named, size) in enumerate(steps, 1):
        world.own = [
            config(name, generation=number, backends=[backend("b", name)], selector={"matchLabels": {"app": name}})
            for name in sorted(own)
        ]
        closed: Object = {"allowedNamespaces": {"from": "Same"}}
        enforcing: Object = {"enforced": ["LogLevel"], "logLevel": level, "generation": number}
        world.lent = [
            lent(**enforcing, **({} if default else closed)),
            lent("named", "care", generation=number, **({} if named else closed)),
        ]
        world.secrets = {name: SecretRead({"token": b"m" * each}) for name, each in own.items()}
        world.secrets[f"{ROOT}/tempo"] = SecretRead({"token": b"r" * size})
        world.secrets["care/tempo"] = SecretRead({"token": b"c"})
        decided = world.round()
        assert not world.round().write, "and once is enough"
        document = decided.document
        assert document.size_fault() is None
        values = {value[:1] for keys in document.secrets.values() for value in keys.values()}
        assert default or b"r" not in values
        assert named or b"c" not in values
        living = [entry for entry in (*document.configs, *document.named) if not entry.retired]
        assert default or not any(entry.name == "default" for entry in living)
        assert named or not any(entry.name == "named" for entry in living)
        if default and size < MAX_BYTES:  # Else not even the default fits.
            assert {entry.spec.get("logLevel") for entry in living} == {level}
        if not default:
            assert not any("logLevel" in entry.spec for entry in living)
