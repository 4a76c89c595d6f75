"""Where the metrics of sidecars go, besides being scraped: the section `metrics`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PushType(StrEnum):
    """What is spoken at the other end."""

    PUSHGATEWAY = "Pushgateway"
    OTLP = "OTLP"
    STATSD = "StatsD"


@dataclass(frozen=True, slots=True)
class Pushgateway:
    """Prometheus' Pushgateway, or what takes the same requests."""

    endpoint: str
    """Its base URL."""


@dataclass(frozen=True, slots=True)
class PushHeader:
    """A header that holds nothing secret."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PushOtlp:
    """A receiver of OTLP metrics over HTTP."""

    endpoint: str
    """The URL to which `/v1/metrics` is appended."""
    headers: tuple[PushHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class StatsD:
    """A StatsD server that understands tags, as DogStatsD's protocol has them, over UDP."""

    endpoint: str
    """`host:port`."""
    prefix: str = ""
    """Before every name."""


@dataclass(frozen=True, slots=True)
class Push:
    """One place that every sidecar of the config sends its metrics to."""

    name: str
    type: PushType
    interval: float
    """Seconds between two pushes; one more is made when the pod ends."""
    pushgateway: Pushgateway | None = None
    otlp: PushOtlp | None = None
    statsd: StatsD | None = None


@dataclass(frozen=True, slots=True)
class Metering:
    """The section `metrics`."""

    push: tuple[Push, ...] = ()
