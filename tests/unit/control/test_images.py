"""Which image a sidecar is given: one that can be expected to start, or none at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_operator.images import ImageMemory, Images, from_json, manifest

OLD, NEW = "r.example/tracekeeper-sidecar:1", "r.example/tracekeeper-sidecar:2"


def test_a_new_image_waits_until_it_is_known_to_start() -> None:
    images = Images().proved(OLD)
    assert images.choose(NEW, "shop") == OLD
    assert images.proved(NEW).choose(NEW, "shop") == NEW
    assert images.unknown(NEW).choose(NEW, "shop") == NEW
    assert images.proved(NEW).choose(OLD, "shop") == OLD


def test_without_any_that_is_known_the_new_one_is_used() -> None:
    assert Images().choose(NEW, "shop") == NEW


def test_one_that_is_broken_is_not_used_anywhere() -> None:
    images = Images().proved(OLD).failed(NEW, "no such tag", 100)
    assert images.choose(NEW, "shop") == OLD
    assert Images().failed(NEW, "no such tag", 100).choose(NEW, "shop") is None
    assert images.proved(NEW).choose(NEW, "shop") == NEW


def test_a_namespaces_trouble_is_its_own() -> None:
    images = Images().proved(OLD).proved(NEW).refuse("shop", NEW, "no pull secret", 100)
    assert (images.choose(NEW, "shop"), images.choose(NEW, "else")) == (OLD, NEW)
    images = images.refuse("shop", OLD, "no pull secret", 100)
    assert (images.choose(NEW, "shop"), images.choose(NEW, "else")) == (None, NEW)
    assert images.forget(NEW, before=50).choose(NEW, "shop") is None
    assert images.forget(NEW, before=150).choose(NEW, "shop") == NEW
    assert images.forget(NEW, before=0, now=99).choose(NEW, "shop") == NEW, "by a clock that was ahead"


def test_forgets_images_that_nobody_would_use() -> None:
    images = Images().failed("r.example/tracekeeper-sidecar:0", "gone", 100).refuse("shop", "r.example/other:1", "", 1)
    assert images.forget(NEW, before=0) == Images()


IMAGES = st.sampled_from(["a:1", "a:2", "b:1", "b:2"])
NAMESPACES = st.sampled_from(["shop", "else"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("proved"), IMAGES),
        st.tuples(st.just("failed"), IMAGES, st.just("why"), st.integers(0, 100)),
        st.tuples(st.just("unknown"), IMAGES),
        st.tuples(st.just("refuse"), NAMESPACES, IMAGES, st.just("why"), st.integers(0, 100)),
        st.tuples(st.just("forget"), IMAGES, st.integers(0, 100)),
    ),
    max_size=12,
)


@given(STEPS, IMAGES, NAMESPACES)
def test_never_chooses_what_something_speaks_against(
    steps: list[tuple[object, ...]], wanted: str, namespace: str
) -> None:
    images = Images()
    for name, *arguments in steps:
        images = getattr(images, str(name))(*arguments)
    chosen = images.choose(wanted, namespace)
    if chosen is None:
        assert all(images.trouble(image, namespace) for image in (wanted, *images.good))
    else:
        assert images.trouble(chosen, namespace) is None
        assert chosen in (wanted, *images.good)
    # What the injectors read is what the controller knows.
    memory = ImageMemory()
    memory.replace([manifest("tracekeeper-system", images)])
    assert memory.images == images
    assert len(images.good) <= 2


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr))
def test_reads_whatever_somebody_wrote_there(text: str) -> None:
    assert from_json(text) == Images()


def test_reads_what_is_left_of_a_damaged_one() -> None:
    damaged = '{"good": ["a:1", 7], "assumed": null, "broken": {"a:2": {"since": "x"}, "a:3": 1}, "refused": []}'
    found = from_json(damaged)
    assert (found.good, list(found.broken)) == (("a:1",), ["a:2"])
