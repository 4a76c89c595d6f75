"""A way to a port of a Service through the API server: `kubectl port-forward`, while it is needed."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from tracekeeper_cli.errors import CLIError

PATIENCE = 30.0
"""Seconds until it stands: it asks the API server, and a program may ask for credentials before."""
END = 5.0
_STANDS = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")


TO = "the operator"
HINT = "May you forward ports there, and is the chart's control server on? --server HOST:PORT takes another way"


@contextmanager
def tunnel(
    namespace: str, service: str, port: int, context: str | None, *, to: str = TO, hint: str = HINT
) -> Iterator[str]:
    """`host:port` on this machine that leads there. `to` is its name and `hint` what may help, for people. Raises
    CLIError."""
    arguments = ["kubectl", "port-forward", "--address=127.0.0.1", f"--namespace={namespace}", f"service/{service}"]
    arguments += [f":{port}", *([f"--context={context}"] if context else [])]
    try:
        # Not in our group: Ctrl-C first ends the dump, and then the way to it.
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
        )
    except OSError as error:
        raise CLIError(
            f"kubectl is needed for the way to {to} ({error.strerror}): install it, or open a way yourself. {hint}"
        ) from None
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{_port(process, process.stdout, arguments, to, hint)}"
    finally:
        process.terminate()
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _port(process: subprocess.Popen[bytes], output: IO[bytes], arguments: Sequence[str], to: str, hint: str) -> int:
    """The port it listens on. Raises CLIError, with what it said, when there is none."""
    said, deadline = b"", time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            if not (piece := os.read(output.fileno(), 4096)):
                break
            said += piece
            if found := _STANDS.search(said):
                return int(found[1])
    words = " ".join(said.decode(errors="replace").split()) or f"no answer in {PATIENCE:g} s"
    raise CLIError(f"there is no way to {to}: `{' '.join(arguments)}` says: {words}. {hint}")
