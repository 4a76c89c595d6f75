"""Running commands: always with a time limit, always with their output in the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from cluster.errors import CommandFailed, NotPrepared

Completed = subprocess.CompletedProcess[str]


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> Completed:
    """Run a command and return its output as text. `env` adds to the environment.

    Raises CommandFailed when it fails (unless `check` is false) or takes longer than `timeout` seconds, and
    NotPrepared when there is no such command.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(argv, None, _text(error.stdout), _text(error.stderr), timeout) from None
    except FileNotFoundError:
        raise NotPrepared(f"there is no command {argv[0]}: run `sudo make setup`") from None
    if check and done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout, done.stderr, timeout)
    return done


def _text(output: bytes | str | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
