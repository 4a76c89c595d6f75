"""Every error that the sidecar raises on purpose.

    SidecarError
    ├── PolicyError            the policy or manifest cannot be used: names the file and every fault
    ├── SecretError            a referenced secret or key is missing: names both
    ├── NotReady               it is not known yet what is to be done with a request
    ├── StepUnavailable        a step that requests must not pass without cannot work at the moment
    ├── WireError              a request is not valid OTLP: names the path inside it
    ├── LogError               the segment log
    │   ├── LogFull            no room within the quota or on the volume; the sender should come back
    │   ├── LogTooLarge        the request can never be stored, however long the sender waits
    │   └── LogUnavailable     the log cannot be written now: names the directory or file, and the cause
    ├── ListenError            a port could not be bound: names the address
    └── DumpBusy               there can be one dump at a time

Damage found in files and outcomes of deliveries are values, not errors: see `log.record` and `forward.outcome`.
"""

from __future__ import annotations


class SidecarError(Exception):
    """Base of all errors raised on purpose; its text is written for people."""


class PolicyError(SidecarError):
    """The policy or manifest cannot be used. `faults` holds one text for each thing that is wrong."""

    def __init__(self, file: str, faults: list[str]) -> None:
        self.file = file
        self.faults = faults
        super().__init__(f"{file}: " + "; ".join(faults))


class SecretError(SidecarError):
    """A secret that a backend refers to, or a key in it, is missing."""

    def __init__(self, name: str, key: str, where: str) -> None:
        self.name, self.key, self.where = name, key, where
        super().__init__(f"secret {name!r} has no key {key!r} in {where}")


class StepUnavailable(SidecarError):
    """A step that requests must not pass without cannot work at the moment; the sender should come back."""


class NotReady(SidecarError):
    """It is not known yet what is to be done with a request."""


class WireError(SidecarError):
    """A request is not valid OTLP. `path` says where in the message, `offset` at which byte of it."""

    def __init__(self, path: str, problem: str, offset: int = -1) -> None:
        self.path, self.problem, self.offset = path, problem, offset
        at = f" (byte {offset})" if offset >= 0 else ""
        super().__init__(f"{path}: {problem}{at}")


class LogError(SidecarError):
    """Base of what the segment log raises."""

    stored = 0
    """Spans of the request that are stored, and so acknowledged to the ledger, although the rest is not."""


class LogFull(LogError):
    """There is no room: `reason` is `quota` or `disk`; try again after `retry_after` seconds."""

    def __init__(self, reason: str, message: str, retry_after: float) -> None:
        self.reason, self.retry_after = reason, retry_after
        super().__init__(message)


class LogTooLarge(LogError):
    """The request can never be stored: it, or one span of it, is larger than the log takes."""


class LogUnavailable(LogError):
    """The log cannot be written now; try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ListenError(SidecarError):
    """A port could not be bound."""

    def __init__(self, address: str, cause: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {cause}")


class DumpBusy(SidecarError):
    """A dump is under way."""

    def __init__(self) -> None:
        super().__init__("a dump is under way: wait for its end, or stop it")


class PushFailed(SidecarError):
    """Metrics could not be pushed; says where to, and why."""
