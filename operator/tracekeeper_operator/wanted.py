"""What a namespace's policy is made of, and whose Secrets that takes: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracekeeper_spec.merge import Merged, SecretKey
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.wish import Reference

from .retire import Staying


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a namespace's policy is made of."""

    configs: tuple[Merged, ...] = ()
    """For pods that are picked by labels, or name a config of their own namespace."""
    named: tuple[Merged, ...] = ()
    """For pods that name a config of another namespace."""

    @property
    def secrets(self) -> frozenset[SecretKey]:
        return frozenset(key for merged in (*self.configs, *self.named) for key in merged.secrets)

    def without(self, stays: Staying) -> Wanted:
        """Those of which something else stays are left out."""
        configs, named = stays.uids
        return Wanted(
            tuple(merged for merged in self.configs if merged.head.uid not in configs),
            tuple(merged for merged in self.named if merged.head.uid not in named),
        )


def want(scope: Scope, named: Iterable[Reference] = (), *, used: bool = True) -> Wanted:
    """What pods of a namespace may get. `named` are the configs that they name; `used` says whether there are pods at
    all: without one, a default of the root namespace is not published there, nor are its credentials.
    """
    configs = [scope.with_level(config) for config in scope.own]
    if used and scope.base() is None:
        configs.append(scope.with_level(None))
    foreign = sorted({str(wanted): wanted for wanted in named if wanted.namespace != scope.namespace}.items())
    return Wanted(_there(configs), _there(scope.by_name(wanted) for _, wanted in foreign))


def _there(found: Iterable[Merged | None]) -> tuple[Merged, ...]:
    return tuple(merged for merged in found if merged is not None)


def secret_name(use: SecretKey, namespace: str) -> str:
    """Under which name `plan` for `namespace` looks for a Secret that was read."""
    return use.name if use.namespace == namespace else f"{use.namespace}/{use.name}"
