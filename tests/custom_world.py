"""Packages with processors as users install them, and steps that run them in processes of their own."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest

from tracekeeper_sidecar.process.custom.child import Limits
from tracekeeper_sidecar.process.custom.step import CustomStep
from tracekeeper_sidecar.process.step import Request
from tracekeeper_spec.custom import Custom, OnError

MODULE = '''
    import os, sys, threading, time

    class Tag:
        def __init__(self, config):
            self.value = config.get("value", "x")

        def process(self, spans):
            for span in spans:
                span.attributes["tag"] = self.value

    class Odd:
        """Does what the first span's name says."""

        def __init__(self, config):
            self.made = config

        def process(self, spans):
            return getattr(self, spans[0].name, lambda spans: None)(spans)

        def raises(self, spans):
            spans[1].attributes["half"] = True
            raise RuntimeError("no such\\nluck")

        def repeats(self, spans):
            {}[spans[0].name + " hunter2"]

        def repeats_elsewhere(self, spans):
            thread = threading.Thread(target=self.repeats, args=(spans,))
            thread.start()
            thread.join()
            print("it has ended")

        def repeats_at_the_end(self, spans):
            raise KeyboardInterrupt("hunter2")

        def stalls(self, spans):
            while True:
                time.sleep(3600)

        def spins(self, spans):
            while True:
                pass

        def exits(self, spans):
            os._exit(3)

        def leaves(self, spans):
            sys.exit("enough")

        def eats(self, spans):
            held = []
            while True:
                held.append(bytearray(1 << 20))

        def prints(self, spans):
            for number in range(1000):
                print("garbage", number)
            os.write(1, b"\\x05\\x00" * 100000)
            sys.stderr.write("and more")

        def writes_to_everything(self, spans):
            for fd in range(64):
                try:
                    if "socket" in os.readlink(f"/proc/self/fd/{fd}"):
                        os.write(fd, b"garbage" * 100)
                except FileNotFoundError:
                    pass

        def closes_everything(self, spans):
            os.closerange(0, 100)
            time.sleep(3600)

        def forks(self, spans):
            os.fork()

        def leaves_a_child(self, spans):
            if os.fork() == 0:
                time.sleep(3600)
                os._exit(0)

        def loses_ids(self, spans):
            spans[0].message.trace_id = b""

        def returns(self, spans):
            return spans

        def drops(self, spans):
            for span in spans[1::2]:
                span.drop()

        def drops_all(self, spans):
            for span in spans:
                span.drop()

        def doubles(self, spans):
            spans[0]._scope.spans.add().CopyFrom(spans[0].message)

        def ignores_signals(self, spans):
            import signal
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            while True:
                time.sleep(3600)

    class Unmade:
        def __init__(self, config):
            raise ValueError("config.table is missing")

    class Hangs:
        def __init__(self, config):
            while True:
                time.sleep(3600)

    class Late(Tag):
        def __init__(self, config):
            super().__init__(config)
            while not os.path.exists(config["until"]):
                time.sleep(0.01)

    class NoMethod:
        def __init__(self, config):
            pass
'''
POINTS = {"tag": "Tag", "odd": "Odd", "unmade": "Unmade", "no-method": "NoMethod", "hangs": "Hangs", "late": "Late"}


def install(folder: Path, points: Mapping[str, str] = POINTS, module: str = MODULE, name: str = "spare_parts") -> None:
    """What pip leaves behind of a package with one module and these entry points."""
    (folder / f"{name}.py").write_text(textwrap.dedent(module))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{point} = {name}:{kind}" for point, kind in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[tracekeeper.processors]", *lines, ""]))


def be_seen(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have this process and those that it starts find what is installed in `folder`."""
    patch.syspath_prepend(folder)
    patch.setenv("PYTHONPATH", str(folder))


@dataclass
class Answered:
    """What has become of a request."""

    request: Request
    before: bytes
    calls: list[Exception | None] = field(default_factory=list)
    event: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self, error: Exception | None) -> None:
        self.calls.append(error)
        self.event.set()

    @property
    def error(self) -> Exception | None:
        [error] = self.calls
        return error


LIMITS = Limits(timeout=2.0, starting=30.0, backoff=0.01, max_backoff=0.05)
"""For tests that no time limit is to play a part in, on a machine that may be slow."""


def step(
    point: str = "odd",
    config: Mapping[str, Any] | None = None,
    *,
    limits: Limits = LIMITS,
    on_error: OnError = OnError.BYPASS,
    memory: int = 128 << 20,
    monotonic: Callable[[], float] = time.monotonic,
) -> CustomStep:
    """A step named `mine`."""
    custom = Custom(point, config or {}, on_error, limits.timeout, memory)
    return CustomStep("mine", "Custom", custom, limits, monotonic)


def begin(step: CustomStep, body: bytes, spans: int, due: float = inf) -> Answered:
    """Give it a request."""
    answered = Answered(Request(body, spans, due=due), body)
    step.start(answered.request, answered.done)
    return answered


async def through(step: CustomStep, body: bytes, spans: int) -> Answered:
    """The same, and wait for what becomes of it."""
    answered = begin(step, body, spans)
    await asyncio.wait_for(answered.event.wait(), 60)
    return answered
