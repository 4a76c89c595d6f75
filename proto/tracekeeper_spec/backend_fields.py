"""The declaration of `spec.backends`; see `fields`, of which it is a part."""

from __future__ import annotations

from tracekeeper_spec import checks
from tracekeeper_spec.config import (
    Auth,
    AuthType,
    BackendType,
    Basic,
    Batch,
    BreakerState,
    ClientCertificate,
    Compression,
    Header,
    Protocol,
    Retry,
    ShardBy,
    Tls,
)
from tracekeeper_spec.schema import Check, Choice, Duration, Field, Fraction, Integer, ListOf, Object, Size, Union
from tracekeeper_spec.secret_ref import SecretKeyRef, SecretSource
from tracekeeper_spec.texts import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    ENDPOINT,
    HEADER_NAME,
    HEADER_VALUE,
    SECRET_KEY,
    USERNAME,
)

SECRET_KEY_REF = Object(
    SecretKeyRef,
    (
        Field(
            "name",
            DNS_SUBDOMAIN,
            "Name of the Secret, in this config's namespace; not one that begins with `tracekeeper-`.",
            required=True,
        ),
        Field("key", SECRET_KEY, "Key in the Secret.", required=True),
    ),
)

SECRET_SOURCE = Object(
    SecretSource,
    (Field("secretKeyRef", SECRET_KEY_REF, "The key of a Secret that holds the value.", required=True),),
)

HEADER = Object(
    Header,
    (
        Field("name", HEADER_NAME, "Name of the header; for gRPC it is sent in lower case.", required=True),
        Field("value", HEADER_VALUE, "The value itself. For anything secret use `secretKeyRef`."),
        Field("secretKeyRef", SECRET_KEY_REF, "The key of a Secret that holds the value."),
    ),
    one_of=("value", "secretKeyRef"),
)

BASIC = Object(
    Basic,
    (
        Field("username", USERNAME, "The user's name.", required=True),
        Field("password", SECRET_SOURCE, "The password, from a Secret.", required=True),
    ),
)

AUTH = Object(
    Auth,
    (
        Field("type", Choice(AuthType), "How the sidecar says who it is.", required=True),
        Field("bearer", SECRET_SOURCE, "For `type: Bearer`: the token, from a Secret."),
        Field("basic", BASIC, "For `type: Basic`: user name and password."),
    ),
    union=Union("type", {"Bearer": "bearer", "Basic": "basic"}),
)

TLS = Object(
    Tls,
    (
        Field(
            "ca",
            SECRET_SOURCE,
            "PEM certificates of the authorities to trust, from a Secret.",
            default_note="the authorities that the sidecar's image trusts",
        ),
        Field(
            "clientCertificate",
            Object(
                ClientCertificate,
                (
                    Field(
                        "secretName",
                        DNS_SUBDOMAIN,
                        "Name of a Secret of type kubernetes.io/tls, with the keys `tls.crt` and `tls.key`.",
                        required=True,
                    ),
                ),
            ),
            "The sidecar's own certificate, for backends that ask for one (mTLS).",
        ),
    ),
)

OTLP = Object(
    checks.make_otlp,
    (
        Field("protocol", Choice(Protocol), "OTLP over gRPC or over HTTP (protobuf).", required=True),
        Field(
            "endpoint",
            ENDPOINT,
            "Where the backend listens. The scheme says plaintext (`http://`) or TLS (`https://`), for "
            "gRPC too. "
            "GRPC: host and port. HTTP: the base URL, to which `/v1/traces` is appended.",
            required=True,
        ),
        Field(
            "headers",
            ListOf(HEADER, 32, unique="name"),
            "Headers (for gRPC: metadata) sent with every request.",
            default=[],
        ),
        Field("auth", AUTH, "How the sidecar says who it is.", default_note="not at all"),
        Field(
            "tls",
            TLS,
            "For `https://` endpoints: whom to trust, and the sidecar's certificate.",
            default_note="the authorities that the sidecar's image trusts",
        ),
        Field(
            "compression",
            Choice(Compression),
            "How requests are compressed. Plaintext endpoints are near, and compressing would cost more "
            "CPU than it saves; hence the default. `Zstd` is for HTTP only, and for backends that take it.",
            default_note="`Gzip` for `https://`, `None` for `http://`",
        ),
        Field(
            "maxConnections",
            Integer(1, 64),
            "Connections to it, at most; another one is opened only when those there are full. With "
            "`shardBy: TraceID`, connections to each of its addresses.",
            default=4,
        ),
        Field(
            "shardBy",
            Choice(ShardBy),
            "For an endpoint whose host name has several addresses, as a headless Service has: `TraceID` sends each "
            "trace whole to one of them, and all sidecars agree on which. `None` takes the first address that answers.",
            default="None",
        ),
    ),
    checks=(
        Check(
            checks.endpoint_suits_protocol,
            "self.protocol == 'GRPC' ? self.endpoint.matches('^https?://[^/]+:[0-9]+/?$')"
            " : !self.endpoint.matches('/v1/traces/*$')",
            "a GRPC endpoint is scheme, host and port; an HTTP endpoint does not end with /v1/traces, "
            "which is "
            "appended",
        ),
        Check(
            checks.tls_needs_https,
            "!has(self.tls) || !self.endpoint.startsWith('http:')",
            "tls has no effect, because the endpoint's scheme is http",
        ),
        Check(checks.header_names_differ),
        Check(
            checks.compression_suits_protocol,
            "!has(self.compression) || self.compression != 'Zstd' || self.protocol == 'HTTP'",
            "Zstd is for protocol HTTP only",
        ),
    ),
)

BATCH = Object(
    Batch,
    (
        Field("maxSpans", Integer(1, 65536), "Spans in one request, at most.", default=2048),
        Field("maxBytes", Size("1Ki", "64Mi"), "Size of one request before compression, at most.", default="1Mi"),
        Field("maxDelay", Duration("0s", "1m"), "How long to wait for a batch to fill.", default="1s"),
    ),
)

RETRY = Object(
    Retry,
    (
        Field("initialBackoff", Duration("10ms", "5m"), "Wait before the first retry; doubles.", default="1s"),
        Field(
            "maxBackoff",
            Duration("10ms", "1h"),
            "Wait before any retry, at most.",
            default="30s",
        ),
        Field(
            "maxAttempts",
            Integer(1, 1000),
            "Calls for the same spans, the first included; then the delivery entry gives them up, and counts them.",
            default_note="without end: spans wait until the backend takes them",
        ),
        Field(
            "budget",
            Fraction(0.01),
            "Share of the calls to this backend that may be retries, so that retrying does not keep down a backend "
            "that is coming back.",
            default=0.2,
        ),
        Field(
            "statusCodes",
            ListOf(Integer(400, 599), 16),
            "For `protocol: HTTP`: statuses to retry besides 429, 502, 503 and 504; for backends that answer 408 or "
            "500, say, when they only mean later.",
            default=[],
        ),
    ),
    checks=(
        Check(
            checks.backoff_grows,
            "duration(has(self.maxBackoff) ? self.maxBackoff : '30s')"
            " >= duration(has(self.initialBackoff) ? self.initialBackoff : '1s')",
            "maxBackoff must not be less than initialBackoff",
        ),
        Check(
            checks.split_is_not_retry,
            "!has(self.statusCodes) || !(413 in self.statusCodes)",
            "413 is not for retrying: the same request stays too large",
        ),
    ),
)

CIRCUIT_BREAKER = Object(
    checks.make_breaker,
    (
        Field(
            "state",
            Choice(BreakerState),
            "`Auto` opens and closes by itself, `ForcedOpen` sends this backend nothing, `Disabled` never opens.",
            default="Auto",
        ),
        Field("failureThreshold", Integer(1, 1000), "Failures in a row that open the circuit.", default=5),
        Field("window", Duration("1s", "1h"), "The time before now whose calls make the rates below.", default="30s"),
        Field("failureRate", Fraction(0.01), "Share of failed calls in the window that opens it.", default=0.5),
        Field("slowCallRate", Fraction(0.01), "Share of slow calls in the window that opens it.", default=1.0),
        Field(
            "slowCallDuration",
            Duration("10ms", "5m"),
            "Calls that take longer are slow; at most `timeout`.",
            default_note="four fifths of `timeout`",
        ),
        Field(
            "minimumCalls",
            Integer(1, 10000),
            "Calls that the window must hold before a rate counts.",
            default=20,
        ),
        Field(
            "openFor",
            Duration("10ms", "1h"),
            "How long it stays open the first time; doubles.",
            default="30s",
        ),
        Field("maxOpenFor", Duration("10ms", "24h"), "How long it stays open, at most.", default="5m"),
        Field(
            "successThreshold",
            Integer(1, 100),
            "Successes in a row, one call at a time, that close it again.",
            default=2,
        ),
    ),
    checks=(
        Check(
            checks.open_time_grows,
            "duration(has(self.maxOpenFor) ? self.maxOpenFor : '5m')"
            " >= duration(has(self.openFor) ? self.openFor : '30s')",
            "maxOpenFor must not be less than openFor",
        ),
    ),
)

BACKEND = Object(
    checks.make_backend,
    (
        Field("name", DNS_LABEL, "Name of the backend, in `delivery`, metrics and logs.", required=True),
        Field("type", Choice(BackendType), "What kind of backend it is.", required=True),
        Field("otlp", OTLP, "For `type: OTLP`: anything that takes OpenTelemetry's protocol."),
        Field("timeout", Duration("100ms", "5m"), "How long one request may take.", default="10s"),
        Field("batch", BATCH, "How spans are put together into requests.", default={}),
        Field("retry", RETRY, "How failed requests are repeated.", default={}),
        Field("circuitBreaker", CIRCUIT_BREAKER, "When a failing backend is left alone for a while.", default={}),
    ),
    union=Union("type", {"OTLP": "otlp"}),
    checks=(
        Check(
            checks.slow_before_timeout,
            "!has(self.circuitBreaker) || !has(self.circuitBreaker.slowCallDuration)"
            " || duration(self.circuitBreaker.slowCallDuration)"
            " <= duration(has(self.timeout) ? self.timeout : '10s')",
            "circuitBreaker.slowCallDuration must not be more than timeout",
        ),
        Check(
            checks.statuses_need_http,
            "!has(self.otlp) || self.otlp.protocol != 'GRPC' || !has(self.retry) || !has(self.retry.statusCodes)"
            " || size(self.retry.statusCodes) == 0",
            "retry.statusCodes are for protocol HTTP only",
        ),
    ),
)

BACKENDS = ListOf(BACKEND, 16, min_items=1, unique="name")
