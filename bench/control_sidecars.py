"""Simulated sidecars at one control server: as much of TLS, HTTP/2 and gRPC as a stream needs, and little of Python, so
that thousands of them fit into a process and leave the processor to the server that is measured.

A process of them takes commands from a pipe, and answers each with what it has seen:

    ("attach", pods)           begin a stream each, and have it again when it breaks
    ("load", factor)           every second sidecar has so many times the traces from now on
    ("keep", traces a second)  tell of traces that are kept, for as long as that is not 0
    ("seen", None)             counts and times since the last such command
    ("end", None)
"""

from __future__ import annotations

import random
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from tracekeeper_proto.control.v1 import control_pb2 as pb

PATH = b"/tracekeeper.control.v1.Control/Attach"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
STARTS = 75
"""Sidecars that a process begins with in a second."""
KEYS = 3
"""Of a sidecar; two of them are its own."""
CONFIG = "uid-of-agents"
LONGEST_WAIT = 30.0
"""Seconds between two attempts, as in the sidecar."""
AT_ONCE = 250
"""Handshakes under way."""
NEAR = 0.1
"""Share by which a part may be off when it counts as the right one."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field, not indexed and not compressed (RFC 7541, 6.2.2)."""
    return b"\x00" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    number = len(text)
    if number < 127:
        return bytes([number])
    encoded, number = b"\x7f", number - 127
    while number >= 128:
        encoded, number = encoded + bytes([number % 128 + 128]), number // 128
    return encoded + bytes([number])


def beginning(host: str, token: str) -> bytes:
    fields = {
        b":method": b"POST",
        b":scheme": b"https",
        b":path": PATH,
        b":authority": host.encode(),
        b"content-type": b"application/grpc",
        b"te": b"trailers",
        b"authorization": b"Bearer " + token.encode(),
    }
    block = b"".join(literal(name, value) for name, value in fields.items())
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, block)


def message(**fields: object) -> bytes:
    data = pb.FromSidecar(**fields).SerializeToString()  # type: ignore[arg-type]
    return frame(DATA, 0, 1, b"\0" + struct.pack(">I", len(data)) + data)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server is, and what it is told."""

    address: str
    port: int
    name: str
    """In its certificate."""
    authority: str
    standings: bool = False
    """Whether sidecars say how they fare, as all of them do, in place of reports, which are for a target to share."""


@dataclass(frozen=True, slots=True)
class Pod:
    """Whom a sidecar says it is."""

    token: str
    config_uid: str


@dataclass(slots=True)
class Seen:
    """By one process of sidecars, since it was asked last."""

    attached: int = 0
    broken: int = 0
    welcomed: list[float] = field(default_factory=list)
    """Times (monotonic seconds, which all processes of a machine share) at which sidecars were welcomed."""
    shares: list[list[tuple[float, float]]] = field(default_factory=list)
    """By sidecar: times and parts that it was told."""
    delays: list[float] = field(default_factory=list)
    """Seconds from a decision's being told by one to its being heard of by another; a sample."""
    sent: int = 0
    received: int = 0
    told: int = 0
    """Traces that were told of by these."""
    heard: int = 0
    """Traces that these heard of."""


class Sidecar:
    """One stream."""

    __slots__ = (
        "attempt_at",
        "attempts",
        "got",
        "number",
        "part",
        "pod",
        "report_at",
        "shaking",
        "shares",
        "socket",
        "unread",
    )

    def __init__(self, number: int, pod: Pod, now: float) -> None:
        self.number, self.pod = number, pod
        self.socket: ssl.SSLSocket | None = None
        self.attempt_at, self.attempts = now, 0
        self.report_at = float("inf")
        self.shaking = False
        self.unread = b""
        self.got = 0
        self.part = 0.0
        self.shares: list[tuple[float, float]] = []


class Crowd:
    def __init__(self, place: Place, first: int, dice: int) -> None:
        self._place, self._first = place, first
        self._tls = ssl.create_default_context(cadata=place.authority)
        self._tls.set_alpn_protocols(["h2"])
        self._poll = select.epoll()
        self._sidecars: list[Sidecar] = []
        self._open: dict[int, Sidecar] = {}
        self._random = random.Random(dice)
        self._every = 2.0
        self._factor = 1.0
        self._keeps = self._kept_at = 0.0
        self._kept: dict[bytes, float] = {}
        self._seen = Seen()
        self._shaking = 0

    def run(self, pipe: Connection) -> None:
        while True:
            if pipe.poll():
                command, value = pipe.recv()
                if command == "end":
                    return
                pipe.send(self._obey(command, value))
            self._begin_some()
            self._receive(0.02)
            self._report()
            self._keep()

    def _obey(self, command: str, value: object) -> Seen | None:
        now = time.monotonic()
        if command == "attach":
            assert isinstance(value, list)
            self._sidecars = [
                Sidecar(self._first + number, pod, now + number / STARTS) for number, pod in enumerate(value)
            ]
        elif command == "load":
            assert isinstance(value, float)
            self._factor = value
        elif command == "keep":
            assert isinstance(value, float)
            self._keeps, self._kept_at = value, now
        else:
            seen, self._seen = self._seen, Seen()
            seen.attached = len(self._open)
            seen.shares = [sidecar.shares for sidecar in self._sidecars]
            for sidecar in self._sidecars:
                sidecar.shares = []
            return seen
        return None

    def _begin_some(self) -> None:
        now = time.monotonic()
        if len(self._open) == len(self._sidecars):
            return
        room = AT_ONCE - self._shaking
        waiting = [each for each in self._sidecars if each.socket is None and each.attempt_at <= now]
        for sidecar in waiting[: max(0, room)]:
            try:
                plain = socket.create_connection((self._place.address, self._place.port), timeout=20.0)
            except OSError:
                self._later(sidecar)
                continue
            plain.setblocking(False)
            sidecar.socket = self._tls.wrap_socket(
                plain, server_hostname=self._place.name, do_handshake_on_connect=False
            )
            sidecar.unread, sidecar.got, sidecar.shaking = b"", 0, True
            self._shaking += 1
            self._open[sidecar.socket.fileno()] = sidecar
            self._poll.register(sidecar.socket.fileno(), select.EPOLLIN)
            self._shake(sidecar)

    def _shake(self, sidecar: Sidecar) -> bool:
        """Go on with the handshake, and begin the stream after it. Whether it has begun."""
        assert sidecar.socket is not None
        try:
            sidecar.socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except OSError:
            self._lose(sidecar)
            return False
        sidecar.shaking = False
        self._shaking -= 1
        hello = message(hello={"config_uid": sidecar.pod.config_uid})
        self._send(sidecar, beginning(self._place.name, sidecar.pod.token) + hello)
        return sidecar.socket is not None

    def _later(self, sidecar: Sidecar) -> None:
        """Full jitter, as in the sidecar."""
        most = min(LONGEST_WAIT, 2.0**sidecar.attempts)
        sidecar.attempts += 1
        sidecar.attempt_at = time.monotonic() + most * self._random.random()

    def _lose(self, sidecar: Sidecar) -> None:
        assert sidecar.socket is not None
        self._shaking -= sidecar.shaking
        sidecar.shaking = False
        self._poll.unregister(sidecar.socket.fileno())
        del self._open[sidecar.socket.fileno()]
        sidecar.socket.close()
        sidecar.socket, sidecar.report_at = None, float("inf")
        self._seen.broken += 1
        self._later(sidecar)

    def _receive(self, wait: float) -> None:
        for number, _ in self._poll.poll(wait):
            sidecar = self._open.get(number)
            if sidecar is None or sidecar.socket is None:
                continue
            if sidecar.shaking:
                if not self._shake(sidecar):
                    continue
            try:
                while True:
                    data = sidecar.socket.recv(65536)
                    sidecar.unread += data
                    if not data or not self._read(sidecar):
                        self._lose(sidecar)
                        break
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            except OSError:
                self._lose(sidecar)

    def _read(self, sidecar: Sidecar) -> bool:
        """All frames that are whole; each message is in one of its own, or in several. False at the end."""
        assert sidecar.socket is not None
        data, at = sidecar.unread, 0
        while at + 9 <= len(data):
            length, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
            if at + 9 + length > len(data):
                break
            payload = data[at + 9 : at + 9 + length]
            at += 9 + length
            if kind in (RESET, GOAWAY) or (kind == HEADERS and flags & 1):
                return False
            if kind == SETTINGS and not flags & 1:
                sidecar.socket.sendall(frame(SETTINGS, 1, 0))
            elif kind == PING and not flags & 1:
                sidecar.socket.sendall(frame(PING, 1, 0, payload))
            elif kind == DATA:
                self._take(sidecar, payload)
        sidecar.unread = data[at:]
        return True

    def _take(self, sidecar: Sidecar, payload: bytes) -> None:
        """A frame of messages: the server writes each message of less than 16 KiB into one frame."""
        assert sidecar.socket is not None
        sidecar.got += len(payload)
        if sidecar.got > 16_384:
            grant = struct.pack(">I", sidecar.got)
            sidecar.socket.sendall(frame(WINDOW, 0, 0, grant) + frame(WINDOW, 0, 1, grant))
            sidecar.got = 0
        at, now = 0, time.monotonic()
        while at + 5 <= len(payload):
            length = int.from_bytes(payload[at + 1 : at + 5], "big")
            said = pb.ToSidecar.FromString(payload[at + 5 : at + 5 + length])
            at += 5 + length
            self._seen.received += 1
            kind = said.WhichOneof("message")
            if kind == "welcome":
                welcome = said.welcome
                self._every = welcome.standing_every_seconds if self._place.standings else welcome.report_every_seconds
                if sidecar.report_at == float("inf"):
                    self._seen.welcomed.append(now)
                    # The first standing is said at once.
                    wait = min(2.0, self._every) if self._place.standings else self._every
                    sidecar.report_at, sidecar.attempts = now + wait * self._random.random(), 0
            elif kind == "share":
                sidecar.part = said.share.traces_per_second
                sidecar.shares.append((now, sidecar.part))
            elif kind == "kept":
                self._hear(said.kept, now)

    def _hear(self, kept: pb.Decisions, now: float) -> None:
        for each in kept.kept:
            self._seen.heard += len(each.trace_ids) // 16
            for at in range(0, len(each.trace_ids), 16):
                told = self._kept.get(each.trace_ids[at : at + 16])
                if told is not None:
                    self._seen.delays.append(now - told)

    def _report(self) -> None:
        now = time.monotonic()
        for sidecar in list(self._open.values()):
            if sidecar.report_at <= now and sidecar.socket is not None:
                sidecar.report_at = now + self._every * (0.8 + 0.4 * self._random.random())
                if self._place.standings:
                    self._send(sidecar, message(standing=standing(now)))
                    continue
                times = self._factor if sidecar.number % 2 else 1.0
                rate = 5.0 * times * (0.95 + 0.1 * self._random.random())
                keys = [{"key": "common", "rate": rate}]
                keys += [{"key": f"agent-{sidecar.number % 50}-{each}", "rate": 0.5} for each in range(KEYS - 1)]
                self._send(sidecar, message(report={"keys": keys}))

    def _keep(self) -> None:
        """As many as it is time for, by whom chance says."""
        if not self._keeps or not self._open:
            return
        now = time.monotonic()
        count = int((now - self._kept_at) * self._keeps)
        self._kept_at += count / self._keeps
        sidecars = list(self._open.values())
        for _ in range(count):
            trace = self._random.randbytes(16)
            kept = {"rule": "errors", "threshold": 0, "decided": time.time(), "trace_ids": trace}
            self._send(self._random.choice(sidecars), message(kept={"kept": [kept]}))
            self._kept[trace] = now
            self._seen.told += 1

    def _send(self, sidecar: Sidecar, data: bytes) -> None:
        if sidecar.socket is None:
            return  # lost a moment ago
        try:
            sidecar.socket.sendall(data)
            self._seen.sent += 1
        except OSError:
            self._lose(sidecar)


def settled(shares: Sequence[tuple[float, float]], since: float) -> float | None:
    """Seconds after `since` from which on a sidecar's part was never far from the last one; None without any."""
    if not shares:
        return None
    last = shares[-1][1]
    wrong = [index for index, (_, part) in enumerate(shares) if abs(part - last) > NEAR * last]
    return shares[wrong[-1] + 1 if wrong else 0][0] - since


def standing(now: float) -> dict[str, object]:
    """Of one that gets two spans a second and delivers them to two backends, one of which was away for a moment."""
    spans = int(2 * now)
    entries = [{"name": name, "delivered": spans} for name in ("tempo", "standby")]
    backends = [{"name": name, "circuit": "Closed"} for name in ("tempo", "standby")]
    backends[1]["fault"] = "UNAVAILABLE: connection refused"
    return {
        "policy_revision": 1,
        "policy_digest": "sha256:" + 64 * "0",
        "received": spans,
        "acknowledged": spans,
        "delivery": entries,
        "backends": backends,
    }


def crowd(pipe: Connection, place: Place, first: int) -> None:
    """What a process of sidecars runs."""
    Crowd(place, first, first).run(pipe)
