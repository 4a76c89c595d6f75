"""Telling Prometheus and Alertmanager to read their files again, until they show that they have.

The kubelet brings a changed ConfigMap or Secret into pods up to two minutes late, so that one call is not enough; when
they never show it, something else is wrong (nothing is mounted, or the content is refused), and calls become rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

FIRST, MOST = 5.0, 60.0
"""Seconds from one call to the next: twice as long each time."""
PATIENCE = 1800.0
"""Seconds after which content that was not taken is offered but every RARELY seconds."""
RARELY = 600.0
TIMEOUT = 10.0
"""Seconds for one call."""
MAX_STATUS = 4 * 1024 * 1024
"""Bytes that are read of an Alertmanager's status, which holds its whole configuration."""


@dataclass(frozen=True, slots=True)
class Reload:
    """One program's way to one content. Times are of a clock that never goes back."""

    content: str
    """What tells this content from others."""
    began: float
    due: float
    """When to call next."""
    wait: float = FIRST
    done: bool = False


def want(before: Reload | None, content: str, now: float) -> Reload:
    """`content` has been written, or still is what there is: new content is offered at once."""
    return before if before is not None and before.content == content else Reload(content, now, now)


def called(reload: Reload, now: float) -> Reload:
    """After a call, whatever came of it."""
    wait = RARELY if now - reload.began > PATIENCE else reload.wait
    return Reload(reload.content, reload.began, now + wait, min(MOST, reload.wait * 2))


def taken(reload: Reload) -> Reload:
    """The program shows the content: no call is needed any more."""
    return Reload(reload.content, reload.began, reload.due, reload.wait, done=True)


def is_due(reload: Reload, now: float) -> bool:
    return not reload.done and now >= reload.due


async def call(session: aiohttp.ClientSession, url: str) -> str:
    """POST to the reload address of the program at `url`; what is wrong, or an empty text."""
    address = f"{url.rstrip('/')}/-/reload"
    try:
        async with session.post(address, timeout=aiohttp.ClientTimeout(total=TIMEOUT), allow_redirects=False) as answer:
            if answer.status == 200:
                return ""
            said = " ".join((await answer.content.read(300)).decode(errors="replace").split())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"{address} does not answer: {error or type(error).__name__}"
    if answer.status in (403, 404, 405):
        return f"{address} answers {answer.status}: Prometheus needs --web.enable-lifecycle"
    return f"{address} answers {answer.status}: {said}"


async def alertmanager_shows(session: aiohttp.ClientSession, url: str, marker: str) -> bool | None:
    """Whether the Alertmanager at `url` runs with the content that has this marker; None when it does not say."""
    address = f"{url.rstrip('/')}/api/v2/status"
    try:
        async with session.get(address, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as answer:
            if answer.status != 200:
                return None
            said = b""
            while len(said) < MAX_STATUS and (piece := await answer.content.readany()):
                said += piece
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
    return marker.encode() in said
