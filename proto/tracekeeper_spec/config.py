"""A TracingConfig as types. Names are the YAML's in snake_case, durations seconds (float), sizes bytes (int).

A section (a field directly below `spec`) that was not written is None in ConfigSpec, because sections are
replaced as a whole when configs are merged, and an absent one must stay absent until then; `resolve` fills it
in afterwards. Inside a section that was written, defaults are already applied. So a resolved config looks
like this, and every value is there:

    ResolvedSpec
      suspend: bool                       log_level: LogLevel
      sidecar: Sidecar
        resources: Resources              requests, limits: {"cpu": "50m", "memory": "96Mi"}, as in a pod
        ports: Ports                      metrics: int
        receivers: Receivers              otlp: OtlpReceiver(grpc_port, http_port)
                                          openai: OpenAiReceiver(parent_from), zipkin: ZipkinReceiver(port) | None
        storage: Storage                  type: StorageType, size, history: bytes, ephemeral: Ephemeral | None
        drain_timeout: seconds            repair: Repair, image_update: ImageUpdate
      backends: tuple[Backend, …]
        name: str                         type: BackendType, always OTLP in this release
        otlp: Otlp
          protocol: Protocol              GRPC or HTTP
          endpoint: str                   "https://tempo.obs:4317"; .secure, .target (GRPC), .traces_url
          headers: tuple[Header, …]       name, and either value or secret_key_ref
          auth: Auth | None               type: AuthType, bearer: SecretSource | None, basic: Basic | None
          tls: Tls | None                 ca: SecretSource | None, client_certificate: …(secret_name) | None
          compression: Compression        NONE, GZIP or ZSTD, worked out from the scheme when it was not written
          max_connections: int            shard_by: ShardBy
        timeout: seconds
        batch: Batch                      max_spans, max_bytes, max_delay: seconds
        retry: Retry                      initial_backoff, max_backoff: seconds; max_attempts, budget, status_codes
        circuit_breaker: CircuitBreaker   setting, thresholds, rates, and times in seconds
      buffer: Buffer                      when_full: WhenFull, max_spans, max_age: seconds, dead_letter_size: bytes
      delivery: tuple[DeliveryEntry, …]   name, backends: their names; the first healthy one gets the spans
                                          spans, match, guarantee, from_, max_lag: which spans, and how hard to try
      sampling: Sampling | None           see `sampling`; None: every span is kept, and there is no waiting
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from tracekeeper_spec.alert import Alerts
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.consent import ONLY_OWN, AllowedNamespaces
from tracekeeper_spec.metering import Metering
from tracekeeper_spec.processor import Processor
from tracekeeper_spec.sampling import Sampling
from tracekeeper_spec.secret_ref import SecretKeyRef, SecretSource
from tracekeeper_spec.selector import Selector

GROUP = "tracekeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TracingConfig"
PLURAL = "tracingconfigs"


class Section(StrEnum):
    """The parts of a spec that are replaced as a whole when configs are merged."""

    LOG_LEVEL = "LogLevel"
    SIDECAR = "Sidecar"
    BUFFER = "Buffer"
    SAMPLING = "Sampling"
    BACKENDS = "Backends"
    DELIVERY = "Delivery"
    ROLLOUT = "Rollout"
    PROCESSORS = "Processors"
    METRICS = "Metrics"
    ALERTS = "Alerts"
    BUDGETS = "Budgets"

    @property
    def field(self) -> str:
        """Its name in the spec: `logLevel`."""
        return self.value[0].lower() + self.value[1:]

    @property
    def attribute(self) -> str:
        """Its name in ConfigSpec: `log_level`."""
        return self.name.lower()


class Repair(StrEnum):
    """What the operator does about a pod that opted in and has no sidecar."""

    NEVER = "Never"
    EVICT = "Evict"


class ImageUpdate(StrEnum):
    """When a sidecar gets the image of a newer release."""

    ON_RESTART = "OnRestart"
    IN_PLACE = "InPlace"


class LogLevel(StrEnum):
    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


class StorageType(StrEnum):
    EMPTY_DIR = "EmptyDir"
    EPHEMERAL = "Ephemeral"
    HOST_PATH = "HostPath"


class BackendType(StrEnum):
    OTLP = "OTLP"


class Protocol(StrEnum):
    GRPC = "GRPC"
    HTTP = "HTTP"


class AuthType(StrEnum):
    BEARER = "Bearer"
    BASIC = "Basic"


class Compression(StrEnum):
    NONE = "None"
    GZIP = "Gzip"
    ZSTD = "Zstd"


class ShardBy(StrEnum):
    """What decides which of a backend's addresses a span goes to."""

    NONE = "None"
    TRACE_ID = "TraceID"


class BreakerState(StrEnum):
    """What a config makes of a circuit breaker."""

    AUTO = "Auto"
    FORCED_OPEN = "ForcedOpen"
    DISABLED = "Disabled"


class WhenFull(StrEnum):
    REFUSE = "Refuse"
    DROP_OLDEST = "DropOldest"


class Spans(StrEnum):
    """Whether a delivery entry heeds sampling."""

    SAMPLED = "Sampled"
    ALL = "All"


class Guarantee(StrEnum):
    GUARANTEED = "Guaranteed"
    BEST_EFFORT = "BestEffort"


class From(StrEnum):
    """Where in the log a delivery entry that is new begins."""

    NOW = "Now"
    OLDEST = "Oldest"


@dataclass(frozen=True, slots=True)
class Resources:
    """What the sidecar's container asks for and may use, as Kubernetes takes it."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ports:
    metrics: int


@dataclass(frozen=True, slots=True)
class OtlpReceiver:
    grpc_port: int
    http_port: int


class ParentFrom(StrEnum):
    """What may name the parent of a trace that comes by OpenAI's trace ingest."""

    METADATA = "Metadata"
    METADATA_OR_REQUEST = "MetadataOrRequest"


@dataclass(frozen=True, slots=True)
class OpenAiReceiver:
    """OpenAI's trace ingest, on the port of OTLP over HTTP."""

    parent_from: ParentFrom = ParentFrom.METADATA


@dataclass(frozen=True, slots=True)
class ZipkinReceiver:
    """Zipkin's API, on the port of OTLP over HTTP."""

    port: int | None = None
    """A port of its own besides."""


@dataclass(frozen=True, slots=True)
class Receivers:
    otlp: OtlpReceiver
    openai: OpenAiReceiver = OpenAiReceiver()
    zipkin: ZipkinReceiver | None = None
    """None: Zipkin's API is not served."""


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A generic ephemeral volume."""

    storage_class_name: str | None
    """None for the cluster's default."""


@dataclass(frozen=True, slots=True)
class Storage:
    type: StorageType
    size: int
    """Bytes."""
    history: int
    """Bytes of `size` that spans may keep which every delivery entry has passed."""
    ephemeral: Ephemeral | None = None
    """Only for `type: Ephemeral`, and there only if it was written."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    resources: Resources
    ports: Ports
    receivers: Receivers
    storage: Storage
    drain_timeout: float
    """Seconds."""
    repair: Repair = Repair.NEVER
    image_update: ImageUpdate = ImageUpdate.ON_RESTART


@dataclass(frozen=True, slots=True)
class Header:
    """Sent with every request; exactly one of `value` and `secret_key_ref` is there."""

    name: str
    value: str | None
    secret_key_ref: SecretKeyRef | None


@dataclass(frozen=True, slots=True)
class Basic:
    username: str
    password: SecretSource


@dataclass(frozen=True, slots=True)
class Auth:
    """The member named after `type` is there, the other is None."""

    type: AuthType
    bearer: SecretSource | None
    basic: Basic | None


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A Secret of type kubernetes.io/tls, with the keys `tls.crt` and `tls.key`."""

    secret_name: str


@dataclass(frozen=True, slots=True)
class Tls:
    ca: SecretSource | None
    """PEM certificates to trust instead of the system's."""
    client_certificate: ClientCertificate | None


@dataclass(frozen=True, slots=True)
class Otlp:
    protocol: Protocol
    endpoint: str
    headers: tuple[Header, ...]
    auth: Auth | None
    tls: Tls | None
    compression: Compression
    max_connections: int
    shard_by: ShardBy

    @property
    def secure(self) -> bool:
        """Whether to speak TLS: the endpoint's scheme is https."""
        return self.endpoint.startswith("https://")

    @property
    def target(self) -> str:
        """`host:port` of a GRPC endpoint (IPv6 in brackets)."""
        return urlsplit(self.endpoint).netloc

    @property
    def traces_url(self) -> str:
        """Where an HTTP endpoint takes traces: `/v1/traces` below it."""
        return self.endpoint.rstrip("/") + "/v1/traces"


@dataclass(frozen=True, slots=True)
class Batch:
    max_spans: int
    max_bytes: int
    max_delay: float
    """Seconds to wait for a batch to fill."""


@dataclass(frozen=True, slots=True)
class Retry:
    initial_backoff: float
    """Seconds before the first retry."""
    max_backoff: float
    """Seconds before any retry, at most."""
    max_attempts: int | None
    """Calls for the same spans, the first included; None: no end."""
    budget: float
    """Share of a backend's calls that may be retries."""
    status_codes: tuple[int, ...]
    """HTTP statuses to retry besides those of the backend's own error table."""


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Times are in seconds, rates are shares of the calls of the last `window`."""

    state: BreakerState
    failure_threshold: int
    """Failures in a row that open it."""
    window: float
    failure_rate: float
    slow_call_rate: float
    slow_call_duration: float
    """From here on a call is slow."""
    minimum_calls: int
    """Calls in the window below which no rate is looked at."""
    open_for: float
    max_open_for: float
    success_threshold: int
    """Successes in a row that close it again."""


@dataclass(frozen=True, slots=True)
class Backend:
    name: str
    type: BackendType
    otlp: Otlp
    timeout: float
    """Seconds for one request."""
    batch: Batch
    retry: Retry
    circuit_breaker: CircuitBreaker


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """Backends in order of preference: the first healthy one gets the spans."""

    name: str
    backends: tuple[str, ...]
    spans: Spans = Spans.SAMPLED
    match: str = ""
    """Condition over a span; empty: every span."""
    guarantee: Guarantee = Guarantee.GUARANTEED
    from_: From = From.NOW
    max_lag: float | None = None
    """Seconds; only for BestEffort, and there always."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """What the log does with what it cannot hand on."""

    when_full: WhenFull
    max_spans: int | None
    """Pending spans of a delivery entry; None: the size of the storage alone decides."""
    max_age: float | None
    """Seconds that a span may be pending; None: for ever."""
    dead_letter_size: int
    """Bytes of the storage for batches that a backend has refused; 0: they are not kept."""


class HaltOn(StrEnum):
    """What takes a new policy back from the pods that try it."""

    SIDECAR_CRASH = "SidecarCrash"
    DELIVERY_FAILURE = "DeliveryFailure"


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a changed policy comes to the pods: to some first."""

    canary_percent: int
    """Of the pods, 1 to 100; never none of them."""
    observe_for: float
    """Seconds."""
    halt_on: tuple[HaltOn, ...]


@dataclass(frozen=True, slots=True)
class ConfigSpec:
    """What one TracingConfig says; None for a section that it does not have."""

    suspend: bool | None = None
    selector: Selector | None = None
    log_level: LogLevel | None = None
    sidecar: Sidecar | None = None
    buffer: Buffer | None = None
    backends: tuple[Backend, ...] | None = None
    delivery: tuple[DeliveryEntry, ...] | None = None
    sampling: Sampling | None = None
    allowed_namespaces: AllowedNamespaces | None = None
    enforced: tuple[Section, ...] | None = None
    """Sections of a config of the root namespace that no other config may replace."""
    rollout: Rollout | None = None
    """None: a changed policy comes to all pods at once."""
    processors: tuple[Processor, ...] | None = None
    metrics: Metering | None = None
    alerts: Alerts | None = None
    """None: no rule is written for it."""
    budgets: tuple[Budget, ...] | None = None


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """A TracingConfig without faults, as it came from the API or from a file."""

    name: str
    namespace: str
    """`default` when a file does not say."""
    uid: str
    """Empty, as `created` is, for a file."""
    generation: int
    """Grows with each change of the spec; 0 for a file."""
    created: str
    """metadata.creationTimestamp."""
    spec: ConfigSpec
    written: Mapping[str, Any] = field(default_factory=dict)
    """`spec` as it was written, for the policy document."""

    @property
    def selector(self) -> Selector | None:
        return self.spec.selector

    @property
    def consent(self) -> AllowedNamespaces:
        """Whom it may be used by."""
        return self.spec.allowed_namespaces or ONLY_OWN
