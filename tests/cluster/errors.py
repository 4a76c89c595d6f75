"""What can go wrong around the test cluster. Each message says what happened and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


class ClusterError(Exception):
    """The base of all faults of the test cluster."""


class NotPrepared(ClusterError):
    """The machine lacks something that the cluster needs: root, a Debian package, a built tool."""


class DeadlinePassed(ClusterError):
    """A condition did not come true in time."""


class CommandFailed(ClusterError):
    """A command ended with an error, or did not end in time (then `code` is None)."""

    def __init__(self, argv: Sequence[str], code: int | None, stdout: str, stderr: str, timeout: float) -> None:
        self.argv, self.code, self.stdout, self.stderr = list(argv), code, stdout, stderr
        how = f"did not end within {timeout:g} s" if code is None else f"failed with {code}"
        output = "\n".join(part.strip()[-4000:] for part in (stdout, stderr) if part.strip())
        super().__init__(f"{shlex.join(argv)} {how}:\n{output or '(no output)'}")
