"""Which TracingConfig a pod gets: the same code in the controller, the injector and the sidecar.

A config whose selector matches the pod's labels beats one that takes every pod; among equals the oldest
wins, then the first by name. So a new config never takes over pods that an older one of the same kind
already has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar


class Operator(StrEnum):
    """How a label is compared; the words of Kubernetes' label selectors."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class LabelExpression:
    """One requirement on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """As Kubernetes does: a label that is absent satisfies NotIn and DoesNotExist."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector; all of its requirements must hold. An empty one matches every pod."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    match_expressions: tuple[LabelExpression, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with `labels` is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            expression.matches(labels) for expression in self.match_expressions
        )


class Candidate(Protocol):
    """What `pick` needs to know of a config."""

    @property
    def name(self) -> str: ...

    @property
    def created(self) -> str:
        """RFC 3339 in UTC, as the API server writes it; such texts order as times do. Empty sorts first."""

    @property
    def selector(self) -> Selector | None:
        """None takes every pod."""


C = TypeVar("C", bound=Candidate)


def pick(candidates: Iterable[C], labels: Mapping[str, str], annotations: Mapping[str, str]) -> C | None:
    """The one of `candidates` (of one namespace) that a pod gets, or None when no selector matches it.

    `annotations` belong to what a pod is picked by, but no rule looks at them yet.
    """
    matching = [item for item in candidates if item.selector is None or item.selector.matches(labels)]
    return min(matching, key=_rank, default=None)


def _rank(candidate: Candidate) -> tuple[bool, str, str]:
    takes_all = candidate.selector is None or candidate.selector.empty
    return takes_all, candidate.created, candidate.name
