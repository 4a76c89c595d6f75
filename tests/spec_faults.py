"""TracingConfigs that are wrong in one way each; for the parser and for a real API server alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spec_budget_cases import FAULTY_BUDGETS
from spec_cases import BACKEND, FULL, REF, changed, scheduled
from spec_channel_cases import FAULTY_CHANNELS
from spec_receiver_cases import FAULTY_RECEIVERS


@dataclass(frozen=True)
class Faulty:
    """FULL with `value` at `at`; the fault is at `path` and its text holds `words`."""

    at: str
    value: object
    path: str
    words: str
    server: bool = True
    """Whether the API server refuses it too, without any webhook."""

    @property
    def spec(self) -> dict[str, Any]:
        return changed(FULL, self.at, self.value)

    def __str__(self) -> str:
        return f"{self.at}={self.value!r}"[:80]


E = "backends.0.otlp.endpoint"
EP = "spec.backends[0].otlp.endpoint"
SCHEDULE = "spec.sampling.default.probabilistic.schedule[0]"
FAULTY = [
    Faulty("suspend", "yes", "spec.suspend", "must be true or false, not 'yes'"),
    Faulty("loglevel", "Info", "spec.loglevel", "did you mean logLevel?"),
    Faulty("logLevel", "debug", "spec.logLevel", "did you mean Debug?"),
    Faulty("logLevel", None, "spec.logLevel", "is empty", False),
    Faulty("enforced", ["backends"], "spec.enforced[0]", "did you mean Backends?"),
    Faulty("enforced", ["Selector"], "spec.enforced[0]", "must be one of LogLevel, Sidecar, "),
    Faulty("allowedNamespaces", {"from": "None"}, "spec.allowedNamespaces.from", "one of Same, All, Selector"),
    Faulty("allowedNamespaces", {"from": "All", "selector": {}}, "spec.allowedNamespaces.selector", "from: All"),
    Faulty("allowedNamespaces", {"selector": {}}, "spec.allowedNamespaces.selector", "does not go with from: Same"),
    Faulty("allowedNamespaces", {"from": "Selector"}, "spec.allowedNamespaces.selector", "is required, because from"),
    Faulty("selector", [], "spec.selector", "must be a mapping, not a list"),
    Faulty("selector.matchLabels", {"app": 1}, "spec.selector.matchLabels['app']", "put it in quotes"),
    Faulty("selector.matchLabels", {"a b": "c"}, "spec.selector.matchLabels['a b'] (the name)", "label's name", False),
    Faulty("selector.matchLabels", {f"a{i}": "" for i in range(17)}, "spec.selector.matchLabels", "at most 16 entries"),
    Faulty(
        "selector.matchExpressions.0.operator",
        "Equals",
        "spec.selector.matchExpressions[0].operator",
        "must be one of In, NotIn, Exists, DoesNotExist",
    ),
    Faulty("selector.matchExpressions.0.values", [], "spec.selector.matchExpressions[0].values", "operator is In"),
    Faulty(
        "selector.matchExpressions.0.operator",
        "Exists",
        "spec.selector.matchExpressions[0].values",
        "does not go with operator Exists",
    ),
    Faulty("sidecar.drainTimeout", 20, "spec.sidecar.drainTimeout", "write 20s for seconds"),
    Faulty("sidecar.drainTimeout", "20 s", "spec.sidecar.drainTimeout", "is not a duration"),
    Faulty("sidecar.drainTimeout", "2h", "spec.sidecar.drainTimeout", "must be from 1s to 1h, not 2h"),
    Faulty("sidecar.ports.metrics", "15000", "spec.sidecar.ports.metrics", "leave the quotes out"),
    Faulty("sidecar.ports.metrics", 80, "spec.sidecar.ports.metrics", "must be from 1024 to 65535, not 80"),
    Faulty("sidecar.ports.metrics", True, "spec.sidecar.ports.metrics", "must be a whole number"),
    Faulty("sidecar.ports.grpcPort", 4317, "spec.sidecar.ports.grpcPort", "is not a known field"),
    Faulty("sidecar.grpcPort", 4317, "spec.sidecar.grpcPort", "the fields here are resources, ports"),
    Faulty("sidecar.size", "1Gi", "spec.sidecar.size", "it belongs in storage"),
    Faulty("sidecar.storage.size", "1", "spec.sidecar.storage.size", "must be from 1Mi to 1Ti", False),
    Faulty("sidecar.storage.size", "1 GB", "spec.sidecar.storage.size", "is not a quantity"),
    Faulty("sidecar.storage.size", 1.5, "spec.sidecar.storage.size", "must be a size such as 512Mi"),
    Faulty("sidecar.storage.type", "Hostpath", "spec.sidecar.storage.type", "did you mean HostPath?"),
    Faulty("sidecar.storage.type", "HostPath", "spec.sidecar.storage.ephemeral", "does not go with type: HostPath"),
    Faulty("sidecar.storage.history", "3Gi", "spec.sidecar.storage.history", "3Gi is more than size", False),
    Faulty("sampling", True, "spec.sampling", "must be a mapping, not True"),
    Faulty("sampling.decisionWait", "2h", "spec.sampling.decisionWait", "must be from 100ms to 1h, not 2h"),
    Faulty("sampling.maxSpansPerTrace", 1, "spec.sampling.maxSpansPerTrace", "must be from 100 to 10000000, not 1"),
    Faulty("sampling.probability", 1, "spec.sampling.probability", "is not a known field"),
    Faulty(
        "sampling.rules.0.match",
        "trace.state == 'x'",
        "spec.sampling.rules[0].match",
        "did you mean trace.status?",
        False,
    ),
    Faulty(
        "sampling.rules.0.match",
        "trace.duration > span.duration",
        "spec.sampling.rules[0].match",
        "at character 16: compares the trace with a span",
        False,
    ),
    Faulty("sampling.rules.0.match", "", "spec.sampling.rules[0].match", "and is empty"),
    Faulty(
        "sampling.rules.0.match", "true || " * 128 + "true", "spec.sampling.rules[0].match", "at most 1024 characters"
    ),
    Faulty(
        "sampling.rules.0.probability",
        50,
        "spec.sampling.rules[0].probability",
        "must be from 0 to 1, not 50 (write 0.5 for",
    ),
    Faulty("sampling.rules.0.probability", "1", "spec.sampling.rules[0].probability", "must be a number from 0 to 1"),
    Faulty(
        "sampling.rules.0", {"name": "errors", "match": "true"}, "spec.sampling.rules[0].probability", "is required"
    ),
    Faulty(
        "sampling.rules.1.name", "errors", "spec.sampling.rules[1].name", "already the name of spec.sampling.rules[0]"
    ),
    Faulty("sampling.rules.0.name", "default", "spec.sampling.rules[0].name", "stands for something else in metrics"),
    Faulty("sampling.rules.0.name", "max-spans", "spec.sampling.rules[0].name", "(choose another name)"),
    Faulty(
        "sampling.rules",
        [{"name": f"r{i}", "match": "true", "probability": 1} for i in range(17)],
        "spec.sampling.rules",
        "at most 16 items, and has 17",
    ),
    Faulty(
        "sampling.rules",
        [
            {
                "name": f"r{i}",
                "match": f"span.attributes.a{i} == 1 && trace.spans > 1 || "
                f"span.attributes.b{i} == 1 && trace.spans > 2",
                "probability": 1,
            }
            for i in range(16)
        ],
        "spec.sampling.rules",
        "the conditions ask for 32 different tests of spans, and there is room for 31",
        False,
    ),
    Faulty("sampling.default", {}, "spec.sampling.default.type", "is required (write Probabilistic or Adaptive)"),
    Faulty(
        "sampling.default.type",
        "Probabilistic",
        "spec.sampling.default.adaptive",
        "does not go with type: Probabilistic",
    ),
    Faulty(
        "sampling.default",
        {"type": "Adaptive", "probabilistic": {}},
        "spec.sampling.default.probabilistic",
        "does not go with type: Adaptive (remove it, or write type: Probabilistic)",
    ),
    Faulty(
        "sampling.default.adaptive.targetTracesPerSecond",
        0,
        "spec.sampling.default.adaptive.targetTracesPerSecond",
        "must be from 0.01 to 1000000, not 0",
        False,
    ),
    Faulty(
        "sampling.default.adaptive.per", "namespace", "spec.sampling.default.adaptive.per", "did you mean Namespace?"
    ),
    Faulty(
        "sampling.default.adaptive.minProbability",
        0.95,
        "spec.sampling.default.adaptive.minProbability",
        "0.95 is more than maxProbability, which is 0.9 (write 0.9 or less)",
    ),
    Faulty(
        "sampling.default.adaptive.groupBy",
        ["a", "a"],
        "spec.sampling.default.adaptive.groupBy[1]",
        "in this list already",
    ),
    Faulty("sampling.default.adaptive.groupBy", [""], "spec.sampling.default.adaptive.groupBy[0]", "and is empty"),
    Faulty("sampling.default", scheduled(days=["monday"]), f"{SCHEDULE}.days[0]", "did you mean Monday?"),
    Faulty("sampling.default", scheduled(days=["Monday", "Monday"]), f"{SCHEDULE}.days[1]", "in this list already"),
    Faulty("sampling.default", scheduled(days=[]), f"{SCHEDULE}.days", "must have at least one item"),
    Faulty(
        "sampling.default", scheduled(**{"from": "24:00"}), f"{SCHEDULE}.from", 'must be a time of day such as "08:00"'
    ),
    Faulty("sampling.default", scheduled(to=1080), f"{SCHEDULE}.to", "not 1080 (put it in quotes)"),
    Faulty(
        "sampling.default", scheduled(timeZone="Europe/Atlantis"), f"{SCHEDULE}.timeZone", "is not a time zone", False
    ),
    Faulty("sampling.default", scheduled(timeZone="../etc/passwd"), f"{SCHEDULE}.timeZone", "is not a time zone"),
    Faulty("buffer.whenFull", "Drop", "spec.buffer.whenFull", "one of Refuse, DropOldest"),
    Faulty("buffer.maxSpans", 0, "spec.buffer.maxSpans", "must be from 1 to"),
    Faulty("buffer.maxAge", "10ms", "spec.buffer.maxAge", "must be from 1s to 8760h"),
    Faulty("buffer.deadLetterSize", "1Ti", "spec.buffer.deadLetterSize", "must be from 0 to 16Gi", False),
    Faulty("sidecar.resources.limits.cpu", 0.5, "spec.sidecar.resources.limits.cpu", "put it in quotes"),
    Faulty("sidecar.resources.limits.cpu", "0", "spec.sidecar.resources.limits.cpu", "must be more than zero", False),
    Faulty("sidecar.resources.limits.gpu", "1", "spec.sidecar.resources.limits.gpu", "is not a known field"),
    Faulty(
        "sidecar.resources.requests.memory",
        "1Gi",
        "spec.sidecar.resources.requests.memory",
        "1Gi is more than limits.memory, which is 512Mi",
        False,
    ),
    Faulty("backends", [], "spec.backends", "must have at least one item"),
    Faulty("backends", BACKEND, "spec.backends", "must be a list, not a dict"),
    Faulty("backends", "a", "spec.backends", "must be a list, not 'a'"),
    Faulty(
        "backends", [{**BACKEND, "name": f"b{i}"} for i in range(17)], "spec.backends", "at most 16 items, and has 17"
    ),
    Faulty("backends.1.name", "tempo", "spec.backends[1].name", "'tempo' is already the name of spec.backends[0]"),
    Faulty("backends.0.name", "Tempo", "spec.backends[0].name", "lower-case letters"),
    Faulty("backends.0.name", "tempo\n", "spec.backends[0].name", "lower-case letters"),
    Faulty("backends.0.name", "t" * 64, "spec.backends[0].name", "at most 63 characters, and has 64"),
    Faulty("backends.0.name", "", "spec.backends[0].name", "and is empty"),
    Faulty("backends.0.type", "Otlp", "spec.backends[0].type", "did you mean OTLP?"),
    Faulty("backends.0", {"name": "tempo", "type": "OTLP"}, "spec.backends[0].otlp", "because type is OTLP"),
    Faulty("backends.0.endpoint", "http://a", "spec.backends[0].endpoint", "it belongs in otlp"),
    Faulty("backends.0.time_out", "1s", "spec.backends[0].time_out", "did you mean timeout?"),
    Faulty("backends.0.timeout", "0s", "spec.backends[0].timeout", "must be from 100ms to 5m"),
    Faulty("backends.0.batch.maxSpans", 0, "spec.backends[0].batch.maxSpans", "must be from 1 to 65536, not 0"),
    Faulty("backends.0.batch.maxBytes", "1Gi", "spec.backends[0].batch.maxBytes", "must be from 1Ki to 64Mi", False),
    Faulty("backends.0.batch.maxDelay", "61s", "spec.backends[0].batch.maxDelay", "must be from 0s to 1m"),
    Faulty(
        "backends.0.retry.maxBackoff",
        "1s",
        "spec.backends[0].retry.maxBackoff",
        "1s is less than initialBackoff, which is 2s",
    ),
    Faulty(
        "backends.0.circuitBreaker",
        {"openFor": "10m"},
        "spec.backends[0].circuitBreaker.maxOpenFor",
        "5m is less than openFor, which is 10m",
    ),
    Faulty("backends.0.retry.budget", 20, "spec.backends[0].retry.budget", "must be from 0.01 to 1, not 20 (write 0.2"),
    Faulty("backends.0.retry.budget", "20%", "spec.backends[0].retry.budget", "must be a number from 0.01 to 1"),
    Faulty("backends.0.retry.budget", float("nan"), "spec.backends[0].retry.budget", "not nan", False),
    Faulty("backends.0.retry.maxAttempts", 0, "spec.backends[0].retry.maxAttempts", "must be from 1 to 1000"),
    Faulty("backends.1.retry.statusCodes", [200], "spec.backends[1].retry.statusCodes[0]", "must be from 400 to 599"),
    Faulty("backends.1.retry.statusCodes", [413], "spec.backends[1].retry.statusCodes", "stays too large"),
    Faulty(
        "backends.0.retry.statusCodes",
        [408],
        "spec.backends[0].retry.statusCodes",
        "has no effect, because otlp.protocol is GRPC",
    ),
    Faulty(
        "backends.0.circuitBreaker.state", "Open", "spec.backends[0].circuitBreaker.state", "one of Auto, ForcedOpen"
    ),
    Faulty(
        "backends.0.circuitBreaker.failureRate", 0.001, "spec.backends[0].circuitBreaker.failureRate", "from 0.01 to 1"
    ),
    # The API server compares a whole number with the bound's whole part.
    Faulty(
        "backends.0.circuitBreaker.failureRate",
        0,
        "spec.backends[0].circuitBreaker.failureRate",
        "from 0.01 to 1",
        False,
    ),
    Faulty(
        "backends.0.circuitBreaker.slowCallDuration",
        "4s",
        "spec.backends[0].circuitBreaker.slowCallDuration",
        "4s is more than timeout, which is 3s",
    ),
    Faulty("backends.0.otlp.maxConnections", 0, "spec.backends[0].otlp.maxConnections", "must be from 1 to 64"),
    Faulty("backends.0.otlp.compression", "Zstd", "spec.backends[0].otlp.compression", "because protocol is GRPC"),
    Faulty("backends.0.otlp.shardBy", "TraceId", "spec.backends[0].otlp.shardBy", "did you mean TraceID?"),
    Faulty("backends.0.otlp.protocol", "grpc", "spec.backends[0].otlp.protocol", "did you mean GRPC?"),
    Faulty(E, "tempo:4317", EP, "write http://tempo:4317 for plaintext or https://tempo:4317 for TLS"),
    Faulty(E, "grpc://tempo:4317", EP, "must start with http:// (plaintext) or https:// (TLS)"),
    Faulty(E, "https://tempo", EP, "must say its port, because protocol is GRPC (usually https://tempo:4317)"),
    Faulty(E, "https://tempo:4317/otlp", EP, "must not have a path, because protocol is GRPC"),
    Faulty(E, "https://tempo:0", EP, "must name a host, and a port from 1 to 65535", False),
    Faulty(E, "https://tempo:99999", EP, "is not a valid URL", False),
    Faulty(E, "https://[::1:4317", EP, "is not a valid URL", False),
    Faulty(E, "https://:4317", EP, "must name a host"),
    Faulty(E, "https://tempo:4317?x=1", EP, "must not have a query"),
    Faulty(E, "https://te mpo:4317", EP, "without spaces"),
    Faulty(E, "https://me:secret@tempo:4317", EP, "use auth, with a Secret"),
    Faulty("backends.1.otlp.endpoint", "https://a/v1/traces", "spec.backends[1].otlp.endpoint", "must not end with"),
    Faulty(
        "backends.0.otlp",
        {"protocol": "GRPC", "endpoint": "http://a:1", "tls": {}},
        "spec.backends[0].otlp.tls",
        "scheme is http",
    ),
    Faulty(
        "backends.0.otlp.headers.0",
        {"name": "a", "value": "b", "secretKeyRef": REF},
        "spec.backends[0].otlp.headers[0]",
        "exactly one of value and secretKeyRef, and both are there",
    ),
    Faulty("backends.0.otlp.headers.0", {"name": "a"}, "spec.backends[0].otlp.headers[0]", "and none is there"),
    Faulty("backends.0.otlp.headers.0.name", "a b", "spec.backends[0].otlp.headers[0].name", "name of an HTTP header"),
    Faulty("backends.0.otlp.headers.0.value", "a\nb", "spec.backends[0].otlp.headers[0].value", "printable ASCII"),
    Faulty("backends.0.otlp.headers.0.name", "Host", "spec.backends[0].otlp.headers[0].name", "sidecar itself", False),
    Faulty("backends.0.otlp.headers.0.name", "x-bin", "spec.backends[0].otlp.headers[0].name", "for binary", False),
    Faulty("backends.0.otlp.headers.0.name", "x-key", "spec.backends[0].otlp.headers[1].name", "other letters", False),
    Faulty(
        "backends.0.otlp.headers.0.name", "Authorization", "spec.backends[0].otlp.headers[0].name", "with auth", False
    ),
    Faulty(
        "backends.0.otlp.auth",
        {"type": "Bearer", "basic": FULL["backends"][1]["otlp"]["auth"]["basic"]},
        "spec.backends[0].otlp.auth.basic",
        "does not go with type: Bearer",
    ),
    Faulty("backends.0.otlp.auth.type", "Basic", "spec.backends[0].otlp.auth.basic", "because type is Basic"),
    Faulty("backends.1.otlp.auth.basic.username", "a:b", "spec.backends[1].otlp.auth.basic.username", "colon"),
    Faulty(
        "backends.0.otlp.tls.ca.secretKeyRef.key",
        "../x",
        "spec.backends[0].otlp.tls.ca.secretKeyRef.key",
        "name of a key in a Secret",
    ),
    Faulty(
        "backends.0.otlp.tls.ca.secretKeyRef.name",
        "..",
        "spec.backends[0].otlp.tls.ca.secretKeyRef.name",
        "name of a Kubernetes object",
    ),
    Faulty("backends.0.otlp.tls.ca", {}, "spec.backends[0].otlp.tls.ca.secretKeyRef", "is required"),
    Faulty(
        "delivery.0.backends", ["temp0", "tempo"], "spec.delivery[0].backends[0]", "there is no backend 'temp0' (did"
    ),
    Faulty("delivery.0.backends", ["tempo", "tempo"], "spec.delivery[0].backends[1]", "is in this list already"),
    Faulty("delivery.0.backends", [], "spec.delivery[0].backends", "at least one item"),
    Faulty("delivery.1.guarantee", "Guaranteed", "spec.delivery[1].maxLag", "does not go with guarantee: Guaranteed"),
    Faulty("delivery.1.from", "Newest", "spec.delivery[1].from", "must be one of Now, Oldest"),
    Faulty("delivery.1.spans", "Some", "spec.delivery[1].spans", "must be one of Sampled, All"),
    Faulty("delivery.1.match", "", "spec.delivery[1].match", "and is empty"),
    Faulty(
        "delivery.1.match",
        "span.durations > 1s",
        "spec.delivery[1].match",
        "at character 6: span has no field durations (did you mean span.duration?)",
        False,
    ),
    Faulty("delivery.1.name", "primary", "spec.delivery[1].name", "is already the name of spec.delivery[0]"),
    Faulty("delivery", [], "spec.delivery", "at least one item"),
    *(Faulty("alerts", *case) for case in FAULTY_CHANNELS),
    *(Faulty("budgets", *case) for case in FAULTY_BUDGETS),
    *(Faulty(*case) for case in FAULTY_RECEIVERS),
]
