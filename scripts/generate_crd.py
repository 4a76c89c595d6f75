"""The custom resource definition from the declared fields; see `generate`, which writes it."""

from __future__ import annotations

from typing import Any

import yaml

from tracekeeper_spec import config, schema
from tracekeeper_spec.condition import MAX_LENGTH
from tracekeeper_spec.fields import SPEC
from tracekeeper_spec.units import DURATION_PATTERN, QUANTITY_PATTERN

NAME = f"{config.PLURAL}.{config.GROUP}"

# In templates/ and not in crds/, because Helm never upgrades what is in crds/. What users have must survive
# an uninstall, hence the resource policy.
HEAD = """\
{{- /* Written by `make docs` from proto/tracekeeper_spec. Do not edit. */ -}}
{{- if .Values.crds.enabled }}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %s
  labels:
    app.kubernetes.io/name: tracekeeper
    app.kubernetes.io/part-of: tracekeeper
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""
TAIL = "{{- end }}\n"


def openapi(node: schema.Node) -> dict[str, Any]:
    """The OpenAPI form of `node`, as Kubernetes' structural schemas want it."""
    match node:
        case schema.Boolean():
            return {"type": "boolean"}
        case schema.Integer(minimum=low, maximum=high):
            return {"type": "integer", "format": "int32", "minimum": low, "maximum": high}
        case schema.Fraction(minimum=least, maximum=most):
            return {"type": "number", "minimum": least, "maximum": most}
        case schema.Text(max_length=longest, pattern=pattern, min_length=shortest):
            extra = {"pattern": pattern} if pattern else {}
            return {"type": "string", "minLength": shortest, "maxLength": longest, **extra}
        case schema.Condition():
            return {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH}
        case schema.Choice(values=values):
            return {"type": "string", "enum": [item.value for item in values]}
        case schema.Duration(minimum=low, maximum=high):
            rule = f"duration(self) >= duration('{low}') && duration(self) <= duration('{high}')"
            form = {"type": "string", "minLength": 2, "maxLength": 25, "pattern": DURATION_PATTERN}
            return {**form, **_rules([(rule, f"must be from {low} to {high}")])}
        case schema.Size() | schema.Amount():
            kinds = [{"type": "integer"}, {"type": "string"}]
            return {
                "anyOf": kinds,
                "x-kubernetes-int-or-string": True,
                "maxLength": 32,
                "pattern": QUANTITY_PATTERN,
            }
        case schema.TextMap(value=value, max_items=most):
            return {"type": "object", "maxProperties": most, "additionalProperties": openapi(value)}
        case schema.Free():
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        case schema.ListOf():
            return _list(node)
        case schema.Object():
            return _object(node)


def _list(node: schema.ListOf) -> dict[str, Any]:
    kind: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
    if node.unique and node.ordered:
        rule = f"self.all(a, self.exists_one(b, b.{node.unique} == a.{node.unique}))"
        kind |= _rules([(rule, f"each item needs a {node.unique} of its own")])
    elif node.unique:
        kind = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [node.unique]}
    least = {"minItems": node.min_items} if node.min_items else {}
    return {"type": "array", **least, "maxItems": node.max_items, **kind, "items": openapi(node.item)}


def _object(node: schema.Object) -> dict[str, Any]:
    properties = {field.name: {"description": describe(field), **openapi(field.node)} for field in node.fields}
    required = [field.name for field in node.fields if field.required]
    rules = [*_union_rules(node), *((check.cel, check.message) for check in node.checks if check.cel)]
    form: dict[str, Any] = {"type": "object", **({"required": required} if required else {})}
    return {**form, **_rules(rules), "properties": properties}


def describe(field: schema.Field) -> str:
    """The description with its default: the schema itself holds none, because merging must see what is absent."""
    default = field.default_note or ("" if field.default in (None, {}, []) else str(field.default))
    return f"{field.description} Default: {default}." if default else field.description


def _union_rules(node: schema.Object) -> list[tuple[str, str]]:
    rules = []
    if node.union:
        for kind, member in node.union.members.items():
            rule = f"(self.{node.union.tag} == '{kind}') == has(self.{member})"
            if kind in node.union.optional:
                rule = f"self.{node.union.tag} == '{kind}' || !has(self.{member})"
            rules.append((rule, f"{member} goes with {node.union.tag} {kind}, and only with it"))
    if node.one_of:
        count = " != ".join(f"has(self.{name})" for name in node.one_of)
        rules.append((count, f"exactly one of {' and '.join(node.one_of)} must be there"))
    return rules


def _rules(rules: list[tuple[str, str]]) -> dict[str, Any]:
    listed = [{"rule": rule, "message": message} for rule, message in rules]
    return {"x-kubernetes-validations": listed} if listed else {}


def _text(description: str, most: int, **more: object) -> dict[str, Any]:
    return {"description": description, "type": "string", "maxLength": most, **more}


def _count(description: str) -> dict[str, Any]:
    return {"description": description, "type": "integer", "format": "int64", "minimum": 0}


def _status() -> dict[str, Any]:
    condition = {
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": _text("Accepted, ResolvedRefs, Ready, Injected, Delivering or RolledOut.", 316),
            "status": {"description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"]},
            "observedGeneration": {
                "description": "The generation of the config that this is about.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
            "lastTransitionTime": {
                "description": "When `status` last changed.",
                "type": "string",
                "format": "date-time",
            },
            "reason": _text("Why, in one word.", 1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
            "message": _text("Why, and what to do about it.", 32768),
        },
    }
    return {
        "description": "What the operator made of it.",
        "type": "object",
        "properties": {
            "observedGeneration": {
                "description": "The newest generation that the operator has seen.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
            "conditions": {
                "description": "Accepted: the config has no faults. ResolvedRefs: the Secrets that it names are "
                "there. Ready: sidecars get it. Injected: its pods have sidecars. Delivering: what sidecars say of "
                "their backends. RolledOut: its newest generation is in effect.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": condition,
            },
            "policy": {
                "description": "What was published for sidecars.",
                "type": "object",
                "properties": {
                    "revision": {
                        "description": "Revision of the namespace's policy; only grows.",
                        "type": "integer",
                        "format": "int64",
                        "minimum": 0,
                    },
                    "current": _text("Digest of the policy, `sha256:…`.", 128),
                    "lastGood": _text("The same without what some pods try; equal while nothing is tried.", 128),
                },
            },
            "pods": _pods_status(),
            "backends": {
                "description": "Backends as sidecars find them.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": _backend_status(),
            },
            "budgets": {
                "description": "How budgets stand, for the pods of this namespace or for all that share them.",
                "type": "array",
                "maxItems": 8,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": _budget_status(),
            },
            "rollout": _rollout_status(),
            "ledger": _ledger_status(),
        },
    }


def _rollout_status() -> dict[str, Any]:
    generation = {"type": "integer", "format": "int64", "minimum": 0}
    previous = {
        "description": "What was in effect before: `tracekeeper rollout undo` goes back to it.",
        "type": "object",
        "properties": {
            "generation": {"description": "Which generation that was.", **generation},
            "spec": {
                "description": "What it said; absent if it is too large.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
    }
    return {
        "description": "How the newest generation comes to the pods; for configs with a section `rollout`.",
        "type": "object",
        "properties": {
            "phase": {
                "description": "Progressing: some pods try it. Halted: it was taken back. Complete: all have it.",
                "type": "string",
                "enum": ["Progressing", "Halted", "Complete"],
            },
            "reason": _text("Why, in one word.", 64),
            "message": _text("Why, and what comes next.", 1024),
            "digest": _text("Digest of what is tried, was taken back, or is in effect.", 128),
            "generation": {"description": "Its generation.", **generation},
            "effective": {"description": "The generation that all pods have which try nothing.", **generation},
            "since": {"description": "Since when.", "type": "string", "format": "date-time"},
            "canaries": _count("Pods that try it."),
            "ready": _count("Those of them that run it."),
            "previous": previous,
        },
    }


def _pods_status() -> dict[str, Any]:
    about = {
        "matched": "Those that opted in and have this config: injected and missed.",
        "injected": "Those with a sidecar.",
        "current": "Those that are attached to the control stream and work by the newest policy.",
        "stale": "Those that are attached and work by an older one, or by none yet.",
        "outdatedImage": "Those whose sidecar has an older image than new pods get.",
        "silent": "Those that are attached and never got a span.",
        "unscraped": "Those that are attached and whose metrics nobody has asked for in ten minutes.",
        "atFloor": "Those that are attached and whose sampling keeps more than its target, by minProbability.",
        "missed": "Those that opted in and have no sidecar.",
        "failed": "Those whose sidecar does not run.",
    }
    return {
        "description": "How many pods this config is for, and how they are. Looked at every few minutes.",
        "type": "object",
        "properties": {
            **{name: _count(text) for name, text in about.items()},
            "silentPods": {
                "description": "Some of those that are silent, as NAMESPACE/NAME.",
                "type": "array",
                "maxItems": 5,
                "x-kubernetes-list-type": "atomic",
                "items": _text("One pod.", 512),
            },
        },
    }


def _backend_status() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["name", "circuit"],
        "properties": {
            "name": _text("Of the backend.", 253),
            "circuit": _text("The worst at any sidecar; Closed is best.", 253),
            "sidecars": _count("Sidecars that have this circuit, where it does not serve."),
            "message": _text("The last fault, also after it has passed.", 512),
        },
    }


def _budget_status() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["name", "state"],
        "properties": {
            "name": _text("Of the budget.", 63),
            "state": {
                "description": "By the threshold that is reached; with `groupBy`, of the group that stands worst.",
                "type": "string",
                "enum": ["Ok", "Warning", "Critical", "Exceeded"],
            },
            "allowed": {
                "description": "Whether no threshold that is reached says Deny.",
                "type": "boolean",
            },
            "spent": _text("In this period so far, in the currency of the limit.", 64),
            "limit": _text("What may be spent; with `groupBy`, by each group.", 64),
            "forecast": _text("What will be spent when the period ends, if it goes on as lately.", 64),
            "periodEnds": {"description": "When it begins anew.", "type": "string", "format": "date-time"},
            "message": _text("What of the spending is not known; empty when all is.", 512),
        },
    }


def _ledger_status() -> dict[str, Any]:
    entry = {
        "name": _text("Of the delivery entry.", 253),
        "earlier": _count("Spans acknowledged before the entry was there."),
        "delivered": _count("Spans that a backend has taken."),
        "sampledOut": _count("Spans that sampling left out."),
        "unmatched": _count("Spans that the entry's `match` does not take."),
        "dropped": _count("Spans given up."),
        "pending": _count("Spans that wait in sidecars that are attached."),
        "unsent": _count("Spans that waited in the others when they were heard of last."),
    }
    return {
        "description": "Sum over all sidecars that were attached since `since`.",
        "type": "object",
        "properties": {
            "time": {"description": "When it was added up.", "type": "string", "format": "date-time"},
            "since": {"description": "When the controller's leader began.", "type": "string", "format": "date-time"},
            "sidecars": _count("Sidecars whose counts are in it."),
            "away": _count("Sidecars of them that are not attached."),
            "received": _count("Spans that came."),
            "acknowledged": _count("Spans answered OK, and on disk."),
            "refused": _count("Spans refused; the sender was told."),
            "filtered": _count("Spans that a processor has thrown away."),
            "suspended": _count("Spans answered OK and not stored, because of `suspend`."),
            "delivery": {
                "description": "What became of those that were acknowledged.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": entry},
            },
        },
    }


def _columns() -> list[dict[str, Any]]:
    def condition(name: str, member: str) -> str:
        return f'.status.conditions[?(@.type=="{name}")].{member}'

    rows: list[tuple[str, str, str, str, int]] = [
        ("Ready", "string", condition("Ready", "status"), "Whether sidecars get this config", 0),
        ("Pods", "integer", ".status.pods.injected", "Pods that have a sidecar by this config", 0),
        ("Missed", "integer", ".status.pods.missed", "Pods that opted in and have no sidecar", 0),
        ("Delivering", "string", condition("Delivering", "status"), "Whether spans reach the backends", 0),
        ("Reason", "string", condition("Ready", "reason"), "Why it is ready or not", 0),
        ("Suspended", "boolean", ".spec.suspend", "Whether tracing is switched off", 0),
        ("Accepted", "string", condition("Accepted", "status"), "Whether this config has no faults", 1),
        ("Rules", "string", condition("RulesLoaded", "status"), "Whether Prometheus has its alerting rules", 1),
        ("Received", "integer", ".status.ledger.received", "Spans that came to its sidecars", 1),
        ("Revision", "integer", ".status.policy.revision", "Revision of the namespace's policy", 1),
        ("Message", "string", condition("Ready", "message"), "What to do about it", 1),
        ("Age", "date", ".metadata.creationTimestamp", "Time since it was created", 0),
    ]
    return [
        {"name": name, "type": kind, "jsonPath": path, "description": about, "priority": priority}
        for name, kind, path, about, priority in rows
    ]


def definition() -> dict[str, Any]:
    """The `spec` of the CustomResourceDefinition."""
    whole = {
        "description": "Where the traces of a namespace's pods go, and how they get there safely.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {"description": "What is wanted.", **openapi(SPEC)},
            "status": _status(),
        },
    }
    return {
        "group": config.GROUP,
        "scope": "Namespaced",
        "names": {
            "kind": config.KIND,
            "listKind": f"{config.KIND}List",
            "plural": config.PLURAL,
            "singular": config.KIND.lower(),
            "shortNames": ["tcfg"],
            "categories": ["tracekeeper"],
        },
        "versions": [
            {
                "name": config.VERSION,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": _columns(),
                "schema": {"openAPIV3Schema": whole},
            }
        ],
    }


def render() -> str:
    """The whole template."""
    body = yaml.safe_dump({"spec": definition()}, sort_keys=False, width=110, allow_unicode=True)
    if "{{" in body:
        raise SystemExit("a description holds {{, which Helm would take for a template")
    return HEAD % NAME + body + TAIL
