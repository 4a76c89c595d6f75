"""What the annotation `tracekeeper.dev/inject` of a pod asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracekeeper_spec.schema import Text
from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN

ANNOTATION = "tracekeeper.dev/inject"
NO_NAMES = frozenset({"yes", "no", "on", "off", "enabled", "disabled", "0", "1"})
"""Whoever writes one of these means `true` or `false`, and no TracingConfig."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One TracingConfig, by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod asks for; without `named`, its labels decide which config it gets."""

    inject: bool
    named: Reference | None = None


def parse_wish(value: str, namespace: str) -> Wish | None:
    """`true`, `false`, `NAME` of a config in the pod's `namespace`, or `NAMESPACE/NAME`; None for anything else."""
    if value in ("true", "false"):
        return Wish(value == "true")
    if value in NO_NAMES:
        return None
    first, slash, second = value.partition("/")
    wanted = Reference(first, second) if slash else Reference(namespace, first)
    if slash and not _is(DNS_LABEL, wanted.namespace):
        return None
    return Wish(True, wanted) if _is(DNS_SUBDOMAIN, wanted.name) else None


def _is(form: Text, value: str) -> bool:
    return len(value) <= form.max_length and re.fullmatch(form.pattern, value) is not None
