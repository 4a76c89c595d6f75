"""Where the metrics of sidecars go, besides being scraped: the section `metrics`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metering:
    """The section `metrics`."""
