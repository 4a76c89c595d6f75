"""The reference page of TracingConfig from the declared fields; see `generate`, which writes it."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_spec import config, schema
from tracekeeper_spec.condition import MAX_LENGTH
from tracekeeper_spec.fields import SPEC

HEAD = f"""\
# TracingConfig

<!-- Written by `make docs` from proto/tracekeeper_spec. Do not edit. -->

`apiVersion: {config.API_VERSION}`, `kind: {config.KIND}` (`kubectl get tcfg`). It says, for pods of its own namespace
that opted in with `tracekeeper.dev/inject: "true"`, where their spans go. Only `backends` must be written.
[`examples/tracingconfig.yaml`](../../examples/tracingconfig.yaml) is a commented one to start from;
`kubectl explain {config.PLURAL}.spec --recursive` shows this page on the cluster that you are on.

```yaml
apiVersion: {config.API_VERSION}
kind: {config.KIND}
metadata: {{name: agents, namespace: shop}}
spec:
  backends:
    - {{name: tempo, type: OTLP, otlp: {{protocol: GRPC, endpoint: "http://tempo.obs:4317"}}}}
    - {{name: standby, type: OTLP, otlp: {{protocol: HTTP, endpoint: "https://tempo.dr.example.com"}}}}
```

## How it is read

- **Which config a pod gets.** One whose `selector` matches the pod's labels beats one that has no selector; among
  equals the oldest wins, then the first by name. A pod that no config selects gets a sidecar all the same: it buffers
  and waits.
- **When it applies.** What sits under `sidecar` applies when a pod is replaced. All else reloads in running sidecars,
  within the time the kubelet takes to refresh a mounted Secret (about a minute).
- **Defaults** are filled in by Tracekeeper, not by the API server: `kubectl get -o yaml` shows what you wrote.
- **Durations** are `h`, `m`, `s` and `ms` in that order, in whole numbers: `500ms`, `10s`, `1h30m`.
  **Sizes** and **quantities** are Kubernetes': `512Mi`, `1Gi`, `50m`.
- **Choices** are a `type` and the field named after it: `type: Bearer` goes with `bearer`, and only with it.
- **Conditions** are in the [condition language](condition-language.md).
- **Secrets** are looked up in the config's namespace. Whoever may create pods there can read them, as ever.
- **Faults** are reported all at once, each with its field: by the API server and the webhook on `kubectl apply`, in
  the condition `Accepted`, and by `tracekeeper-sidecar check --config FILE`. A field that is not on this page is a
  fault, too.
"""

TAIL = """\
## status

Written by the operator.

| field | what it says |
|---|---|
| `observedGeneration` | The newest generation that the operator has seen. |
| `conditions` | `Accepted`: the config has no faults. `ResolvedRefs`: the Secrets that it names are there. `Ready`: \
sidecars get it. Each has a reason, and a message that says what to do. |
| `policy.revision` | Revision of the namespace's policy; only grows. A sidecar's `/health` says which one it has. |
| `policy.current` | Digest of the policy. |
"""


def kind(node: schema.Node) -> str:
    """Form and bounds of `node`, in words."""
    match node:
        case schema.Boolean():
            return "`true` or `false`"
        case schema.Integer(minimum=low, maximum=high):
            return f"integer, {low} to {high}"
        case schema.Fraction(minimum=least, maximum=most):
            return f"number, {least:.15g} to {most:.15g}"
        case schema.Text(max_length=longest):
            return f"text, up to {longest}"
        case schema.Condition(whole_trace=whole):
            anchor = "#conditions-about-traces" if whole else ""
            return f"[condition](condition-language.md{anchor}), up to {MAX_LENGTH}"
        case schema.Choice(values=values):
            return " or ".join(f"`{item.value}`" for item in values)
        case schema.Duration(minimum=low, maximum=high):
            return f"duration, {low} to {high}"
        case schema.Size(minimum=low, maximum=high):
            return f"size, {low} to {high}"
        case schema.Amount():
            return "quantity"
        case schema.TextMap(max_items=most):
            return f"map of texts, up to {most}"
        case schema.Free(max_bytes=most):
            return f"object of any form, up to {most} bytes as JSON"
        case schema.ListOf(item=item, max_items=most, unique=unique):
            what = {schema.Object: "objects", schema.Text: "texts", schema.Integer: "integers"}.get(type(item))
            what = what or kind(item)
            return f"list of {what}, up to {most}" + (f", each with its own `{unique}`" if unique else "")
        case schema.Object():
            return "object"


def written(default: object) -> str:
    """A default as a person writes it into a manifest."""
    if isinstance(default, list | tuple):
        return f"[{', '.join(map(written, default))}]"
    return str(default).lower() if isinstance(default, bool) else str(default)


def rows(field: schema.Field, path: str) -> Iterator[str]:
    """A table row for `field`, then those for what is inside it."""
    default = "**required**" if field.required else field.default_note
    if not default and field.default not in (None, {}, []):
        default = f"`{written(field.default)}`"
    yield f"| `{path}` | {kind(field.node)} | {default} | {field.description} |"
    yield from _inside(field.node, path)


def _inside(node: schema.Node, path: str) -> Iterator[str]:
    if isinstance(node, schema.ListOf):
        yield from _inside(node.item, f"{path}[]")
    if isinstance(node, schema.Object):
        if node.one_of:
            names = " and ".join(f"`{name}`" for name in node.one_of)
            yield f"| | | | In each, exactly one of {names} is there. |"
        for field in node.fields:
            yield from rows(field, f"{path}.{field.name}")


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for field in SPEC.fields:
        table = ["| field | form | default | what it is for |", "|---|---|---|---|", *rows(field, field.name)]
        parts.append(f"## spec.{field.name}\n\n" + "\n".join(table) + "\n")
    return "\n".join([*parts, TAIL])
