"""Text from far away, as a terminal may show it. Pure."""

from __future__ import annotations


def plain(text: str) -> str:
    """Nothing that a terminal would take for anything but text."""
    return "".join(character if character.isprintable() else "?" for character in text)
