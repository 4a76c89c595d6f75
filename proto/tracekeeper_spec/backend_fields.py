"""The declaration of `spec.backends`; see `fields`, of which it is a part."""

from __future__ import annotations

from tracekeeper_spec import checks
from tracekeeper_spec.config import (
    Auth,
    AuthType,
    Backend,
    BackendType,
    Basic,
    Batch,
    CircuitBreaker,
    ClientCertificate,
    Compression,
    Header,
    Protocol,
    Retry,
    SecretKeyRef,
    SecretSource,
    Tls,
)
from tracekeeper_spec.schema import Check, Choice, Duration, Field, Integer, ListOf, Object, Size, Union
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
        Field("name", DNS_SUBDOMAIN, "Name of the Secret, in this config's namespace.", required=True),
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
            "CPU than "
            "it saves; hence the default.",
            default_note="`Gzip` for `https://`, `None` for `http://`",
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
    ),
)

BATCH = Object(
    Batch,
    (
        Field("maxSpans", Integer(1, 65536), "Spans in one request, at most.", default=512),
        Field("maxBytes", Size("1Ki", "64Mi"), "Size of one request before compression, at most.", default="4Mi"),
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
            "Wait before any retry, at most. Retries go on until the backend takes the spans.",
            default="30s",
        ),
    ),
    checks=(
        Check(
            checks.backoff_grows,
            "duration(has(self.maxBackoff) ? self.maxBackoff : '30s')"
            " >= duration(has(self.initialBackoff) ? self.initialBackoff : '1s')",
            "maxBackoff must not be less than initialBackoff",
        ),
    ),
)

CIRCUIT_BREAKER = Object(
    CircuitBreaker,
    (
        Field("failureThreshold", Integer(1, 1000), "Failures in a row that open the circuit.", default=5),
        Field(
            "openFor",
            Duration("10ms", "1h"),
            "How long it stays open the first time; doubles.",
            default="30s",
        ),
        Field("maxOpenFor", Duration("10ms", "24h"), "How long it stays open, at most.", default="5m"),
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
    Backend,
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
)

BACKENDS = ListOf(BACKEND, 16, min_items=1, unique="name")
