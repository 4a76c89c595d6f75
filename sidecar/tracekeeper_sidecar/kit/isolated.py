"""A step in a process of its own, as the sidecar runs it, for tests that wait for its answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tracekeeper_sidecar.process.custom.child import WORKER, kill_group
from tracekeeper_sidecar.process.custom.messages import Message, Unpacker, What, pack


class StepFailed(Exception):
    """The class could not be made, has raised, or has given no answer; the text is what the sidecar would say."""


class Isolated:
    """A process with an object of the class. To be used with `with`."""

    def __init__(
        self,
        kind: type | str,
        config: Mapping[str, Any] | None = None,
        *,
        memory: int = 128 << 20,
        timeout: float = 10.0,
    ) -> None:
        """`kind` is a class that can be imported by its module's name, or the name of an entry point. `timeout` is in
        seconds, for each answer, the first one too. Raises StepFailed, on entering, when it cannot be made."""
        name = kind if isinstance(kind, str) else f"{kind.__module__}:{kind.__qualname__}"
        self._setup = json.dumps({"entryPoint": name, "config": dict(config or {}), "memory": memory}).encode()
        self._timeout = timeout
        self._number = 0

    def __enter__(self) -> Isolated:
        ours, theirs = socket.socketpair()
        ours.settimeout(self._timeout)
        self._channel, self._unpacker = ours, Unpacker()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        try:
            self._ask(pack(What.SETUP, self._setup))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()
        kill_group(self._process.pid)
        self._process.wait()

    def run(self, body: bytes) -> tuple[bytes, int]:
        """What becomes of a serialised request, and how many of its spans are dropped. Raises StepFailed."""
        self._number += 1
        answer = self._ask(pack(What.REQUEST, body, self._number))
        return (body, 0) if answer.what == What.SAME else (answer.body, answer.dropped)

    def _ask(self, message: bytes) -> Message:
        try:
            self._channel.sendall(message)
            answer = None
            while answer is None:
                if not (data := self._channel.recv(1 << 16)):
                    raise StepFailed("its process has ended by itself")
                answer = self._unpacker.feed(data)
        except TimeoutError:
            raise StepFailed(f"it took more than {self._timeout:g} s") from None
        except OSError as error:
            raise StepFailed(f"its process has ended by itself: {error}") from None
        if answer.what in (What.UNUSABLE, What.RAISED):
            raise StepFailed(answer.body.decode(errors="replace"))
        return answer
