"""What of ours is there and wanted no more: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .objects import Key, There


def unwanted(
    there: Mapping[Key, There], wanted: Collection[Key], unread: Collection[tuple[str, str]]
) -> list[tuple[Key, There]]:
    """The objects to delete. Those of `unread` stay, configs of which nobody knows at the moment what they want.
    `there` has only what we wrote: see `objects.is_ours`."""
    kept = {f"{namespace}/{name}" for namespace, name in unread}
    return [(key, found) for key, found in there.items() if key not in wanted and found.of not in kept]
