"""StatsD over UDP, with the tags of DogStatsD: counters as what was added since the last push.

Source: docs.datadoghq.com/developers/dogstatsd/datagram_shell. What UDP loses is lost; for counts that have to be exact
there are the others. After a restart, counts that were brought back count as sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
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


_Key = tuple[str, tuple[str, ...]]
"""A name, and the labels' values."""
_Line = tuple[bytes, "tuple[_Key, float] | None"]
"""With the total that is told when it is sent, where it is a count."""
_Datagram = tuple[bytes, dict[_Key, float]]
"""With those of all its lines."""


class _Series(NamedTuple):
    metric: Metric
    key: _Key
    value: float
    restored: bool
    """Whether an earlier process has counted it."""


class StatsdTarget:
    """One server, and what it has been told."""

    def __init__(self, host: str, port: int, prefix: str, pod: Pod, clock: Clock) -> None:
        self._host, self._port, self._prefix, self._clock = host, port, prefix, clock
        self._tags = (f"namespace:{pod.namespace}", f"pod:{pod.name}")
        self._sent: dict[_Key, float] = {}
        self._found: tuple[Page, bool] | None = None

    def begin(self, page: Page, *, again: bool = False) -> None:
        """What is there already was counted by an earlier process, and has been sent by it; where the same was sent to
        before (`again`), with other settings, all of it."""
        self._found = page, again

    async def push(self, page: Page, timeout: float) -> None:  # noqa: ASYNC109 - see Target
        """See Target."""
        if self._found is not None:
            self._sent = await asyncio.to_thread(_found, *self._found)
            self._found = None
        datagrams, keys = await asyncio.to_thread(self._make, page)
        try:
            async with asyncio.timeout(timeout):
                await self._send(datagrams)
        except TimeoutError:
            raise PushFailed(f"{self._host}:{self._port} could not be sent to within {timeout:.0f} s") from None
        except UnicodeError:
            raise PushFailed(f"{self._host} is no name of a host") from None
        except OSError as error:
            raise PushFailed(f"{self._host}:{self._port} cannot be reached: {error.strerror or error}") from None
        self._sent = {key: value for key, value in self._sent.items() if key in keys}

    async def tidy(self, now: float) -> None:
        """Nothing is left behind there."""

    def close(self) -> None:
        """Nothing is kept open."""

    def _make(self, page: Page) -> tuple[list[_Datagram], set[_Key]]:
        """What is to be sent, and all counts that there are. Takes some hundred milliseconds: for a thread."""
        series = list(_series(page))
        return list(packed(self._lines(series))), {each.key for each in series if each.metric.type != "gauge"}

    def _lines(self, series: Iterable[_Series]) -> Iterator[_Line]:
        for metric, key, total, restored in series:
            (name, labels), value, kind = key, total, "g"
            if metric.type != "gauge":
                value, kind = total - self._sent.get(key, total if restored else 0), "c"
                if value <= 0:
                    continue
            said = zip(metric.labels, labels, strict=True)
            tags = ",".join((*self._tags, *(f"{label}:{_AWKWARD.sub('_', text)}" for label, text in said if text)))
            text = f"{value:d}" if isinstance(value, int) else f"{value:.9g}"
            line = f"{self._prefix}{name}:{text}|{kind}|#{tags}".encode("utf-8", "replace")
            yield line, ((key, total) if kind == "c" else None)

    async def _send(self, datagrams: Sequence[_Datagram]) -> None:
        """Whoever is cancelled, or too slow, has sent what he has sent."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(self._host, self._port)
        )
        try:
            for number, (datagram, totals) in enumerate(datagrams, 1):
                transport.sendto(datagram)
                self._sent.update(totals)
                if number % AT_ONCE == 0:
                    await self._clock.sleep(PAUSE)
        finally:
            transport.close()


def packed(lines: Iterable[_Line]) -> Iterator[_Datagram]:
    """Lines put together to datagrams; one that is too long alone goes alone."""
    waiting: list[bytes] = []
    totals: dict[_Key, float] = {}
    size = 0
    for line, told in lines:
        if waiting and size + len(line) > DATAGRAM:
            yield b"\n".join(waiting), totals
            waiting, totals, size = [], {}, 0
        waiting.append(line)
        if told is not None:
            totals[told[0]] = told[1]
        size += len(line) + 1
    if waiting:
        yield b"\n".join(waiting), totals


def _found(page: Page, again: bool) -> dict[_Key, float]:
    own = {metric.name for metric, _ in page.own}
    there = (each for each in _series(page) if again or each.restored or each.metric.name in own)
    return {each.key: each.value for each in there}


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
