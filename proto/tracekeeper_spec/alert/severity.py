"""How bad it is that a rule fires."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """The value of an alert's label `severity`, by which it is routed."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
