"""The controller's loop: namespaces come due, and each is brought to what the TracingConfigs in force there say.

A namespace is due when one of its configs or of those lent to it changed, when its pods ask for others, when a round
failed (with backoff), and once in every resync period, because a rotated Secret and a deleted policy tell nobody. One
that has no config and no policy is looked at once in a long while, for what may have been left there. At most
`PARALLEL` rounds run at once, and never two of one namespace.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from tracekeeper_spec.merge import SecretKey
from tracekeeper_spec.policy import Control, PolicyDocument
from tracekeeper_spec.wish import Reference

from . import apply, names, plan, status
from .backoff import Backoff
from .book import Book
from .clock import Clock
from .errors import Forbidden, KubeError, NotFound
from .kinds import DEFINITIONS, SECRETS, TRACING_CONFIGS
from .kube import Kube, Object
from .lent import Lent
from .metrics import ControllerMetrics
from .namespaces import Namespaces
from .pace import Pace
from .plan import Plan, Published
from .rollout import Look
from .secret_read import MOST, TOO_MUCH, SecretRead, read_secret
from .storage import NOWHERE, HostPaths
from .store import Store, lean
from .teller import Source, Teller
from .trials import held_back, held_values, trying
from .wanted import secret_name, want

logger = logging.getLogger(__name__)

PARALLEL = 4
"""Rounds at once: each is a few short requests, and the API server is everybody's."""
IDLE_ROUND = 6 * 3600.0
"""Seconds between two rounds of a namespace that has nothing of ours, as far as is known."""
UNUSED_FOR = 3600.0
"""Seconds for which a namespace without injected pods keeps its policy, and what only they named: those of a CronJob
come and go."""
HEARD_WITHIN = 2.0
"""Seconds within which a round answers what sidecars say that try a new policy: many may say the same."""
SETTLED = (60.0, 90.0)
"""Seconds after the beginning within which each namespace is looked at once more: until then, another controller may
have written what it knew. One of an earlier version knows no Lease, and goes on for a moment."""


class Demand(Protocol):
    """What injected pods ask for."""

    synced: bool
    """Whether it is known by now; before that, what is published stays."""

    def namespaces(self) -> Iterable[str]:
        """Those in which there is one."""

    def named(self, namespace: str) -> Iterable[tuple[str, str]]:
        """Namespace and name of each TracingConfig that pods of `namespace` ask for by name."""

    def vacant(self, namespace: str) -> bool:
        """Whether it is known that there is no pod with a sidecar, injected by an earlier version neither."""


class NoDemand:
    """There are no injected pods."""

    synced = True

    def namespaces(self) -> Iterable[str]:
        return ()

    def named(self, namespace: str) -> Iterable[tuple[str, str]]:
        return ()

    def vacant(self, namespace: str) -> bool:
        return True


class Watched(Protocol):
    """Who sees how those do that try a new policy."""

    async def look(self, namespace: str, published: PolicyDocument | None) -> Look | None:
        """None where nobody sees that."""


class Unwatched:
    """Nothing is tried."""

    async def look(self, namespace: str, published: PolicyDocument | None) -> Look | None:
        return None


class Reconciler:
    """Owns the store's consequences; `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        resync: float = 60.0,
        host_paths: HostPaths = NOWHERE,
        control: Callable[[Control | None], Control | None] = lambda published: None,
        book: Book | None = None,
        demand: Demand | None = None,
        canaries: Watched | None = None,
        on_planned: Callable[[Plan], None] = lambda plan: None,
        on_published: Callable[[Plan], None] = lambda plan: None,
        sources: Sequence[Source] = (),
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`sources` have more to say in statuses than rounds know of."""
        self._kube, self._store, self._clock, self._metrics = kube, store, clock, metrics
        self._resync, self._uniform, self._pace = resync, uniform, Pace(resync)
        self._teller = Teller(
            kube, store, clock, metrics, host_paths, sources, uniform, book.root if book is not None else ""
        )
        self._control, self._on_planned, self._on_published = control, on_planned, on_published
        """Where the control stream is, given what is published of it; who is told of each plan, and once it is written.
        """
        self._book = book or Book(store, Namespaces())
        self._demand: Demand = demand if demand is not None else NoDemand()
        self._canaries: Watched = canaries if canaries is not None else Unwatched()
        self._lent = Lent()
        self._trying: dict[str, frozenset[str]] = {}
        """UIDs of the configs of which something is tried in a namespace."""
        self._owner: Object | None = None
        """What every policy is deleted with, as long as it cannot be another one."""
        self._policies: set[str] = set()
        """Namespaces that have a policy."""
        self._used: dict[str, float] = {}
        """When there was an injected pod in a namespace last."""
        self._named: dict[str, dict[Reference, float]] = {}
        """When one named a config of another namespace last, as far as that is published."""
        self._began = float("-inf")
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._revisions: dict[str, int] = {}
        self._wake = asyncio.Event()

    def offer(self, namespace: str) -> None:
        """Something changed there: it is due now."""
        self._schedule(namespace, 0.0)

    def retell(self, namespace: str) -> None:
        """A source has something new to say about its configs; that takes no round."""
        self._teller.offer(namespace)

    def changed(self, namespace: str) -> None:
        """A TracingConfig there is new, changed or gone: it is due, and all to which that may be lent."""
        self._owner = None  # All are gone and come anew where the definition was deleted and made anew.
        self.offer(namespace)
        root = namespace == self._book.root
        for other in self._active():
            owners = {owner for owner, _ in self._demand.named(other)}
            owners |= {reference.namespace for reference in self._named.get(other, ())}
            if root or namespace in owners:
                self.offer(other)

    def heard(self, config_uid: str) -> None:
        """A sidecar of that config has something new to say, which may decide a rollout."""
        for namespace, uids in self._trying.items():
            if config_uid in uids:
                self._schedule(namespace, HEARD_WITHIN)

    def relabelled(self, namespace: str) -> None:
        """The namespace is new, gone, or has other labels."""
        self.offer(namespace)

    def offer_all(self) -> None:
        """Something changed that is in every policy."""
        for namespace in self._active():
            self.offer(namespace)

    async def run(self) -> None:
        """Serve until cancelled; a round that fails is tried again and never ends this. Begins once the namespaces are
        known: before that, nobody's consent can be judged.
        """
        await self._book.namespaces.listed.wait()
        self._began = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relist())
            group.create_task(self._teller.run())
            while True:
                self._wake.clear()
                for namespace in self._take_due():
                    group.create_task(self._attempt(namespace))
                await self._pause()

    async def list_once(self) -> None:
        """Set the store right by a complete list. Raises KubeError."""
        self._owner = None
        mark = self._store.mark()
        listing = await self._kube.list(TRACING_CONFIGS, lean=lean)
        for namespace in self._store.replace(listing.items, mark):
            self.changed(namespace)
        self._metrics.configs.set(len(self._store))

    async def round(self, namespace: str) -> None:
        """Bring one namespace to what it should be. Raises KubeError, after writing what could be written."""
        published = await self._published(namespace)
        decided, secrets = await self._decide(namespace, published)
        missing = any(read.absent for read in secrets.values())
        self._pace.note(namespace, 1 + len(secrets), missing=missing)
        self._on_planned(decided)
        outcome = await apply.publish(self._kube, decided)
        if decided.write and not outcome.problem:
            self._metrics.policy_writes.inc()
            self._revisions[namespace] = decided.document.revision
            self._on_published(decided)
            logger.info("namespace %s: published revision %d", namespace, decided.document.revision)
        if not outcome.problem:
            self._note(decided, published)
        untold = await self._teller.tell(decided, secrets, outcome)
        # Only now, so that the statuses tell of it; raised all the same, so that it is tried again soon.
        for error in (outcome.error, *(read.error for read in secrets.values()), untold):
            if error is not None:
                raise error

    async def _decide(self, namespace: str, published: Published) -> tuple[Plan, dict[str, SecretRead]]:
        """Raises KubeError."""
        document = published.document
        await self._book.read(namespace)
        if document is not None:
            self._book.recall(namespace, document)
        named = self._names(namespace, document)
        for other in {self._book.root, *(reference.namespace for reference in named)} - {namespace, ""}:
            await self._recall(other)
        configs, scope = self._book.assessed(namespace), self._book.scope(namespace)
        used = self._is_used(namespace, published)
        wanted = want(scope, named, used=used).secrets
        held = self._lent.held(namespace, wanted, document)
        uses = ((held.get(secret_name(use, namespace)), use.key) for use in held_values(document))
        lent = {SecretKey(*place, key) for place, key in uses if place is not None}
        secrets = await self._secrets(namespace, wanted | held_back(document, namespace) | lent)
        secrets |= {key: secrets[f"{owner}/{name}"] for key, (owner, name) in held.items()}
        decided = plan.plan(
            namespace,
            configs,
            secrets,
            published,
            floor=max(self._revisions.get(namespace, 0), status.known_revision([item.manifest for item in configs])),
            now=self._clock.now(),
            control=self._control(document.control if document is not None else None),
            scope=scope,
            named=named,
            used=used,
            vacant=self._demand.vacant(namespace),
            known=self._book.known,
            owner=await self._definition(),
            look=await self._canaries.look(namespace, document),
        )
        return decided, secrets

    async def _definition(self) -> Object | None:
        """A reference to the CustomResourceDefinition of TracingConfigs; None where it may not be read."""
        if self._owner is None:
            name = f"{names.PLURAL}.{names.GROUP}"
            try:
                found = await self._kube.get(DEFINITIONS, None, name, metadata_only=True)
            except (NotFound, Forbidden):
                return None
            meta = found.get("metadata") or {}
            kind, version = DEFINITIONS.kind, DEFINITIONS.api_version
            owner = {"apiVersion": version, "kind": kind, "name": name, "uid": meta.get("uid")}
            if meta.get("deletionTimestamp"):
                return owner
            self._owner = owner
        return self._owner

    async def _recall(self, namespace: str) -> None:
        """Know the last good versions of another namespace's configs. Raises KubeError."""
        await self._book.read(namespace)
        if self._book.lacks(namespace):
            document = (await self._published(namespace)).document
            if document is not None:
                self._book.recall(namespace, document)

    def _names(self, namespace: str, published: PolicyDocument | None) -> list[Reference]:
        """The configs that pods name, did until just now, or may have before this process began."""
        now = self._clock.monotonic()
        entries = published.named if published is not None else ()
        there = [Reference(entry.namespace, entry.name) for entry in entries if not entry.retired]
        asked = {Reference(*key): now for key in self._demand.named(namespace)}
        if not self._demand.synced:
            return [*asked, *(reference for reference in there if reference not in asked)]
        before = self._named.get(namespace, {})
        found = {reference: before.get(reference, now) for reference in there} | asked
        if found:
            self._named[namespace] = found
        else:
            self._named.pop(namespace, None)
        return [reference for reference, last in found.items() if now - last < UNUSED_FOR]

    def _is_used(self, namespace: str, published: Published) -> bool:
        """Whether there are pods for the policy, were until just now, or will be."""
        if not self._demand.synced:
            return published.ours
        now = self._clock.monotonic()
        if namespace in self._demand.namespaces() or self._book.namespaces.opted_in(namespace):
            self._used[namespace] = now
        entries = published.document.configs if published.document is not None else ()
        if any(entry.namespace != namespace and not entry.retired for entry in entries):
            self._used.setdefault(namespace, now)  # There were some before this process began.
        return now - self._used.get(namespace, float("-inf")) < UNUSED_FOR

    def _note(self, decided: Plan, published: Published) -> None:
        """What of a plan that was carried out decides when the next one is due."""
        if decided.delete or not (decided.write or published.ours):
            self._policies.discard(decided.namespace)
        else:
            self._policies.add(decided.namespace)
        if uids := frozenset(entry.uid for entry in trying(decided.document)):
            self._trying[decided.namespace] = uids
        else:
            self._trying.pop(decided.namespace, None)
        if decided.due is not None:
            self._schedule(decided.namespace, max(1.0, decided.due - self._clock.now()))

    def _active(self) -> set[str]:
        """Namespaces that have a config or a policy, or are to get one."""
        opting_in = self._book.namespaces.opting_in()
        return {*self._store.namespaces(), *self._demand.namespaces(), *self._policies, *opting_in}

    async def _relist(self) -> None:
        """Events can be missed (a watch that died while an object was deleted); lists cannot."""
        backoff = Backoff()
        while True:
            await asyncio.sleep(self._resync * self._uniform(0.9, 1.1))
            try:
                await self.list_once()
                backoff.reset()
            except KubeError as error:
                logger.warning("%s; TracingConfigs in memory stay as they are", error)
                await asyncio.sleep(backoff.next(error.retry_after))

    async def _attempt(self, namespace: str) -> None:
        """One round, its failure turned into a time for the next."""
        backoff = self._backoffs.setdefault(namespace, Backoff(most=60.0))
        start = self._clock.monotonic()
        result = "error"
        try:
            await self.round(namespace)
            result = "ok"
            backoff.reset()
            # Far apart, because they all begin together.
            wait = self._pace.wait(namespace) * self._uniform(0.5, 1.5)
            if start < self._began + SETTLED[0]:
                wait = min(wait, self._began + self._uniform(*SETTLED) - self._clock.monotonic())
        except KubeError as error:
            wait = backoff.next(error.retry_after)
            logger.warning("namespace %s: %s; trying again in %.1f s", namespace, error, wait)
        except Exception:
            # A fault of ours in one namespace must not keep the others from being served.
            wait = backoff.next()
            logger.exception("namespace %s: unexpected fault; trying again in %.1f s", namespace, wait)
        finally:
            self._busy.discard(namespace)
            self._metrics.reconciles.labels(result).inc()
            self._metrics.reconcile_seconds.observe(self._clock.monotonic() - start)
        if result == "ok" and namespace not in self._active():
            self._backoffs.pop(namespace, None)
            self._used.pop(namespace, None)
            self._named.pop(namespace, None)
            self._pace.note(namespace, 0)
            if namespace in self._book.namespaces:
                self._schedule(namespace, IDLE_ROUND * self._uniform(0.9, 1.1))
            self._wake.set()
        else:
            self._schedule(namespace, wait)

    async def _published(self, namespace: str) -> Published:
        try:
            return plan.read_published(await self._kube.get(SECRETS, namespace, names.POLICY_SECRET))
        except NotFound:
            return Published(None)

    async def _secrets(self, namespace: str, wanted: frozenset[SecretKey]) -> dict[str, SecretRead]:
        """What is lent first: the namespace's own may not keep that from arriving by being too large."""
        keys: dict[tuple[str, str], set[str]] = {}
        for use in wanted:
            keys.setdefault((use.namespace, use.name), set()).add(use.key)
        found: dict[str, SecretRead] = {}
        size = 0
        for owner, name in sorted(keys, key=lambda place: (place[0] == namespace, place[0] != self._book.root, place)):
            read = await self._secret(owner, name, keys[owner, name]) if size <= MOST else TOO_MUCH
            size += read.size
            found[secret_name(SecretKey(owner, name, ""), namespace)] = read
        return found

    async def _secret(self, namespace: str, name: str, keys: Collection[str]) -> SecretRead:
        try:
            return read_secret(await self._kube.get(SECRETS, namespace, name), keys)
        except NotFound:
            return SecretRead(None, absent=True)
        except Forbidden as error:
            return SecretRead(None, forbidden=True, problem=error.message, error=error)
        except KubeError as error:
            return SecretRead(None, problem=str(error), error=error)

    def _schedule(self, namespace: str, wait: float) -> None:
        due = self._clock.monotonic() + wait
        self._due[namespace] = min(due, self._due.get(namespace, due))
        self._wake.set()

    def _take_due(self) -> list[str]:
        """The namespaces to start now, the longest due first."""
        now = self._clock.monotonic()
        waiting = sorted((due, name) for name, due in self._due.items() if due <= now and name not in self._busy)
        taken = [name for _, name in waiting[: PARALLEL - len(self._busy)]]
        for name in taken:
            del self._due[name]
            self._busy.add(name)
        return taken

    async def _pause(self) -> None:
        """Until a round ends, something is offered, or the next namespace is due."""
        ahead = [due for name, due in self._due.items() if name not in self._busy]
        timeout = None
        if ahead and len(self._busy) < PARALLEL:
            timeout = max(0.0, min(ahead) - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return
