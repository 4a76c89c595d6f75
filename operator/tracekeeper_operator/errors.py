"""Every error that the operator raises on purpose.

    OperatorError
    ├── SettingsError          a flag or variable cannot be used: names it
    ├── AccessError            no usable way to the API server: names the file and the field
    ├── CertificateError       certificate material cannot be used: names the Secret and the key
    ├── ListenError            a port could not be bound: names the address
    ├── LeadLost               another controller leads, or may: names the Lease
    ├── TokenRefused           who attaches to the control stream is not who may: says why
    ├── PersonUnknown          the API server does not know a person's token: says why
    ├── AccessDenied           a person may not do what they ask for: names both
    └── KubeError              the API server's answer to one request: names verb, object and status
        ├── NotFound           404
        ├── Forbidden          401, 403: the message says which permission is missing
        ├── Conflict           409: somebody else changed the object first
        ├── Gone               410: the resourceVersion is too old; list again
        ├── Rejected           any other 4xx: the request will not succeed unchanged
        └── Unavailable        no answer, a broken one, 429 or 5xx: try again later
            └── TooLarge       more of an answer than is read: ask for less

What people write into a TracingConfig is never an error here: faults are values, see
`tracekeeper_spec.faults`.
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of all errors raised on purpose; its text is written for people."""


class SettingsError(OperatorError):
    """A flag or environment variable cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        super().__init__(f"{name}: {problem}")


class AccessError(OperatorError):
    """There is no usable way to the API server."""

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        super().__init__(f"{where}: {problem}")


class CertificateError(OperatorError):
    """Certificate material cannot be used; `where` names the Secret's key or the file."""

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        super().__init__(f"{where}: {problem}")


class ListenError(OperatorError):
    """A port could not be bound."""

    def __init__(self, address: str, cause: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {cause}")


class LeadLost(OperatorError):
    """This process led, and must not act any more."""

    def __init__(self, lease: str, why: str) -> None:
        self.lease = lease
        super().__init__(f"lost the lease {lease}: {why}; ending, to begin anew as a standby")


class TokenRefused(OperatorError):
    """A token does not show that its bearer is a sidecar of this cluster.

    `reason` is for people, and never shows the token. `transient` is True where the token could not be judged, because
    the API server's keys are not to be had: the same token may be taken later.
    """

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        self.reason, self.transient = reason, transient
        super().__init__(reason)


class PersonUnknown(OperatorError):
    """The API server does not know whose token this is. `reason` never shows the token."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the token is refused: {reason}")


class AccessDenied(OperatorError):
    """A person may not do what they ask for."""

    def __init__(self, person: str, action: str, reason: str) -> None:
        self.person, self.action, self.reason = person, action, reason
        super().__init__(f"{person} may not {action}" + (f": {reason}" if reason else ""))


class KubeError(OperatorError):
    """One request to the API server failed.

    `verb` is Kubernetes' own (get, list, watch, patch, create, delete), `target` the object or list in words,
    `status` the HTTP status or 0 when there was none, `retry_after` the server's own wish in seconds, if it
    had one.
    """

    transient = False

    def __init__(self, verb: str, target: str, status: int, message: str, retry_after: float | None = None) -> None:
        self.verb, self.target, self.status, self.message = verb, target, status, message
        self.retry_after = retry_after
        code = f" (HTTP {status})" if status else ""
        super().__init__(f"{verb} {target}: {message}{code}")


class NotFound(KubeError):
    """The object, or the whole resource, does not exist."""


class Forbidden(KubeError):
    """The operator's service account may not do this, or its token was refused."""


class Conflict(KubeError):
    """Somebody else changed the object between our reading and our writing."""

    transient = True


class Gone(KubeError):
    """The API server no longer knows the resourceVersion that a watch started from."""

    transient = True


class Rejected(KubeError):
    """The API server says that the request itself is wrong."""


class Unavailable(KubeError):
    """There was no answer in time, or one that says to come back."""

    transient = True


class TooLarge(Unavailable):
    """The answer is larger than is read of one."""


def from_status(verb: str, target: str, status: int, message: str, retry_after: float | None) -> KubeError:
    """The error for an HTTP status of 400 and above."""
    kinds: dict[int, type[KubeError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Gone}
    kind = kinds.get(status)
    if kind is None:
        kind = Unavailable if status in (408, 429) or status >= 500 else Rejected
    return kind(verb, target, status, message, retry_after)
