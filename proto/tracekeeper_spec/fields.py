"""TracingConfig, declared: every field with its form, bounds, default and description.

This is the only place where a field is declared. After a change run `make docs`, which writes the custom
resource definition and the reference page. Descriptions are shown by `kubectl explain` and on the reference page.
"""

from __future__ import annotations

from tracekeeper_spec import checks
from tracekeeper_spec.alert_fields import ALERTS
from tracekeeper_spec.backend_fields import BACKENDS
from tracekeeper_spec.budget_fields import BUDGETS
from tracekeeper_spec.config import (
    Buffer,
    ConfigSpec,
    Ephemeral,
    From,
    Guarantee,
    HaltOn,
    ImageUpdate,
    LogLevel,
    Ports,
    Repair,
    Rollout,
    Section,
    Sidecar,
    Spans,
    StorageType,
    WhenFull,
)
from tracekeeper_spec.consent import AllowedNamespaces, NamespacesFrom
from tracekeeper_spec.metering_fields import METRICS
from tracekeeper_spec.processor_fields import PROCESSORS
from tracekeeper_spec.receiver_fields import PORT, RECEIVERS
from tracekeeper_spec.sampling_fields import SAMPLING
from tracekeeper_spec.schema import (
    Amount,
    Boolean,
    Check,
    Choice,
    Condition,
    Duration,
    Field,
    Integer,
    ListOf,
    Object,
    Size,
    TextMap,
)
from tracekeeper_spec.selector import Operator, Selector
from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN, LABEL_KEY, LABEL_VALUE

EXPRESSION = Object(
    checks.make_expression,
    (
        Field("key", LABEL_KEY, "The label that is looked at.", required=True),
        Field("operator", Choice(Operator), "How the label is compared with `values`.", required=True),
        Field("values", ListOf(LABEL_VALUE, 32), "For `In` and `NotIn`: the values to compare with."),
    ),
    checks=(
        Check(
            checks.values_suit_operator,
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0"
            " : !has(self.values) || size(self.values) == 0",
            "In and NotIn need values; Exists and DoesNotExist take none",
        ),
    ),
)

SELECTOR = Object(
    Selector,
    (
        Field(
            "matchLabels",
            TextMap(LABEL_KEY, LABEL_VALUE, 16),
            "Labels that must be there, with these values.",
            default={},
        ),
        Field(
            "matchExpressions",
            ListOf(EXPRESSION, 16),
            "Further requirements on labels; all of them must hold.",
            default=[],
        ),
    ),
)

ALLOWED_NAMESPACES = Object(
    AllowedNamespaces,
    (
        Field(
            "from",
            Choice(NamespacesFrom),
            "`Same` is this namespace alone, `All` every namespace, `Selector` those whose labels match `selector`.",
            default="Same",
        ),
        Field("selector", SELECTOR, "For `from: Selector`: labels that a namespace must have."),
    ),
    checks=(
        Check(
            checks.selector_suits_from,
            "(has(self.from) && self.from == 'Selector') == has(self.selector)",
            "selector goes with from Selector, and only with it",
        ),
    ),
)

ENFORCED = ListOf(Choice(Section), 16)


def _resource_list(what: str) -> Object:
    return Object(
        checks.resource_list,
        (
            Field("cpu", Amount(), f"CPU, in cores or thousandths: `50m` is a twentieth of a core. {what}"),
            Field("memory", Amount(), f"Memory. {what}"),
            Field("ephemeral-storage", Amount(), f"Node-local storage, the buffer included. {what}"),
        ),
    )


RESOURCES = Object(
    checks.make_resources,
    (
        Field(
            "requests",
            _resource_list("What the scheduler sets aside."),
            "What is set aside for the sidecar's container.",
            default_note="of what is not written: cpu 50m, memory 96Mi, or the limit where that is less",
        ),
        Field(
            "limits",
            _resource_list("What the container may use at most."),
            "What the sidecar's container may use at most. A CPU limit of 100m makes its start slow (seconds).",
            default_note="if not written: memory 256Mi, or the request where that is more; no CPU limit",
        ),
    ),
    checks=(Check(checks.requests_within_limits),),
)

PORTS = Object(
    Ports,
    (Field("metrics", PORT, "Metrics, probes and health, on all of the pod's addresses.", default=14316),),
)

EPHEMERAL = Object(
    Ephemeral,
    (
        Field(
            "storageClassName",
            DNS_SUBDOMAIN,
            "The StorageClass of the volume.",
            default_note="the cluster's default class",
        ),
    ),
)

STORAGE = Object(
    checks.make_storage,
    (
        Field(
            "type",
            Choice(StorageType),
            "Where the buffer lives. `EmptyDir` is on the node, survives a restart of the container, and "
            "goes with the pod. `Ephemeral` does the same on a volume of its own. `HostPath` outlives the pod: another "
            "sidecar of this config on that node delivers what it left; only where the chart allows it.",
            default="EmptyDir",
        ),
        Field(
            "size",
            Size("1Mi", "1Ti"),
            "Size of the volume. The buffer uses at most 95 % of it; what happens when that is full, "
            "`buffer.whenFull` says.",
            default="1Gi",
        ),
        Field(
            "history",
            Size("0", "1Ti"),
            "How much of it spans may keep that are settled, for looking back. They make room before anything else.",
            default_note="half of `size`",
        ),
        Field("ephemeral", EPHEMERAL, "For `type: Ephemeral`: what volume to ask for."),
    ),
    checks=(
        Check(checks.history_fits),
        Check(
            checks.storage_member_suits_type,
            "!has(self.ephemeral) || has(self.type) && self.type == 'Ephemeral'",
            "ephemeral goes with type Ephemeral, and only with it",
        ),
    ),
)

SIDECAR = Object(
    Sidecar,
    (
        Field("resources", RESOURCES, "What the sidecar's container asks for and may use.", default={}),
        Field("ports", PORTS, "Ports other than those of receivers.", default={}),
        Field("receivers", RECEIVERS, "What the sidecar listens to for spans.", default={}),
        Field(
            "storage",
            STORAGE,
            "The buffer: every span is written to it before it is acknowledged.",
            default={},
        ),
        Field(
            "drainTimeout",
            Duration("1s", "1h"),
            "How long a sidecar that is told to stop goes on sending what it holds. The pod's "
            "terminationGracePeriodSeconds (30 by default) must leave room for it.",
            default="20s",
        ),
        Field(
            "repair",
            Choice(Repair),
            "What the operator does about pods that opted in and have no sidecar, or one that stays on an old policy: "
            "nothing, or `Evict` them, one at a time and as far as PodDisruptionBudgets let it, so that their owner "
            "makes new ones. Only where the chart allows it (`sidecar.repair.enabled`). Takes effect at once.",
            default="Never",
        ),
        Field(
            "imageUpdate",
            Choice(ImageUpdate),
            "When a sidecar gets the image of a newer release: with its pod's next restart, or `InPlace`, a few pods "
            "at a time, by which the sidecar alone restarts. Only where the chart allows it "
            "(`sidecar.imageUpdate.enabled`). Takes effect at once.",
            default="OnRestart",
        ),
    ),
    checks=(Check(checks.ports_differ),),
)

BUFFER = Object(
    Buffer,
    (
        Field(
            "whenFull",
            Choice(WhenFull),
            "`Refuse` answers the application's exporter that it should try again later. `DropOldest` takes new spans "
            "and gives up the oldest pending ones, `BestEffort` entries first; the ledger counts them.",
            default="Refuse",
        ),
        Field(
            "maxSpans",
            Integer(1, 2_000_000_000),
            "Pending spans of a delivery entry, at most; the oldest beyond are given up, and counted.",
            default_note="no bound but `sidecar.storage.size`",
        ),
        Field(
            "maxAge",
            Duration("1s", "8760h"),
            "How long a span may be pending; older ones are given up, and counted.",
            default_note="no bound",
        ),
        Field(
            "deadLetterSize",
            Size("0", "16Gi"),
            "Room for requests that a backend has refused, kept for `tracekeeper-sidecar dead-letter`; the oldest make "
            "way. It is part of `sidecar.storage.size`, and never more than an eighth of that. `0` keeps none.",
            default="16Mi",
        ),
    ),
)

DELIVERY_ENTRY = Object(
    checks.make_entry,
    (
        Field("name", DNS_LABEL, "Name of the entry, in metrics and in the ledger.", required=True),
        Field(
            "backends",
            ListOf(DNS_LABEL, 16, min_items=1),
            "Names of backends in order of preference: the first healthy one gets the spans (failover).",
            required=True,
        ),
        Field(
            "spans",
            Choice(Spans),
            "`Sampled` takes what sampling keeps, `All` takes every span.",
            default="Sampled",
        ),
        Field(
            "match",
            Condition(),
            "Takes only the spans for which this condition holds, for example `span.duration >= 100ms`; the others "
            "are counted as unmatched. See the reference of the condition language.",
            default_note="every span",
        ),
        Field(
            "guarantee",
            Choice(Guarantee),
            "`Guaranteed` keeps spans until they are delivered. `BestEffort` may lag by `maxLag`, and is the first to "
            "lose spans when the buffer is full.",
            default="Guaranteed",
        ),
        Field(
            "from",
            Choice(From),
            "Where an entry begins that is added while sidecars run: with spans that come `Now`, or with the `Oldest` "
            "that are still on disk.",
            default="Now",
        ),
        Field(
            "maxLag",
            Duration("1s", "8760h"),
            "For `guarantee: BestEffort`: spans that have waited for longer are given up, and counted.",
            default_note="`10m` for `BestEffort`",
        ),
    ),
    checks=(
        Check(
            checks.lag_needs_best_effort,
            "!has(self.maxLag) || has(self.guarantee) && self.guarantee == 'BestEffort'",
            "maxLag goes with guarantee BestEffort, and only with it",
        ),
        Check(
            checks.entry_names_backend_once,
            "self.backends.all(b, self.backends.exists_one(x, x == b))",
            "a backend may be named only once in an entry",
        ),
    ),
)

DELIVERY = ListOf(DELIVERY_ENTRY, 16, min_items=1, unique="name")

ROLLOUT = Object(
    Rollout,
    (
        Field(
            "canaryPercent",
            Integer(1, 100),
            "How many of the pods try a changed policy first, in percent; at least one does.",
            default=10,
        ),
        Field(
            "observeFor",
            Duration("10s", "24h"),
            "How long it must do well, from when the first of them runs it, until all get it.",
            default="5m",
        ),
        Field(
            "haltOn",
            ListOf(Choice(HaltOn), 8),
            "What takes it back from them: `SidecarCrash` that their sidecars crash, `DeliveryFailure` that they "
            "cannot deliver where others can, or drop spans. One that they refuse is taken back in any case.",
            default=["SidecarCrash", "DeliveryFailure"],
            default_note="both",
        ),
    ),
)

SPEC = Object(
    ConfigSpec,
    (
        Field(
            "suspend",
            Boolean(),
            "The kill switch: `true` makes sidecars answer OK, store nothing, and count what they let go.",
            default_note="false",
        ),
        Field(
            "selector",
            SELECTOR,
            "Which opted-in pods of the namespace this config is for. Its sections come before those of "
            "a config without a selector; among several that match, the oldest wins.",
            default_note="every opted-in pod of the namespace",
        ),
        Field(
            "allowedNamespaces",
            ALLOWED_NAMESPACES,
            "Which other namespaces may use this config: by naming it in `tracekeeper.dev/inject`, or, for one of the "
            "root namespace without a selector, as their default. Consent hands over the credentials too: their values "
            "are copied into those namespaces.",
            default_note="this namespace alone",
        ),
        Field(
            "enforced",
            ENFORCED,
            "Sections that no other config may replace, for example `[Backends, Delivery]`. Only for a config of the "
            "root namespace without a selector.",
            default_note="none",
        ),
        Field(
            "logLevel",
            Choice(LogLevel),
            "How much the sidecar logs. Reloads without a restart.",
            default_note="Info",
        ),
        Field(
            "sidecar",
            SIDECAR,
            "The injected container. Changes here take effect when a pod is replaced; all else reloads at once.",
            default_note="the defaults of its fields",
        ),
        Field(
            "buffer",
            BUFFER,
            "What sidecars do with spans that they cannot hand on.",
            default_note="the defaults of its fields",
        ),
        Field(
            "sampling",
            SAMPLING,
            "Which traces are kept, decided on whole traces. Delivery entries with `spans: All` get the others, too.",
            default_note="every span is kept, and forwarded at once",
        ),
        Field(
            "backends",
            BACKENDS,
            "Where spans can be sent. A config needs at least one, unless it is suspended.",
            default_note="none: sidecars buffer and wait",
        ),
        Field(
            "delivery",
            DELIVERY,
            "Who gets the spans: every entry gets all of them (replication) and hands them to the first "
            "healthy of "
            "its backends (failover).",
            default_note="one entry for each backend, named like it",
        ),
        Field(
            "rollout",
            ROLLOUT,
            "Has a changed policy tried by some pods before all get it, and taken back if it does not do. `suspend`, "
            "`selector`, `sidecar` and values of Secrets are not tried: they come to all at once.",
            default_note="all pods get it at once",
        ),
        Field(
            "processors",
            PROCESSORS,
            "What is done with spans, in this order.",
            default_note="nothing",
        ),
        Field(
            "metrics",
            METRICS,
            "Where the metrics of sidecars go, besides being scraped.",
            default_note="they are scraped",
        ),
        Field(
            "alerts",
            ALERTS,
            "What Prometheus watches, and whom Alertmanager tells.",
            default_note="no rules",
        ),
        Field(
            "budgets",
            BUDGETS,
            "What the calls of models may cost.",
            default_note="none",
        ),
    ),
    checks=(
        Check(
            cel="!has(self.delivery) || !has(self.backends) || self.delivery.all(d, "
            "d.backends.all(b, self.backends.exists(x, x.name == b)))",
            message="delivery must name backends that are listed in backends",
        ),
    ),
)
