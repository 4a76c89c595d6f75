"""Finds the class that a config names among the entry points of what is installed."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tracekeeper_spec.custom import GROUP


class NotInstalled(Exception):
    """There is no such entry point, or more than one; its text says so and what to do."""


def find(name: str) -> EntryPoint:
    """The entry point `name`; its module is not imported. Raises NotInstalled."""
    found = {point.value: point for point in entry_points(group=GROUP, name=name)}
    if len(found) > 1:
        raise NotInstalled(
            f"entry point {name!r} is there {len(found)} times: {', '.join(sorted(found))}; remove all but one"
        )
    if not found:
        names = sorted({point.name for point in entry_points(group=GROUP)})
        there = f"there are {', '.join(names)}" if names else "there are none"
        raise NotInstalled(
            f"no package that is installed has an entry point {name!r} in the group {GROUP} ({there}); install it"
            " into the sidecar's image, or put it on PYTHONPATH"
        )
    return next(iter(found.values()))


def load(name: str) -> Any:
    """The class that the entry point leads to. Raises NotInstalled, and whatever its module raises."""
    return find(name).load()
