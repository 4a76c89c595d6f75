"""Takes the snapshot: asks each part of the running sidecar about itself, all in one step of the event loop."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from tracekeeper_sidecar.admin import exposition
from tracekeeper_sidecar.admin.snapshot import (
    AdoptedFolder,
    AdoptionFacts,
    LogFacts,
    PolicyFacts,
    RequestFacts,
    Snapshot,
)
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.push.page import Page

if TYPE_CHECKING:
    from tracekeeper_sidecar.adopt.adopter import Adopter
    from tracekeeper_sidecar.buffer import Buffer
    from tracekeeper_sidecar.delivery import Delivery
    from tracekeeper_sidecar.forward.keeper import Keeper
    from tracekeeper_sidecar.ledger import Intake
    from tracekeeper_sidecar.log.log import Log
    from tracekeeper_sidecar.meter.reading import Reading
    from tracekeeper_sidecar.wire.meter import Meter

OPENING = "it is still being opened"


class Parts(Protocol):
    """What a snapshot is taken of: the application, seen from here."""

    clock: Clock
    intake: Intake
    meter: Meter
    buffer: Buffer
    keeper: Keeper
    delivery: Delivery | None
    draining: bool


def take(app: Parts) -> Snapshot:
    """The whole sidecar at this moment."""
    delivery = app.delivery
    routes = delivery.routes if delivery else None
    return Snapshot(
        time=app.clock.now(),
        policy=_policy(delivery),
        log=_log(app.buffer.log) if app.buffer.log else LogFacts(problem=app.buffer.problem or OPENING),
        kept_log=_log(routes.kept.log) if routes and routes.kept else None,
        refused=dict(app.intake.refused),
        refused_requests=dict(app.intake.refused_requests),
        suspended_spans=app.intake.suspended,
        filtered=dict(app.intake.filtered),
        requests=RequestFacts(tuple(app.meter.buckets()), app.meter.errors, app.meter.nanoseconds / 1e9),
        entries=routes.entries() if routes else (),
        backends=routes.backends() if routes else (),
        dead_letters=delivery.letters.stats() if delivery and routes else None,
        troubles=(
            *app.keeper.troubles(),
            *(delivery.pushers.troubles() if delivery else ()),
            *(delivery.keeper.troubles() if delivery else ()),
            *(routes.troubles() if routes else ()),
        ),
        metering=delivery.metering.problem if delivery and delivery.metering else "",
        sampling=routes.stage if routes else None,
        rescue=routes.rescue if routes else None,
        anonymous_memory=anonymous_memory(),
        recent_calls=delivery.recent_calls.since_window(delivery.calls()) if delivery else {},
        pushes=delivery.pushers.facts if delivery else (),
        draining=app.draining,
        steps=tuple(delivery.processing.samples()) if delivery else (),
        step_problems=tuple(delivery.processing.problems()) if delivery else (),
        refusing=delivery.processing.refusals() if delivery else (),
        link=delivery.link.health() if delivery and delivery.link else None,
        adoption=_adoption(delivery.adopter) if delivery and delivery.adopter else None,
    )


def page(snapshot: Snapshot, reading: Reading | None) -> Page:
    """What is pushed, apart from what comes."""
    return Page(snapshot.time, exposition.own(snapshot, version("tracekeeper")), reading)


def anonymous_memory() -> int:
    """Bytes of anonymous memory of this process, from /proc/self/status; 0 where that is not to be had."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:")), 0)
    except OSError:
        return 0


def _policy(delivery: Delivery | None) -> PolicyFacts:
    if delivery is None or delivery.watcher is None:
        return PolicyFacts()
    state = delivery.watcher.state
    if state.instruction is None:
        return PolicyFacts(faults=state.faults)
    return PolicyFacts(state.instruction.config, state.instruction.revision, state.faults, delivery.suspended)


def _adoption(adopter: Adopter) -> AdoptionFacts:
    now = adopter.adoption
    return AdoptionFacts(
        now=AdoptedFolder(now.folder, now.acknowledged, now.entries()) if now else None,
        endings={str(ending): folders for ending, folders in adopter.endings.items()},
        delivered=adopter.delivered(),
        dropped=adopter.dropped(),
        problems=tuple(adopter.problems.values()),
    )


def _log(log: Log) -> LogFacts:
    stats = log.stats()
    return LogFacts(
        acknowledged=log.end.seq,
        problem=stats.problem,
        bytes=stats.bytes,
        quota=stats.quota,
        history=stats.history,
        room=stats.room,
        segments=stats.segments,
        commits=stats.commits,
        sync_seconds=stats.sync_seconds,
        damaged_bytes=stats.damaged_bytes,
    )
