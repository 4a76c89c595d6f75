"""From what configs say to what applies: defaults are filled in last, and the whole is checked once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tracekeeper_spec.config import (
    AuthType,
    Backend,
    Buffer,
    Compression,
    ConfigSpec,
    DeliveryEntry,
    Guarantee,
    LogLevel,
    Protocol,
    Sidecar,
    Spans,
    StorageType,
)
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.fields import BUFFER, SIDECAR
from tracekeeper_spec.processor import Processor
from tracekeeper_spec.sampling import DefaultType, Sampling
from tracekeeper_spec.units import format_duration, format_quantity, parse_quantity, show
from tracekeeper_spec.walk import nearest, read

DEFAULT_SIDECAR: Sidecar = read(SIDECAR, {}, "spec.sidecar", [])
"""The sidecar section of a config that has none; also for pods that no config selects."""

DEFAULT_BUFFER: Buffer = read(BUFFER, {}, "spec.buffer", [])

DEAD_LETTER_SHARE = 8
"""Dead letters get at most one part in so many of the storage."""

LEAST_MEMORY = 64 << 20
"""Bytes in which a sidecar starts."""

GRACE = 30
"""terminationGracePeriodSeconds of a pod that does not say."""


@dataclass(frozen=True, slots=True)
class ResolvedSpec:
    """What applies to a pod; every value is there. See `config` for the shape of each section."""

    suspend: bool
    log_level: LogLevel
    sidecar: Sidecar
    buffer: Buffer
    """Its `dead_letter_size` is at most an eighth of the storage's size, whatever was written."""
    backends: tuple[Backend, ...]
    """May be empty: then spans are buffered and wait."""
    delivery: tuple[DeliveryEntry, ...]
    sampling: Sampling | None = None
    """None: every span is kept, and nothing waits for a decision."""
    processors: tuple[Processor, ...] = ()
    """In their order; empty: spans are stored as they come."""

    def backend(self, name: str) -> Backend:
        """The backend called `name`; KeyError if there is none (check_resolved tells beforehand)."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        raise KeyError(name)


def resolve(spec: ConfigSpec) -> ResolvedSpec:
    """`spec` with the default of every absent section; of no `delivery`, one entry for each backend."""
    backends = spec.backends or ()
    each = tuple(DeliveryEntry(backend.name, (backend.name,)) for backend in backends)
    sidecar = spec.sidecar or DEFAULT_SIDECAR
    buffer = spec.buffer or DEFAULT_BUFFER
    letters = min(buffer.dead_letter_size, sidecar.storage.size // DEAD_LETTER_SHARE)
    return ResolvedSpec(
        suspend=bool(spec.suspend),
        log_level=spec.log_level or LogLevel.INFO,
        sidecar=sidecar,
        buffer=replace(buffer, dead_letter_size=letters),
        backends=backends,
        delivery=each if spec.delivery is None else spec.delivery,
        sampling=spec.sampling,
        processors=spec.processors or (),
    )


def check_resolved(resolved: ResolvedSpec) -> list[Fault]:
    """What keeps a resolved spec from working although each config in it is without fault."""
    faults: list[Fault] = []
    names = [backend.name for backend in resolved.backends]
    if not names and not resolved.suspend:
        hint = "write at least one, for example {name: a, type: OTLP, otlp: {protocol: GRPC, endpoint: …}}"
        faults.append(Fault("spec.backends", "is required: spans have nowhere to go", hint))
    for number, entry in enumerate(resolved.delivery):
        for index, name in enumerate(entry.backends):
            if name not in names:
                path = f"spec.delivery[{number}].backends[{index}]"
                faults.append(Fault(path, f"there is no backend {show(name)}", nearest(name, names)))
    return faults


def warnings(resolved: ResolvedSpec) -> list[Fault]:
    """What is legal and probably not meant; nothing is refused for it."""
    return [
        *_short_of_room(resolved.sidecar),
        *_unused(resolved),
        *_in_the_clear(resolved),
        *_odd(resolved),
        *_unguaranteed(resolved),
        *_unsampled(resolved),
    ]


def _short_of_room(sidecar: Sidecar) -> Iterator[Fault]:
    if sidecar.drain_timeout >= GRACE:
        hint = "set it higher in the pods, or write less"
        problem = f"pods are killed after their terminationGracePeriodSeconds, which is {GRACE} unless set"
        yield Fault("spec.sidecar.drainTimeout", problem, hint)
    memory = sidecar.resources.limits.get("memory")
    if memory is not None and parse_quantity(memory) < LEAST_MEMORY:
        problem = f"a sidecar with {memory} of memory does not start, and the pod neither"
        yield Fault("spec.sidecar.resources.limits.memory", problem, "write 64Mi or more; is it the right unit?")
    limit = sidecar.resources.limits.get("ephemeral-storage")
    on_node = sidecar.storage.type is StorageType.EMPTY_DIR  # The kubelet counts no other type.
    if on_node and limit is not None and parse_quantity(limit) < sidecar.storage.size:
        size = format_quantity(sidecar.storage.size)
        problem = f"{limit} is less than storage.size, {size}: the pod can be evicted before the buffer is full"
        yield Fault("spec.sidecar.resources.limits.ephemeral-storage", problem, f"write {size} or more")


def _unused(resolved: ResolvedSpec) -> Iterator[Fault]:
    used = {name for entry in resolved.delivery for name in entry.backends}
    for index, backend in enumerate(resolved.backends):
        if backend.name not in used:
            problem = f"no delivery entry names {backend.name}, so it gets no spans"
            yield Fault(f"spec.backends[{index}]", problem, "name it in spec.delivery, or remove it")


def _in_the_clear(resolved: ResolvedSpec) -> Iterator[Fault]:
    for index, backend in enumerate(resolved.backends):
        otlp = backend.otlp
        secret = any(header.secret_key_ref for header in otlp.headers)
        if not otlp.secure and (otlp.auth is not None or secret):
            what = "a token" if otlp.auth is None or otlp.auth.type is AuthType.BEARER else "a password"
            problem = f"{what} is sent unencrypted, because the scheme is http"
            yield Fault(f"spec.backends[{index}].otlp.endpoint", problem, "write https:// where others could listen")


def _odd(resolved: ResolvedSpec) -> Iterator[Fault]:
    for index, backend in enumerate(resolved.backends):
        path = f"spec.backends[{index}]"
        if backend.otlp.protocol is Protocol.GRPC and backend.batch.max_bytes > 4 * 1024**2:
            if backend.otlp.compression is Compression.NONE:
                hint = "make sure that this backend takes more, or write 4Mi"
                yield Fault(f"{path}.batch.maxBytes", "many gRPC servers take no message above 4Mi", hint)
        if backend.circuit_breaker.open_for > 600:
            yield Fault(f"{path}.circuitBreaker.openFor", "a backend that recovers stays unused for that long")


def _unguaranteed(resolved: ResolvedSpec) -> Iterator[Fault]:
    if resolved.delivery and all(entry.guarantee is Guarantee.BEST_EFFORT for entry in resolved.delivery):
        problem = "every entry is BestEffort, so spans are lost as soon as a backend is away for longer than maxLag"
        yield Fault("spec.delivery", problem, "leave guarantee out of one of them")


def _unsampled(resolved: ResolvedSpec) -> Iterator[Fault]:
    sampling = resolved.sampling
    if sampling is None:
        return
    if resolved.delivery and all(entry.spans is Spans.ALL for entry in resolved.delivery):
        problem = "has no effect, because every delivery entry takes all spans"
        yield Fault("spec.sampling", problem, "write spans: Sampled in one of them, or remove sampling")
    elif _keeps_all(sampling):
        problem = "keeps every trace, and only makes spans wait until their traces are decided"
        yield Fault("spec.sampling", problem, "write what happens to the traces that no rule matches into default")
    age = resolved.buffer.max_age
    if age is not None and age <= sampling.decision_wait:
        wait = format_duration(sampling.decision_wait)
        problem = f"spans are given up before their traces are decided: decisionWait is {wait}"
        yield Fault("spec.buffer.maxAge", problem, "write more, or a shorter decisionWait")


def _keeps_all(sampling: Sampling) -> bool:
    shares = [rule.probability for rule in sampling.rules]
    if sampling.default.type is DefaultType.ADAPTIVE:
        return False
    default = sampling.default.probabilistic
    return min([default.probability, *(entry.probability for entry in default.schedule), *shares]) >= 1
