"""What the tests of the log share: a clock under their control, and small steps on a log."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType

from tracekeeper_sidecar.errors import LogFull
from tracekeeper_sidecar.log import cursor
from tracekeeper_sidecar.log.files import Files
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Batch, Position
from waiting import attempted

DIRECTORY = "/data"
QUOTA = 1 << 20


class ManualClock:
    """Time that passes only when a test says so; sleepers wake when it reaches them."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._fell_asleep = asyncio.Event()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + seconds, sleeper))
        self._fell_asleep.set()
        await sleeper

    async def asleep(self, count: int) -> None:
        """Return when so many sleep: whoever does has nothing to do until time passes."""
        while True:
            self._sleepers = [(due, sleeper) for due, sleeper in self._sleepers if not sleeper.done()]
            if len(self._sleepers) >= count:
                return
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    def advance(self, seconds: float) -> None:
        self.time += seconds
        for due, sleeper in self._sleepers:
            if due <= self.time and not sleeper.done():
                sleeper.set_result(None)


def open_log(
    files: Files,
    clock: ManualClock | None = None,
    quota: int = QUOTA,
    segment_size: int | None = None,
    history: int = 0,
    memory: int = 0,
    first_seq: int = 0,
) -> Log:
    """A log whose readers read files, unless it is given `memory` for the newest frames."""
    return Log.open(
        DIRECTORY,
        files=files,
        clock=clock or ManualClock(),
        quota=quota,
        history=history,
        segment_size=segment_size,
        memory=memory,
        first_seq=first_seq,
    )


async def append_at_last(log: Log, body: bytes, spans: int) -> Position:
    """Append as a client does who comes back when there is no room, until there is."""

    async def append() -> Position | None:
        try:
            return await log.append(body, spans)
        except LogFull:
            return None

    return await attempted(append, "there is room again")


def read_all(log: Log, position: Position | None = None, max_spans: int = 64, max_bytes: int = 1 << 20) -> list[Batch]:
    """Every batch from `position` (default: the beginning) to the end, each checked for its own arithmetic."""
    reader = log.reader(position or log.begin)
    batches: list[Batch] = []
    while (batch := reader.read(max_spans, max_bytes, detailed=True)) is not None:
        assert batch.end.seq - batch.begin.seq == batch.spans + batch.lost + sum(batch.sampled_out.values())
        assert batch.size == len(batch.body) == sum(frame.length for frame in batch.frames)
        assert batch.spans == sum(frame.kept for frame in batch.frames)
        assert batch.begin < batch.end
        if batches:
            assert batch.begin == batches[-1].end
        batches.append(batch)
    reader.close()
    return batches


def plain(module: ModuleType) -> ModuleType:
    """A module of the log from its .py file, whatever was compiled."""
    source = Path(cursor.__file__).with_name(module.__name__.rpartition(".")[2] + ".py")
    spec = importlib.util.spec_from_file_location(f"plain_{source.stem}", source)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def payloads_of(batches: list[Batch]) -> list[bytes]:
    """What was appended, one by one; the batches must have been read in detail."""
    return [batch.body[frame.offset : frame.offset + frame.length] for batch in batches for frame in batch.frames]


def lost_in(batches: list[Batch]) -> int:
    return sum(batch.lost for batch in batches)
