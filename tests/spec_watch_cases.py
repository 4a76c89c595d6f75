"""A config with every field of what watches over agents: processors, metrics, alerts and budgets."""

from __future__ import annotations

from typing import Any

from alert_channels import channels
from spec_cases import BACKEND

WATCHED: dict[str, Any] = {
    "backends": [BACKEND],
    "processors": [
        {
            "name": "normalize",
            "type": "Normalize",
            "normalize": {"dialects": ["OpenInference"], "keepOriginals": False, "messages": False},
        },
        {
            "name": "redact",
            "type": "Redact",
            "redact": {
                "keyPatterns": ["password"],
                "exceptKeys": ["server.address"],
                "detectors": ["Email"],
                "patterns": [{"name": "ticket", "pattern": "TICKET-[0-9]+"}],
                "names": ["Ada Lovelace"],
                "messageContent": "Redact",
                "action": "Hash",
                "hashKey": {"secretKeyRef": {"name": "redaction", "key": "hash"}},
            },
        },
        {
            "name": "detect",
            "type": "Detect",
            "detect": {
                "disabled": ["FanOut"],
                "keep": False,
                "linkConversations": False,
                "handoffs": [{"from": "triage", "to": ["billing"]}],
                "loop": {"repeats": 5, "withoutArguments": 50},
                "context": {"tokens": 1000, "times": 2, "calls": 5},
                "tokens": {"perTrace": 500000, "perMinute": 100000},
                "toolFailures": {"consecutive": 4, "share": 0.25, "calls": 10},
                "pingPong": {"handoffs": 5},
                "fanOut": {"calls": 50},
                "cutOff": {"answers": 2, "outputTokens": 0},
            },
        },
        {
            "name": "price",
            "type": "Price",
            "price": {
                "serviceTiers": [{"name": "batch", "times": "0.5"}],
                "overrides": [
                    {
                        "provider": "openai",
                        "model": "gpt-4o",
                        "serviceTier": "priority",
                        "from": "2026-01-01",
                        "inputPerMillion": "2.50",
                        "outputPerMillion": "10.00",
                        "cacheReadPerMillion": "1.25",
                        "cacheWritePerMillion": "0",
                        "reasoningPerMillion": "10.00",
                        "inputAudioPerMillion": "40",
                        "outputAudioPerMillion": "80",
                    }
                ],
            },
        },
        {"name": "noise", "type": "Filter", "filter": {"drop": ["span.duration < 100ms", "span.is_root"]}},
        {
            "name": "tags",
            "type": "Attributes",
            "attributes": {
                "target": "Span",
                "match": 'span.kind == "server"',
                "copy": [{"from": "enduser.id", "to": "user.id"}],
                "rename": [{"from": "http.url", "to": "url.full"}],
                "delete": ["db.statement"],
                "set": [
                    {"key": "tenant", "value": "7", "valueType": "Integer", "ifMissing": True},
                    {"key": "k8s.pod.name", "fromPod": "Name"},
                    {"key": "app", "fromLabel": "app.kubernetes.io/name"},
                    {"key": "team", "fromAnnotation": "example.com/team"},
                    {"key": "caller", "fromContext": "x-caller"},
                ],
            },
        },
        {
            "name": "mine",
            "type": "Custom",
            "custom": {
                "entryPoint": "team-from-route",
                "config": {"teams": {"/pay": "billing"}, "limits": [1, 0.5, True, None]},
                "onError": "Refuse",
                "timeout": "500ms",
                "memory": "256Mi",
            },
        },
    ],
    "metrics": {
        "push": [
            {"name": "jobs", "type": "Pushgateway", "pushgateway": {"endpoint": "http://pushgateway.obs:9091"}},
            {
                "name": "collector",
                "type": "OTLP",
                "interval": "30s",
                "otlp": {"endpoint": "http://collector.obs:4318", "headers": [{"name": "X-Tenant", "value": "shop"}]},
            },
            {"name": "graphs", "type": "StatsD", "statsd": {"endpoint": "statsd.obs:8125", "prefix": "agents."}},
        ]
    },
    "alerts": {
        "builtIn": "Agents",
        "renotify": "10m",
        "rules": [
            {
                "name": "HighErrorRate",
                "condition": "error_rate > 0.05",
                "window": "10m",
                "for": "5m",
                "severity": "critical",
                "labels": {"team": "care"},
                "annotations": {"summary": "{{ $labels.agent }} fails"},
                "runbookURL": "https://runbooks.example.com/errors",
                "groupBy": ["Agent"],
                "minSamples": 20,
                "noData": "Hold",
                "cooldown": "5m",
            },
            {"name": "Raw", "promql": "rate(tracekeeper_requests_total[5m]) > 100"},
        ],
        "channels": [
            {"sendResolved": False} | each for each in channels("https://hooks.example.com", "mail.example.com:587")
        ],
    },
    "budgets": [
        {
            "name": "daily",
            "period": "Day",
            "timeZone": "Europe/Berlin",
            "limit": {"amount": "100", "currency": "USD"},
            "groupBy": ["Agent"],
            "thresholds": [{"percent": 75, "severity": "warning", "decision": "Allow"}],
            "unknown": "Deny",
            "shared": False,
        }
    ],
}
