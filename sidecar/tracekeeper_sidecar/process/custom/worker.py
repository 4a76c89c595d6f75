"""The process that a step of the user's own runs in: `python -m tracekeeper_sidecar.process.custom.worker FD`.

It says nothing but messages over the socket that it was given, so that what the class prints does no harm. Whatever the
class does, it does here: raises, eats memory, never comes back, ends the process. It dies with the sidecar.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TypedDict

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_sidecar.process.custom import find
from tracekeeper_sidecar.process.custom.messages import HEAD, MAX_SENTENCE, What, pack
from tracekeeper_sidecar.process.custom.spans import spans_of, take_out
from tracekeeper_sidecar.raised import raised

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_FIRST_TO_GO = "1000"
"""When the container's memory runs out, the kernel ends this process, and not the sidecar."""


class Misused(Exception):
    """The class does not keep to what a step must; the text says in what, and nothing of spans."""


class Setup(TypedDict):
    """The body of a SETUP message."""

    entryPoint: str
    """Name of an entry point; `module:Class` where none is installed, for the test kit."""
    config: Mapping[str, Any]
    memory: int
    """Bytes of data that the process may have; 0: as many as there are."""


def main(descriptor: int) -> None:
    """Serve requests until the sidecar has gone."""
    _tell_no_text()
    channel = socket.socket(fileno=descriptor)
    own = os.getpid()
    setup = _receive(channel)
    if setup is None:
        return
    try:
        processor = prepare(json.loads(setup[1]))
    except BaseException as error:
        _send(channel, own, pack(What.UNUSABLE, sentence(error), cpu=time.process_time()))
        return
    _send(channel, own, pack(What.READY, cpu=time.process_time()))
    while (request := _receive(channel)) is not None:
        number, body = request
        _send(channel, own, answer(processor, number, body))


def prepare(setup: Setup) -> Any:
    """The author's object, made within the limits. Raises whatever his code does."""
    _be_modest(setup["memory"])
    name = setup["entryPoint"]
    if ":" in name:
        module, _, attribute = name.partition(":")
        kind = getattr(__import__(module, fromlist=[attribute]), attribute)
    else:
        kind = find.load(name)
    processor = kind(setup["config"])
    if not callable(getattr(processor, "process", None)):
        raise TypeError(f"{name} has no method process")
    return processor


def answer(processor: Any, number: int, body: bytes) -> bytes:
    """The message that answers a request."""
    try:
        changed, dropped = run(processor, body)
    except Exception as error:
        return pack(What.RAISED, told(error), number, cpu=time.process_time())
    if changed == body:
        return pack(What.SAME, b"", number, cpu=time.process_time())
    return pack(What.CHANGED, changed, number, dropped, time.process_time())


def run(processor: Any, body: bytes) -> tuple[bytes, int]:
    """What the author's object makes of a request, and how many spans it has dropped. Raises what it raises."""
    request = ExportTraceServiceRequest.FromString(body)
    before = request.SerializeToString()
    spans = list(spans_of(request))
    if (result := processor.process(list(spans))) is not None:
        raise Misused(f"process() must change spans in place and return None, and has returned {type(result).__name__}")
    dropped = take_out(request, spans)
    after = request.SerializeToString()
    # Other libraries order fields otherwise than protobuf's own: what was not changed goes back as it came.
    return (body if after == before else after), dropped


def sentence(error: BaseException) -> bytes:
    """What was raised before there were any spans, in one line."""
    text = str(error) if isinstance(error, find.NotInstalled | Misused) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:MAX_SENTENCE].encode(errors="replace")


def told(error: BaseException) -> bytes:
    """What was raised over spans, in one line, without its text: that may repeat what a step behind this one hides."""
    return sentence(error) if isinstance(error, Misused) else raised(error, run.__name__)[:MAX_SENTENCE].encode()


def _tell_no_text() -> None:
    """What nobody catches is printed, and what is printed is logged: by its place, too."""

    def tell(error: BaseException | None) -> None:
        if error is not None:
            sys.stderr.write(f"nobody has caught {raised(error)}\n")

    sys.excepthook = lambda kind, error, trace: tell(error)
    sys.unraisablehook = lambda found: tell(found.exc_value)
    threading.excepthook = lambda found: tell(found.exc_value)


def _be_modest(memory: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
            score.write(_FIRST_TO_GO)
    except OSError:
        pass  # Not on Linux, or not allowed: the limit above still holds.


def _receive(channel: socket.socket) -> tuple[int, bytes] | None:
    """A message's number and body; None when nobody sends any more."""
    head = _exactly(channel, HEAD.size)
    if head is None:
        return None
    _, size, number, *_ = HEAD.unpack(head)
    body = _exactly(channel, size)
    return None if body is None else (number, body)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    if size == 0:
        return b""
    room = bytearray(size)
    view = memoryview(room)
    while len(view):
        taken = channel.recv_into(view)
        if taken == 0:
            return None
        view = view[taken:]
    return bytes(room)


def _send(channel: socket.socket, own: int, message: bytes) -> None:
    # The class may have forked, and its child come back here: two that answer would be none that does.
    if os.getpid() != own:
        os._exit(0)
    channel.sendall(message)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (BrokenPipeError, ConnectionResetError):
        pass  # The sidecar has gone.
