"""CLIError: the one error that the command line reports to a person; its text says what to do next."""

from __future__ import annotations


class CLIError(Exception):
    """A command could not be done."""
