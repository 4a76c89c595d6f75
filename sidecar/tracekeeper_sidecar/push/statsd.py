"""StatsD over UDP, with the tags of DogStatsD: counters as what was added since the last push.

Source: docs.datadoghq.com/developers/dogstatsd/datagram_shell. What UDP loses is lost; for counts that have to be exact
there are the others. After a restart, counts that were brought back count as sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.meter.reading import Histogram
from tracekeeper_sidecar.metrics import Metric
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.push.page import Page

DATAGRAM = 1400
"""Bytes, to fit into one packet nearly everywhere."""
AT_ONCE, PAUSE = 50, 0.01
"""Datagrams after which the receiver gets so many seconds."""

_AWKWARD = re.compile(r"[,|#:\s\0]")


class _Series(NamedTuple):
    metric: Metric
    key: tuple[str, tuple[str, ...]]
    """Its name, and the labels' values."""
    value: float
    restored: bool
    """Whether an earlier process has counted it."""


class StatsdTarget:
    """One server, and what it has been told."""

    def __init__(self, host: str, port: int, prefix: str, pod: Pod, clock: Clock) -> None:
        self._host, self._port, self._prefix, self._clock = host, port, prefix, clock
        self._tags = (f"namespace:{pod.namespace}", f"pod:{pod.name}")
        self._sent: dict[tuple[str, tuple[str, ...]], float] = {}

    def begin(self, page: Page) -> None:
        """What is there already was counted by an earlier process, and has been sent by it."""
        own = {metric.name for metric, _ in page.own}
        there = (each for each in _series(page) if each.restored or each.metric.name in own)
        self._sent = {each.key: each.value for each in there}

    async def push(self, page: Page, timeout: float) -> None:  # noqa: ASYNC109 - see Target
        """See Target."""
        series = list(_series(page))
        try:
            async with asyncio.timeout(timeout):
                await self._send(self._lines(series))
        except TimeoutError:
            raise PushFailed(f"{self._host}:{self._port} could not be sent to within {timeout:.0f} s") from None
        except OSError as error:
            raise PushFailed(f"{self._host}:{self._port} cannot be reached: {error.strerror or error}") from None
        self._sent = {each.key: each.value for each in series if each.metric.type != "gauge"}

    async def tidy(self, now: float) -> None:
        """Nothing is left behind there."""

    def close(self) -> None:
        """Nothing is kept open."""

    def _lines(self, series: Iterable[_Series]) -> Iterator[bytes]:
        for metric, (name, labels), value, restored in series:
            kind = "g"
            if metric.type != "gauge":
                value, kind = value - self._sent.get((name, labels), value if restored else 0), "c"
                if value <= 0:
                    continue
            said = zip(metric.labels, labels, strict=True)
            tags = ",".join((*self._tags, *(f"{label}:{_AWKWARD.sub('_', text)}" for label, text in said if text)))
            text = f"{value:d}" if isinstance(value, int) else f"{value:.9g}"
            yield f"{self._prefix}{name}:{text}|{kind}|#{tags}".encode("utf-8", "replace")

    async def _send(self, lines: Iterator[bytes]) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(self._host, self._port)
        )
        try:
            for number, datagram in enumerate(packed(lines), 1):
                transport.sendto(datagram)
                if number % AT_ONCE == 0:
                    await self._clock.sleep(PAUSE)
        finally:
            transport.close()


def packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines put together to datagrams; one that is too long alone goes alone."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        if waiting and size + len(line) > DATAGRAM:
            yield b"\n".join(waiting)
            waiting, size = [], 0
        waiting.append(line)
        size += len(line) + 1
    if waiting:
        yield b"\n".join(waiting)


def _series(page: Page) -> Iterator[_Series]:
    """What is sent of the page. Of a histogram the number and the sum: StatsD has no buckets."""
    for metric, samples in page.own:
        for labels, value in samples:
            yield from _parts(metric, labels, value, restored=False)
    for metric, rows in page.reading.families.items() if page.reading is not None else ():
        for row in rows:
            yield from _parts(metric, row.labels, row.value, restored=row.born == 0)


def _parts(metric: Metric, labels: tuple[str, ...], value: float | Histogram, *, restored: bool) -> Iterator[_Series]:
    if isinstance(value, Histogram):
        yield _Series(metric, (f"{metric.name}_count", labels), sum(value.counts), restored)
        yield _Series(metric, (f"{metric.name}_sum", labels), value.total, restored)
    else:
        yield _Series(metric, (metric.name, labels), value, restored)
