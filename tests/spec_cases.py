"""TracingConfigs that are right; for the parser and for a real API server alike."""

from __future__ import annotations

import copy
from typing import Any

from spec_receiver_cases import RECEIVERS

BACKEND: dict[str, Any] = {
    "name": "a",
    "type": "OTLP",
    "otlp": {"protocol": "GRPC", "endpoint": "http://127.0.0.1:4317"},
}
REF = {"name": "creds", "key": "token"}

FULL: dict[str, Any] = {
    "suspend": False,
    "selector": {
        "matchLabels": {"app.kubernetes.io/part-of": "agents"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "silver"]}],
    },
    "allowedNamespaces": {
        "from": "Selector",
        "selector": {
            "matchLabels": {"team": "care"},
            "matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["play"]}],
        },
    },
    "enforced": ["Backends", "Delivery"],
    "logLevel": "Debug",
    "sidecar": {
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
            "limits": {"cpu": 1, "memory": "512Mi", "ephemeral-storage": "2Gi"},
        },
        "ports": {"metrics": 15000},
        "receivers": RECEIVERS,
        "storage": {
            "type": "Ephemeral",
            "size": "2Gi",
            "history": "512Mi",
            "ephemeral": {"storageClassName": "fast.example"},
        },
        "drainTimeout": "1m30s",
        "repair": "Evict",
        "imageUpdate": "InPlace",
    },
    "sampling": {
        "decisionWait": "1m",
        "rules": [
            {"name": "errors", "match": 'trace.status == "error"', "probability": 1},
            {"name": "premium", "match": 'trace.root.attributes["user.plan"] == "premium"', "probability": 0.5},
        ],
        "default": {
            "type": "Adaptive",
            "adaptive": {
                "targetTracesPerSecond": 250.5,
                "per": "Config",
                "minProbability": 0.001,
                "maxProbability": 0.9,
                "groupBy": ["service.name", "gen_ai.agent.name", "operation"],
            },
        },
        "maxSpansPerTrace": 5000,
    },
    "buffer": {"whenFull": "DropOldest", "maxSpans": 1000000, "maxAge": "24h", "deadLetterSize": "32Mi"},
    "backends": [
        {
            "name": "tempo",
            "type": "OTLP",
            "otlp": {
                "protocol": "GRPC",
                "endpoint": "https://tempo.obs:4317",
                "headers": [{"name": "X-Scope-OrgID", "value": "shop"}, {"name": "X-Key", "secretKeyRef": REF}],
                "auth": {"type": "Bearer", "bearer": {"secretKeyRef": REF}},
                "tls": {
                    "ca": {"secretKeyRef": {"name": "tempo-ca", "key": "ca.crt"}},
                    "clientCertificate": {"secretName": "tempo-client"},
                },
                "compression": "None",
                "maxConnections": 2,
                "shardBy": "TraceID",
            },
            "timeout": "3s",
            "batch": {"maxSpans": 100, "maxBytes": "1Mi", "maxDelay": "250ms"},
            "retry": {
                "initialBackoff": "2s",
                "maxBackoff": "1m",
                "maxAttempts": 50,
                "budget": 0.1,
            },
            "circuitBreaker": {
                "state": "Disabled",
                "failureThreshold": 3,
                "window": "1m",
                "failureRate": 0.25,
                "slowCallRate": 0.75,
                "slowCallDuration": "2s",
                "minimumCalls": 10,
                "openFor": "10s",
                "maxOpenFor": "1h",
                "successThreshold": 1,
            },
        },
        {
            "name": "standby",
            "type": "OTLP",
            "otlp": {
                "protocol": "HTTP",
                "endpoint": "https://tempo.dr/otlp/",
                "auth": {
                    "type": "Basic",
                    "basic": {"username": "shop", "password": {"secretKeyRef": {"name": "dr", "key": "password"}}},
                },
            },
            "retry": {"statusCodes": [408, 500]},
        },
    ],
    "delivery": [
        {"name": "primary", "backends": ["tempo", "standby"]},
        {
            "name": "copy",
            "backends": ["standby"],
            "spans": "All",
            "match": 'span.status == "error"',
            "guarantee": "BestEffort",
            "from": "Oldest",
            "maxLag": "5m",
        },
    ],
    "rollout": {"canaryPercent": 25, "observeFor": "2m", "haltOn": ["DeliveryFailure"]},
}
"""Every field there is."""


def manifest(spec: object, name: str = "agents") -> dict[str, Any]:
    """A whole object, as the API server would have it."""
    return {
        "apiVersion": "tracekeeper.dev/v1alpha1",
        "kind": "TracingConfig",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }


def changed(spec: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of `spec` with `value` at `path`, for example `backends.0.otlp.endpoint`."""
    result = copy.deepcopy(spec)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = result
    for step in parents:
        place = place[step]
    place[last] = value
    return result


NIGHTS = {"days": ["Friday", "Saturday"], "from": "22:00", "to": "06:00", "timeZone": "Europe/Berlin", "probability": 1}
SCHEDULED: dict[str, Any] = changed(
    FULL, "sampling.default", {"type": "Probabilistic", "probabilistic": {"probability": 0.1, "schedule": [NIGHTS]}}
)
"""What FULL cannot have, because it goes with another `type`."""


def scheduled(**entry: object) -> dict[str, Any]:
    """A default of sampling whose schedule has one entry: NIGHTS, less what `entry` says."""
    return {"type": "Probabilistic", "probabilistic": {"schedule": [{**NIGHTS, **entry}]}}
