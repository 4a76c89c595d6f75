"""A backend for measurements: OTLP over gRPC, answers at once and only counts; on demand it misbehaves.

    python bench/sink.py [--port 0] [--ids | --traces | --masks]

Prints {"port": …, "control": …} once it listens. The control port takes a line a connection and answers with JSON:

    stats          {"requests", "spans", "bytes", "failed"}; with --ids {"distinct"}, too; with --traces
                   what kept.py counts, with --masks what masking.py counts
    mode MODE      ok; hang (no answer until the mode changes), reset (cuts every connection, takes no new one),
                   throttle (RESOURCE_EXHAUSTED with RetryInfo), large (RESOURCE_EXHAUSTED without it, for all over
                   30,000 bytes), unavailable, lost (stores, then answers UNAVAILABLE)
    ids FILE       with --ids: writes which spans were seen to FILE; `seen.read` reads it

What is not stored is counted as failed. The cost is a search through the bytes; with --ids and --traces every
span's number is read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from typing import Any

import grpc
import grpc.aio
from kept import Kept
from masking import Masks
from seen import Seen
from spans import count, numbers

SERVICE, METHOD = "opentelemetry.proto.collector.trace.v1.TraceService", "Export"
MAX_MESSAGE = 64 << 20
RETRY_AFTER = 0.3
LARGE = 30_000
"""Bytes of a message that mode `large` still takes."""
CODES = {
    "throttle": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "large": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "lost": grpc.StatusCode.UNAVAILABLE,
    "hang": grpc.StatusCode.UNAVAILABLE,
    "reset": grpc.StatusCode.UNAVAILABLE,
}


class Sink:
    """The server and its counts."""

    def __init__(self, seen: Seen | None, kept: Kept | None = None, masks: Masks | None = None) -> None:
        self._seen, self._kept, self._mode, self._port = seen, kept, "ok", 0
        self._masks = masks
        self._count: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def export(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Answer one request by the current mode."""
        if self._mode == "hang":
            await self._changed.wait()
            # Who hung is not served after all: its sender has given up, and would be counted twice.
            await self._fail("hang", context)
        if self._mode not in ("ok", "lost", "large") or (self._mode == "large" and len(body) > LARGE):
            await self._fail(self._mode, context)
        self._count["requests"] += 1
        self._count["bytes"] += len(body)
        if self._seen is not None:
            self._count["spans"] += self._seen.add(numbers(body))
        elif self._kept is not None:
            self._count["spans"] += self._kept.add(body)
        else:
            self._count["spans"] += count(body)
        if self._masks is not None:
            self._masks.add(body)
        if self._mode == "lost":
            await self._fail("lost", context)
        return b""

    async def _fail(self, mode: str, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        self._count["failed"] += 1
        trailers = _retry_info(RETRY_AFTER) if mode == "throttle" else ()
        await context.abort(CODES[mode], f"the sink was told to answer {mode}", trailers)

    async def start(self, port: int) -> int:
        """Listen; the port that was bound."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self.export)
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        self._port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        self._server = server
        return self._port

    async def become(self, mode: str) -> None:
        """Switch the mode; what hangs is let go, `reset` ends the server and whatever follows starts it again."""
        if mode != "ok" and mode not in CODES:
            raise ValueError(f"no mode {mode!r}")
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "reset" and self._server is not None:
            await self._server.stop(0)
            self._server = None
        elif mode != "reset" and self._server is None:
            await self.start(self._port)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line in, one line out."""
        line = (await asyncio.wait_for(reader.readline(), 10)).decode().split()
        writer.write((json.dumps(await self._do(line)) + "\n").encode())
        await writer.drain()
        writer.close()

    async def _do(self, line: list[str]) -> dict[str, Any]:
        try:
            match line:
                case ["stats"]:
                    more = {} if self._seen is None else {"distinct": self._seen.distinct}
                    if self._kept is not None:
                        more = self._kept.counts()
                    if self._masks is not None:
                        more = self._masks.counts()
                    return {name: self._count[name] for name in ("requests", "spans", "bytes", "failed")} | more
                case ["mode", mode]:
                    await self.become(mode)
                    return {"mode": mode}
                case ["ids", file] if self._seen is not None:
                    self._seen.save(file)
                    return {"file": file}
        except (OSError, RuntimeError, ValueError) as error:
            return {"error": str(error)}
        return {"error": f"cannot do {' '.join(line)!r}"}


def _retry_info(seconds: float) -> tuple[tuple[str, bytes], ...]:
    from google.rpc import error_details_pb2, status_pb2

    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    status = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="later")
    status.details.add().Pack(info)
    return (("grpc-status-details-bin", status.SerializeToString()),)


async def main() -> None:
    """Parse, serve until SIGTERM or until whoever started us is gone."""
    parser = argparse.ArgumentParser(description="a backend that only counts")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ids", action="store_true", help="keep a bit for each span of numbered requests")
    parser.add_argument("--traces", action="store_true", help="keep an entry for each trace of traces.py")
    parser.add_argument("--masks", action="store_true", help="count what was masked and what should have been")
    options = parser.parse_args()
    sink = Sink(Seen() if options.ids else None, Kept() if options.traces else None, Masks() if options.masks else None)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    port = await sink.start(options.port)
    control = await asyncio.start_server(sink.control, "127.0.0.1", 0)
    print(json.dumps({"port": port, "control": control.sockets[0].getsockname()[1]}), flush=True)
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), 2)
        except TimeoutError:
            continue
    control.close()
    await sink.become("reset")


if __name__ == "__main__":
    asyncio.run(main())
