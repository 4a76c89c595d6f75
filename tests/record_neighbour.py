"""Records what one version's sidecar and operator say to each other, for tests of their neighbours.

    .venv/bin/python tests/record_neighbour.py FILE

Run it from a checkout of the version, at its release, and keep what it writes in tests/neighbours/. Two sidecars share
a target of adaptive sampling there, one keeps a trace that the other one hears of, and one is asked for a dump.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from control_world import CONFIG, World, serving
from link_world import linked
from tracekeeper_operator.control import attached as operator_side
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.control import attachment as sidecar_side
from tracekeeper_sidecar.coordination import KeptBatch, Report
from waiting import until

Said = dict[str, list[bytes]]


def listen(said: Said) -> None:
    """Note every message that either side sends from now on."""

    def noting(who: str, send: Callable[[Any, bytes], None]) -> Callable[[Any, bytes], None]:
        def note(self: Any, data: bytes) -> None:
            said[who].append(bytes(data))
            send(self, data)

        return note

    for who, side, sends in (
        ("sidecar", sidecar_side.Attachment, ["_say"]),
        ("operator", operator_side.Attached, ["send_bytes", "send_share"]),
    ):
        for send in sends:
            setattr(side, send, noting(who, getattr(side, send)))


async def talk(folder: Path) -> None:
    """One of each kind of message, at least."""
    async with serving(World()) as world, AsyncExitStack() as stack:
        pods = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            pod = await stack.enter_async_context(linked(folder / name))
            pod.token.write_text(f"shop/{name}")
            pod.hub.found = Report({"cart, GET /": 1000.0, "": 5.0}, 0.25)
            assert world.material is not None
            pod.attach_to(world.server.port, ca=world.material.ca.encode(), uid=CONFIG)
            pods.append(pod)
        await until(lambda: all(pod.hub.shares for pod in pods), "each has its part")
        pods[0].hub.keep(KeptBatch("errors", 1 << 50, False, 1e9, bytes(range(16))))
        await until(lambda: pods[1].hub.heard, "the other one has heard")
        asked = pb.DumpCommand(id="d1", since_seconds=60, backend="a", timeout_seconds=60, report_every_seconds=1)
        world.server.attached(CONFIG)[0].send(pb.ToSidecar(dump=asked))
        await until(lambda: any(pod.recording.asked for pod in pods), "the dump has begun")
        world.server.attached(CONFIG)[0].send(pb.ToSidecar(dump_stop=pb.DumpStop(id="d1")))
        await until(lambda: any(pod.recording.stopped for pod in pods), "the dump has ended")


def main(file: str) -> None:
    said: Said = {"sidecar": [], "operator": []}
    listen(said)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(talk(Path(folder)))
    kinds: dict[str, dict[str, str]] = {}
    for who, shape in (("sidecar", pb.FromSidecar), ("operator", pb.ToSidecar)):
        first: dict[str, str] = {}
        for data in said[who]:
            first.setdefault(str(shape.FromString(data).WhichOneof("message")), base64.b64encode(data).decode())
        kinds[who] = first
    Path(file).write_text(json.dumps({"version": version("tracekeeper"), **kinds}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
