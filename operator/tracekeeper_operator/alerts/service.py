"""All that brings alerts to Prometheus and Alertmanager, put together for the controller.

While nothing changes it asks the API server once a minute whether the Prometheus operator is there (twice where it is),
and where it is, once in five minutes what it selects and what is written: five lists. Whether rules are loaded is asked
of Prometheus alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..backoff import Backoff
from ..book import Book
from ..clock import Clock
from ..errors import Forbidden, KubeError, NotFound
from ..kinds import DEFINITIONS, LEASES, SECRETS, Kind
from ..kube import Kube, Object
from ..metrics import ControllerMetrics
from ..names import ALERTS_OF, GROUP, PLURAL
from ..plan import Plan
from .deliver import Told, View, Way, Wish, far_secrets, ways, wish
from .kinds import ALERTMANAGERS, PROMETHEUSES
from .loaded import PATIENCE, Answer, Written, condition
from .options import AlertOptions
from .plain import Plain
from .presence import AGAIN, EVERY, Presence
from .prometheus import Place, PrometheusError, read_rules
from .prometheus_rule import prometheus_rule
from .selection import Server, oldest, read_alertmanager, read_prometheus
from .telling import RulesTeller
from .wanted import Alerting, Wanted
from .writing import Writing

logger = logging.getLogger(__name__)

GATHER = 1.0
"""Seconds for which changes are gathered."""
LISTED_EVERY = 300.0
"""Seconds after which what is there is seen again, and what was refused is tried again."""
ASKED_EVERY = 60.0
"""Seconds between two questions to one Prometheus."""
ASKED_SOON = 15.0
"""The same while it does not have what was written lately."""

ANSWERED_WITHIN = 15.0
"""Seconds for all replicas of one."""
AT_ONCE = 8
"""Prometheuses that are asked together; of more, those come first that were asked longest ago."""
MOST_PATIENCE = 10
"""Times `ASKED_EVERY`, after so many failures, until one that does not answer is asked again."""

NEVER = float("-inf")


class AlertService:
    """Owns what is written for alerts. `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        book: Book,
        namespaces: Callable[[], Iterable[str]],
        options: AlertOptions,
        retell: Callable[[str], None],
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`namespaces` are those that have TracingConfigs; `retell` is called with each of whose configs there is
        something new to say."""
        self._kube, self._book, self._options, self._clock = kube, book, options, clock
        self._namespaces, self._retell, self._metrics, self._uniform = namespaces, retell, metrics, uniform
        self.teller = RulesTeller()
        self._presence, self._writing = Presence(kube), Writing(kube, metrics)
        self._plain = Plain(kube, options, clock)
        self._wanted = Wanted(book, options.links)
        self._dirty: set[str] = set()
        self._looked = self._listed = NEVER
        self._kinds: frozenset[Kind] = frozenset()
        self._prometheuses: list[Server] = []
        self._alertmanagers: list[Server] = []
        self._owner: Object | None = None
        self._far_owner: Object | None = None
        self._lent: dict[tuple[str, str], str] = {}
        self._lent_at = NEVER
        self._rendered: dict[str, tuple[Alerting, Mapping[str, str], Object]] = {}
        """The PrometheusRule of each config, by UID, and what it was made from: making them anew takes long."""
        self._wished: tuple[object, Wish] | None = None
        """What should be there, and what that was worked out from."""
        self._due = NEVER
        self._since: dict[str, tuple[object, float]] = {}
        """By the config's UID, what was written last, and when."""
        self._answers: dict[str, Answer] = {}
        """By the address of a Prometheus."""
        self._asked: dict[str, float] = {}
        self._failed: dict[str, int] = {}
        """How often in a row each did not answer."""
        self._noted: tuple[str, ...] = ()
        self._wake = asyncio.Event()

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """To be run together with all others."""
        return {"alerts": self.run()}

    def planned(self, plan: Plan) -> None:
        """Something may be otherwise with a namespace's configs."""
        self._dirty.add(plan.namespace)
        self._wake.set()

    async def run(self) -> None:
        """Begin with every namespace; then those that change."""
        self._dirty.update(self._namespaces())
        backoff = Backoff()
        while True:
            self._wake.clear()
            try:
                wait = await self.once()
                backoff.reset()
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("%s; alerts stay as they are; trying again in %.1f s", error, wait)
            except Exception:
                # A fault of ours here must not end the controller: policies matter more.
                wait = backoff.next()
                logger.exception("alerts are not written: unexpected fault; trying again in %.1f s", wait)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                await asyncio.sleep(GATHER)
            except TimeoutError:
                continue

    async def once(self) -> float:
        """Bring everything to what it should be; after how many seconds it is due again. Raises KubeError."""
        dirty, self._dirty = self._dirty, set()
        changed = False
        try:
            for namespace in sorted(dirty):
                changed = await self._wanted.update(namespace) or changed
        except BaseException:
            self._dirty |= dirty
            raise
        now = self._clock.monotonic()
        if not changed and now < self._due:
            return self._due - now
        self._due = NEVER
        await self._look()
        items = list(self._wanted.all())
        view = await self._view(items)
        found = await self._wish(items, view)
        self._log(found)
        failed = await self._writing.bring(found.objects, self._kinds, self._wanted.unread)
        chosen = ways(self._kinds, self._options)
        failed = await self._plain.write(items, chosen, self._wanted.unread) or failed
        written = {item.uid: self._written(item, found.told[item.uid]) for item in items}
        await self._ask(items, found.told, written)
        self._tell(items, found.told, written)
        await self._plain.reload(all(self.teller.status(item.uid) == "True" for item in items))
        if failed is not None:
            raise failed
        young = any(each.since < PATIENCE for each in written.values())
        soon = young or self._plain.waiting or self._presence.unsure
        wait = (ASKED_SOON if soon else EVERY) * self._uniform(0.9, 1.1)
        self._due = self._clock.monotonic() + wait
        return wait

    async def _look(self) -> None:
        """Which kinds are there, and now and then what else is."""
        now = self._clock.monotonic()
        every = AGAIN if self._presence.unsure else EVERY
        if self._options.prometheus_operator and now - self._looked >= 0.9 * every:
            if await self._presence.look():
                self._listed = NEVER
            self._looked, self._kinds = now, self._presence.kinds
        lonely = PROMETHEUSES in self._kinds and not self._prometheuses  # It is about to be made, as a rule.
        if now - self._listed < (0.9 * EVERY if lonely else LISTED_EVERY):
            return
        self._writing.forgive()
        await self._writing.list_all(self._kinds)
        self._prometheuses = oldest(map(read_prometheus, await self._servers(PROMETHEUSES)))
        self._alertmanagers = oldest(map(read_alertmanager, await self._servers(ALERTMANAGERS)))
        if self._kinds:
            self._owner, self._far_owner = await self._lease(), await self._definition()
        self._listed = now

    async def _servers(self, kind: Kind) -> list[Object]:
        if kind not in self._kinds:
            return []
        try:
            return (await self._kube.list(kind)).items
        except (Forbidden, NotFound) as error:
            logger.warning("%s; what it selects is not known", error)
            return []

    async def _view(self, items: list[Alerting]) -> View:
        view = View(
            self._kinds,
            self._prometheuses,
            self._alertmanagers,
            self._book.namespaces.labels,
            self._writing.monitors,
            self._owner,
            self._far_owner,
        )
        needed = far_secrets(items, view, self._options)
        if self._lent_at < self._listed or needed != self._lent.keys():
            self._lent = {place: await self._consent(*place) for place in sorted(needed)}
            self._lent_at = self._clock.monotonic()
        return replace(view, lent=self._lent)

    async def _wish(self, items: list[Alerting], view: View) -> Wish:
        """Worked out anew only when something is otherwise."""
        basis = self._book.version, view, list(map(id, items))
        if self._wished is None or self._wished[0] != basis:
            # Of many configs it takes long, and the control stream would wait.
            self._wished = basis, await asyncio.to_thread(wish, items, view, self._options, self._render)
        return self._wished[1]

    def _render(self, item: Alerting, labels: Mapping[str, str]) -> Object:
        before = self._rendered.get(item.uid)
        if before is None or before[0] is not item or before[1] != labels:
            before = self._rendered[item.uid] = item, labels, prometheus_rule(item, labels)
        return before[2]

    async def _consent(self, namespace: str, name: str) -> str:
        """Why a Secret beside the Alertmanager may not be used by the root namespace's configs; empty if it may. Its
        values are not asked for."""
        try:
            found = await self._kube.get(SECRETS, namespace, name, metadata_only=True)
        except NotFound:
            return "it does not exist"
        except Forbidden as error:
            return f"the operator may not read it ({error.message})"
        labels = (found.get("metadata") or {}).get("labels") or {}
        if labels.get(ALERTS_OF) == self._options.root:
            return ""
        wanted = f"{ALERTS_OF}={self._options.root}"
        return f"it has no label {wanted}, by which its owner lets configs of that namespace use it"

    async def _lease(self) -> Object | None:
        """It goes with the release, and what we write beside it goes with it."""
        if not self._options.lease:
            return None
        try:
            found = await self._kube.get(LEASES, self._options.namespace, self._options.lease)
        except (NotFound, Forbidden):
            return None
        return _owner(LEASES, found)

    async def _definition(self) -> Object | None:
        try:
            found = await self._kube.get(DEFINITIONS, None, f"{PLURAL}.{GROUP}", metadata_only=True)
        except (NotFound, Forbidden):
            return None
        return _owner(DEFINITIONS, found)

    def _written(self, item: Alerting, told: Told) -> Written:
        if told.way is Way.PLAIN:
            return self._plain.written(item)
        notes = self._plain.notes(item) if told.routes is None else (self._writing.problem(told.routes),)
        problem, uid = self._writing.problem(told.rule), self._writing.uid(told.rule)
        place = None
        if told.rule is not None and uid:
            # As the Prometheus operator names the file: nobody else's group can be taken for it.
            place = f"{told.rule[1]}-{told.rule[2]}-{uid}.yaml", item.compiled.group
        now = self._clock.monotonic()
        content, since = self._since.get(item.uid, (None, now))
        if content != (place, item.compiled.rules):
            since = now
        self._since[item.uid] = (place, item.compiled.rules), since
        return Written(place, now - since, problem, tuple(note for note in notes if note))

    async def _ask(self, items: list[Alerting], told: Mapping[str, Told], written: Mapping[str, Written]) -> None:
        """Ask each Prometheus for the groups that it should have."""
        wanted: dict[str, set[Place]] = {}
        young: set[str] = set()
        for item in items:
            url, place = self._url(told[item.uid]), written[item.uid].place
            if url and place is not None:
                wanted.setdefault(url, set()).add(place)
                if written[item.uid].since < PATIENCE:
                    young.add(url)
        now = self._clock.monotonic()

        def due(url: str) -> bool:
            every = ASKED_SOON if url in young else 0.9 * ASKED_EVERY
            patience = ASKED_EVERY * min(self._failed.get(url, 0) - 1, MOST_PATIENCE)
            return now - self._asked.get(url, NEVER) >= max(every, patience) - 2 * GATHER

        # One that does not answer must not keep everybody's alerts from being written.
        turn = sorted(filter(due, wanted), key=lambda url: self._asked.get(url, NEVER))[:AT_ONCE]
        self._asked |= dict.fromkeys(turn, now)
        for url, found in zip(turn, await asyncio.gather(*(_answer(url, wanted[url]) for url in turn)), strict=True):
            self._answers[url] = found
            self._failed[url] = self._failed.get(url, 0) + 1 if found.problem else 0
        self._failed = {url: count for url, count in self._failed.items() if url in wanted}
        self._answers = {url: found for url, found in self._answers.items() if url in wanted}
        self._asked = {url: at for url, at in self._asked.items() if url in wanted}

    def _url(self, told: Told) -> str:
        return self._options.prometheus_url or (told.server.url if told.server is not None else "")

    def _tell(self, items: list[Alerting], told: Mapping[str, Told], written: Mapping[str, Written]) -> None:
        first, self.teller.known = not self.teller.known, True
        changed = self.teller.keep(told.keys())
        for item in items:
            url = self._url(told[item.uid])
            found = condition(item, told[item.uid], written[item.uid], url, self._answers.get(url))
            if self.teller.take(item.namespace, item.uid, found):
                changed.add(item.namespace)
        for namespace in sorted(set(self._namespaces()) if first else changed):
            self._retell(namespace)
        for status, count in self.teller.count().items():
            self._metrics.rules_loaded.labels(status).set(count)
        self._since = {uid: found for uid, found in self._since.items() if uid in told}
        self._rendered = {uid: found for uid, found in self._rendered.items() if uid in told}

    def _log(self, found: Wish) -> None:
        if found.notes != self._noted:
            self._noted = found.notes
            for note in found.notes:
                logger.info("%s", note)


async def _answer(url: str, wanted: Collection[Place]) -> Answer:
    """What one Prometheus says, in time or not at all. Never raises."""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            return Answer(tuple(await read_rules(url, wanted)))
    except TimeoutError:
        return Answer(problem=f"no answer within {ANSWERED_WITHIN:.0f} s")
    except PrometheusError as error:
        return Answer(problem=str(error))
    except Exception as error:
        # A fault of ours about one answer must not keep the others from being told.
        logger.exception("what %s answers is not understood: unexpected fault", url)
        return Answer(problem=f"its answer is not understood: {error}")


def _owner(kind: Kind, found: Object) -> Object:
    meta = found.get("metadata") or {}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": meta.get("name"), "uid": meta.get("uid")}
