"""Keeps this sidecar attached to the operator, which knows what the other sidecars see and keep.

Nothing depends on it: a sidecar that is not attached goes on with what it was last told, and what matters for good is
in the policy. So whatever goes wrong here is tried again, and neither the start nor delivery nor the end waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.control.accounts import Accounts
from tracekeeper_sidecar.control.errands import Errands
from tracekeeper_sidecar.control.goal import Goal
from tracekeeper_sidecar.control.standing import Standing
from tracekeeper_sidecar.coordination import Hub, LinkHealth
from tracekeeper_sidecar.forward import hpack
from tracekeeper_sidecar.forward.dial import Place, dial
from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.http_wire import Lost
from tracekeeper_sidecar.forward.retry import RetrySchedule
from tracekeeper_sidecar.forward.words import cause_of
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_spec.policy import Control

if TYPE_CHECKING:
    from tracekeeper_sidecar.control.attachment import End, Means

logger = logging.getLogger(__name__)

METHOD = b"/tracekeeper.control.v1.Control/Attach"
CONNECT = 20.0
"""Seconds until there is a connection, TLS and HTTP/2 included: thousands may come at once when the operator is new."""
PAUSES = RetrySchedule(1.0, 30.0)
WELL = 60.0
"""Seconds attached after which the next pause is a short one again."""
LARGEST_MESSAGE = 4 << 20
"""Bytes of a message from the operator."""
LARGEST_TOKEN = 32 * 1024
IDLE = 3600.0
"""Seconds; between looks at what nobody has said anything about."""
ATTACHMENT = "tracekeeper_sidecar.control.attachment"


class Link:
    """Owned by the application's event loop. `run` once at a time."""

    def __init__(
        self,
        token_file: str,
        hub: Callable[[], Hub | None],
        standing: Callable[[], Standing],
        errands: Errands,
        accounts: Accounts,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """`token_file` is read anew at each attempt: the kubelet replaces it. `hub` is sampling, None while nothing is
        sampled. `standing` is how this sidecar fares."""
        self._standing = standing
        self._token_file, self._hub, self._errands, self._clock, self._random = token_file, hub, errands, clock, random
        self._accounts = accounts
        self._goal: Goal | None = None
        self._signal = Signal(clock)
        accounts.wake = self._signal.fire
        self._attached = False
        self._since = clock.monotonic()
        """When that last changed."""
        self._problem = ""
        self._warned = False
        self._attempts: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._means: Means | None = None
        """None before the first attempt."""
        self._trusted: tuple[str, ssl.SSLContext] | None = None
        """A CA, and the context made from it."""

    def follow(self, goal: Goal | None) -> None:
        """Attach to this from now on; None: to nothing."""
        if (goal and goal.control) != (self._goal and self._goal.control):
            self._since, self._problem = self._clock.monotonic(), ""
        self._goal = goal
        self._signal.fire()

    def health(self) -> LinkHealth:
        """One moment of it."""
        return LinkHealth(
            endpoint=self._goal.control.endpoint if self._goal else "",
            attached=self._attached,
            seconds=self._clock.monotonic() - self._since,
            problem=self._problem,
            attempts=Counter(self._attempts),
            ends=Counter(self._ends),
            sent=self._means.traffic.sent if self._means else 0,
            received=self._means.traffic.received if self._means else 0,
        )

    async def run(self) -> None:
        """Keep attached until cancelled."""
        attempt = 0
        try:
            while True:
                goal = self._goal
                if goal is None:
                    await self._signal.wait(IDLE)
                    continue
                end = await self._try(goal)
                if self._attached and self._clock.monotonic() - self._since > WELL:
                    attempt = 0
                self._note(goal, end)
                await self._pause(goal, PAUSES.delay(attempt, self._random))
                attempt += 1
        finally:
            if self._attached:
                self._attached, self._since = False, self._clock.monotonic()

    async def _try(self, goal: Goal) -> End:
        """Never raises."""
        if self._means is None:  # Some MB, which a pod without a link need not have.
            await asyncio.to_thread(import_module, ATTACHMENT)
        from tracekeeper_sidecar.control.attachment import End, Means, Traffic, Why  # noqa: PLC0415 - see above

        if self._means is None:
            self._means = Means(
                lambda: self._goal,
                self._hub,
                self._standing,
                self._errands,
                self._accounts,
                self._clock,
                self._random,
                self._signal,
                self._on_welcome,
                Traffic(),
            )
        try:
            return await self._attach(goal, self._means)
        except Exception as error:
            logger.exception("the link to the operator failed in an unforeseen way")
            return End(Why.FAILED, f"it failed in an unforeseen way: {error!r}")

    async def _attach(self, goal: Goal, means: Means) -> End:
        from tracekeeper_sidecar.control.attachment import Attachment, End, Why  # noqa: PLC0415 - see _try

        try:
            token = await asyncio.to_thread(_read_token, Path(self._token_file))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            return End(Why.TOKEN, f"this pod's token in {self._token_file} cannot be used: {why}")
        try:
            wire = await self._connect(goal.control)
        except TimeoutError:
            return End(Why.UNREACHABLE, f"there was no connection within {CONNECT:g} s")
        except Lost as lost:
            return End(Why.UNREACHABLE, f"the connection was lost: {lost.cause}")
        except OSError as error:
            return End(Why.UNREACHABLE, cause_of(error))
        except ValueError as error:
            return End(Why.POLICY, str(error))
        try:
            stream = wire.stream(_headers(goal.control, token), self._signal.fire)
            return await Attachment(wire, stream, goal, means).run()
        except Lost as lost:
            return End(Why.UNREACHABLE, f"the connection was lost: {lost.cause}")
        finally:
            wire.close()

    async def _connect(self, control: Control) -> H2Wire:
        """Raises OSError, TimeoutError, Lost, and ValueError for a policy that cannot be followed."""
        place = self._place(control)
        deadline = asyncio.get_running_loop().time() + CONNECT
        async with asyncio.timeout_at(deadline):
            wire = await dial(place, lambda: H2Wire(LARGEST_MESSAGE, self._signal.fire), deadline)
            try:
                await wire.greeted()
            except BaseException:
                wire.close()
                raise
        return wire

    def _place(self, control: Control) -> Place:
        try:
            url = urlsplit("//" + control.endpoint)
            host, port = url.hostname, url.port
        except ValueError:
            host = port = None
        if not host or not port:
            raise ValueError(f"the policy's control.endpoint {control.endpoint!r} is not HOST:PORT")
        if self._trusted is None or self._trusted[0] != control.ca:
            self._trusted = control.ca, _context(control.ca)
        return Place(host, port, self._trusted[1])

    async def _pause(self, goal: Goal, seconds: float) -> None:
        """Wait, unless the policy comes to name another place."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0.0:
            if self._goal is None or self._goal.control != goal.control:
                return
            await self._signal.wait(left)

    def _on_welcome(self) -> None:
        self._attached, self._since, self._problem = True, self._clock.monotonic(), ""
        self._attempts["attached"] += 1
        logger.info("attached to the operator", extra={"endpoint": self._goal.control.endpoint if self._goal else ""})
        self._warned = False

    def _note(self, goal: Goal, end: End) -> None:
        """Count it, and say it once for each time that it is away."""
        if self._attached:
            self._attached, self._since = False, self._clock.monotonic()
            self._ends[end.why] += 1
            # Usual: tokens expire, and operators are replaced.
            logger.info(
                "not attached to the operator any more: %s", end.said, extra={"endpoint": goal.control.endpoint}
            )
        else:
            self._attempts[end.why] += 1
            if not self._warned:
                self._warned = True
                logger.warning(
                    "the operator at %s cannot be attached to: %s; it is tried again, and spans are delivered"
                    " meanwhile; where they are sampled, without knowing what other pods see",
                    goal.control.endpoint,
                    end.said,
                )
        self._problem = end.said


def _read_token(path: Path) -> str:
    """Raises OSError and ValueError."""
    with path.open("rb") as file:
        data = file.read(LARGEST_TOKEN + 1)
    text = data.decode("ascii", "replace").strip()
    if not text or len(data) > LARGEST_TOKEN or not text.isascii() or any(not "!" <= each <= "~" for each in text):
        raise ValueError("it is empty, too long, or no token")
    return text


def _context(ca: str) -> ssl.SSLContext:
    """Trusts `ca` alone. Raises ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if not ca:  # OpenSSL would trust nobody, and say so of each server.
            raise ValueError("it is empty")
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"the policy's control.ca holds no readable PEM certificates: {error}") from None
    context.set_alpn_protocols(["h2"])
    return context


def _headers(control: Control, token: str) -> bytes:
    return hpack.encode(
        (
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", METHOD),
            (b":authority", control.endpoint.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"tracekeeper-sidecar"),
            (b"authorization", b"Bearer " + token.encode()),
        )
    )
