"""What must hold between fields, and the values that are worked out from other fields.

Each check gets what could be read of its object and yields (path below it, problem, hint); see
`schema.Check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tracekeeper_spec.config import (
    Auth,
    Backend,
    BackendType,
    Batch,
    BreakerState,
    CircuitBreaker,
    Compression,
    DeliveryEntry,
    Ephemeral,
    From,
    Guarantee,
    Header,
    Otlp,
    Protocol,
    Resources,
    Retry,
    ShardBy,
    Spans,
    Storage,
    StorageType,
    Tls,
)
from tracekeeper_spec.consent import NamespacesFrom
from tracekeeper_spec.schema import Finding, Values
from tracekeeper_spec.selector import LabelExpression, Operator
from tracekeeper_spec.units import format_duration, format_quantity, parse_amount, show

DEFAULT_REQUESTS = {"cpu": "50m", "memory": "96Mi"}
DEFAULT_LIMITS = {"memory": "256Mi"}
DEFAULT_MAX_LAG = 600.0
"""Seconds."""
SLOW_SHARE = 0.8
"""Of the timeout: calls that take longer count as slow."""


def resource_list(**amounts: str | None) -> dict[str, str]:
    """Requests or limits as Kubernetes writes them."""
    return {name.replace("_", "-"): amount for name, amount in amounts.items() if amount is not None}


def make_resources(requests: dict[str, str] | None, limits: dict[str, str] | None) -> Resources:
    """Fills in each amount that was not written, so that a default request never exceeds a written limit, nor the
    other way: who limits the CPU keeps the memory limit."""
    asked, capped = requests or {}, limits or {}
    least = {name: _smaller(amount, capped.get(name, amount)) for name, amount in DEFAULT_REQUESTS.items()} | asked
    most = {name: _larger(amount, least.get(name, amount)) for name, amount in DEFAULT_LIMITS.items()} | capped
    return Resources(least, most)


def _smaller(a: str, b: str) -> str:
    return min(a, b, key=parse_amount)


def _larger(a: str, b: str) -> str:
    return max(a, b, key=parse_amount)


def make_expression(key: str, operator: Operator, values: tuple[str, ...] | None) -> LabelExpression:
    return LabelExpression(key, operator, values or ())


def make_otlp(
    protocol: Protocol,
    endpoint: str,
    headers: tuple[Header, ...],
    auth: Auth | None,
    tls: Tls | None,
    compression: Compression | None,
    max_connections: int,
    shard_by: ShardBy,
) -> Otlp:
    """Plaintext goes to a neighbour, where compressing costs more than it saves; TLS goes further away."""
    if compression is None:
        compression = Compression.GZIP if endpoint.startswith("https://") else Compression.NONE
    return Otlp(protocol, endpoint, headers, auth, tls, compression, max_connections, shard_by)


def make_storage(type: StorageType, size: int, history: int | None, ephemeral: Ephemeral | None) -> Storage:
    return Storage(type, size, size // 2 if history is None else history, ephemeral)


def make_backend(
    name: str,
    type: BackendType,
    otlp: Otlp,
    timeout: float,
    batch: Batch,
    retry: Retry,
    circuit_breaker: CircuitBreaker,
) -> Backend:
    """What counts as slow follows the timeout, unless it is written."""
    if not circuit_breaker.slow_call_duration:
        circuit_breaker = replace(circuit_breaker, slow_call_duration=timeout * SLOW_SHARE)
    return Backend(name, type, otlp, timeout, batch, retry, circuit_breaker)


def make_breaker(
    state: BreakerState,
    failure_threshold: int,
    window: float,
    failure_rate: float,
    slow_call_rate: float,
    slow_call_duration: float | None,
    minimum_calls: int,
    open_for: float,
    max_open_for: float,
    success_threshold: int,
) -> CircuitBreaker:
    """`make_backend`, which knows the timeout, fills in a `slow_call_duration` that was not written."""
    return CircuitBreaker(
        state,
        failure_threshold,
        window,
        failure_rate,
        slow_call_rate,
        slow_call_duration or 0.0,
        minimum_calls,
        open_for,
        max_open_for,
        success_threshold,
    )


def make_entry(
    name: str,
    backends: tuple[str, ...],
    spans: Spans,
    match: str | None,
    guarantee: Guarantee,
    from_: From,
    max_lag: float | None,
) -> DeliveryEntry:
    if max_lag is None and guarantee is Guarantee.BEST_EFFORT:
        max_lag = DEFAULT_MAX_LAG
    return DeliveryEntry(name, backends, spans, match or "", guarantee, from_, max_lag)


def requests_within_limits(values: Values) -> Iterator[Finding]:
    requests, limits = values.get("requests") or {}, values.get("limits") or {}
    for name, amount in requests.items():
        if name in limits and parse_amount(amount) > parse_amount(limits[name]):
            problem = f"{amount} is more than limits.{name}, which is {limits[name]}"
            yield f"requests.{name}", problem, "Kubernetes would refuse every pod with such a sidecar"


def ports_differ(values: Values) -> Iterator[Finding]:
    ports: list[tuple[str, Any]] = []
    if values.get("ports") is not None:
        ports.append(("ports.metrics", values["ports"].metrics))
    if values.get("receivers") is not None:
        otlp = values["receivers"].otlp
        ports += [("receivers.otlp.grpcPort", otlp.grpc_port), ("receivers.otlp.httpPort", otlp.http_port)]
        zipkin = values["receivers"].zipkin
        if zipkin is not None and zipkin.port is not None:
            ports.append(("receivers.zipkin.port", zipkin.port))
    seen: dict[int, str] = {}
    for path, port in ports:
        if seen.setdefault(port, path) != path:
            yield path, f"{port} is already {seen[port]}", "give each listener a port of its own"


def backoff_grows(values: Values) -> Iterator[Finding]:
    yield from _ordered(values, "initial_backoff", "initialBackoff", "max_backoff", "maxBackoff")


def open_time_grows(values: Values) -> Iterator[Finding]:
    yield from _ordered(values, "open_for", "openFor", "max_open_for", "maxOpenFor")


def _ordered(values: Values, low: str, low_name: str, high: str, high_name: str) -> Iterator[Finding]:
    if low in values and high in values and values[high] < values[low]:
        a, b = format_duration(values[high]), format_duration(values[low])
        yield high_name, f"{a} is less than {low_name}, which is {b}", f"write {b} or more"


def values_suit_operator(values: Values) -> Iterator[Finding]:
    if "operator" not in values or "values" not in values:
        return
    operator, given = values["operator"], values["values"]
    if operator in (Operator.IN, Operator.NOT_IN) and not given:
        yield "values", f"must have at least one item, because operator is {operator}", ""
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and given:
        yield "values", f"does not go with operator {operator}", "remove it, or write In or NotIn"


def entry_names_backend_once(values: Values) -> Iterator[Finding]:
    names = values.get("backends") or ()
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"backends[{index}]", f"{show(name)} is in this list already", "remove it"


def header_names_differ(values: Values) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, header in enumerate(values.get("headers") or ()):
        lower = header.name.lower()
        first = seen.setdefault(lower, index)
        # The exact same name is reported by the list itself.
        if first != index and values["headers"][first].name != header.name:
            yield f"headers[{index}].name", f"is headers[{first}].name in other letters", "remove one of them"
        if lower == "authorization" and values.get("auth") is not None:
            yield (
                f"headers[{index}].name",
                "does not go with auth, which sets Authorization",
                "remove one of them",
            )


def endpoint_suits_protocol(values: Values) -> Iterator[Finding]:
    if "endpoint" not in values or "protocol" not in values:
        return
    parts = urlsplit(values["endpoint"])
    if values["protocol"] == Protocol.GRPC:
        if parts.path not in ("", "/"):
            yield "endpoint", "must not have a path, because protocol is GRPC", "or write protocol: HTTP"
        if parts.port is None:
            yield (
                "endpoint",
                "must say its port, because protocol is GRPC",
                f"usually {parts.scheme}://{parts.netloc}:4317",
            )
    elif parts.path.rstrip("/").endswith("/v1/traces"):
        hint = "the sidecar appends /v1/traces itself, as OTEL_EXPORTER_OTLP_ENDPOINT does"
        yield "endpoint", "must not end with /v1/traces", hint


def tls_needs_https(values: Values) -> Iterator[Finding]:
    if values.get("tls") is not None and values.get("endpoint", "https:").startswith("http:"):
        yield "tls", "has no effect, because the endpoint's scheme is http", "write https:// or remove tls"


def compression_suits_protocol(values: Values) -> Iterator[Finding]:
    if values.get("compression") is Compression.ZSTD and values.get("protocol") is Protocol.GRPC:
        yield "compression", "must not be Zstd, because protocol is GRPC", "write Gzip, or protocol: HTTP"


def history_fits(values: Values) -> Iterator[Finding]:
    size, history = values.get("size"), values.get("history")
    if size is not None and history is not None and history > size:
        problem = f"{format_quantity(history)} is more than size, which is {format_quantity(size)}"
        yield "history", problem, "it is a part of size: write less, or leave it out for half"


def storage_member_suits_type(values: Values) -> Iterator[Finding]:
    kind = values.get("type")
    if values.get("ephemeral") is not None and kind is not None and kind is not StorageType.EPHEMERAL:
        yield "ephemeral", f"does not go with type: {kind}", "remove it, or write type: Ephemeral"


def selector_suits_from(values: Values) -> Iterator[Finding]:
    source, given = values.get("from_"), values.get("selector") is not None
    if source is NamespacesFrom.SELECTOR and not given and "selector" in values:
        yield "selector", "is required, because from is Selector", "write the labels that a namespace must have"
    if given and source is not None and source is not NamespacesFrom.SELECTOR:
        yield "selector", f"does not go with from: {source}", "remove it, or write from: Selector"


def split_is_not_retry(values: Values) -> Iterator[Finding]:
    if 413 in (values.get("status_codes") or ()):
        problem = "413 means that the request is too large, and the same request stays too large"
        yield "statusCodes", problem, "remove it: such requests are sent again in parts, without being asked"


def statuses_need_http(values: Values) -> Iterator[Finding]:
    retry, otlp = values.get("retry"), values.get("otlp")
    if retry is not None and retry.status_codes and otlp is not None and otlp.protocol is Protocol.GRPC:
        problem = "has no effect, because otlp.protocol is GRPC, whose answers are no HTTP statuses"
        yield "retry.statusCodes", problem, "remove it: UNAVAILABLE and the like are tried again anyway"


def slow_before_timeout(values: Values) -> Iterator[Finding]:
    breaker, timeout = values.get("circuit_breaker"), values.get("timeout")
    if breaker is not None and timeout is not None and breaker.slow_call_duration > timeout:
        slow, limit = format_duration(breaker.slow_call_duration), format_duration(timeout)
        problem = f"{slow} is more than timeout, which is {limit}: no call can take that long"
        yield "circuitBreaker.slowCallDuration", problem, f"write {limit} or less"


def lag_needs_best_effort(values: Values) -> Iterator[Finding]:
    if values.get("max_lag") is not None and values.get("guarantee") is Guarantee.GUARANTEED:
        hint = "remove it, or write guarantee: BestEffort"
        yield "maxLag", "does not go with guarantee: Guaranteed, which never gives spans up for being late", hint
