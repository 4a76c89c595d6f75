"""Requests to one HTTP server: a connection that is kept between pushes, and answers as values."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.dial import Place
from tracekeeper_sidecar.forward.http_pool import Crowded, HttpPool
from tracekeeper_sidecar.forward.http_wire import Answer, Lost
from tracekeeper_sidecar.forward.tls import client_context
from tracekeeper_spec.config import Protocol


class Caller:
    """Owned by one event loop. Made in a thread: with TLS, the system's authorities are read."""

    def __init__(self, endpoint: str, largest_answer: int) -> None:
        self.endpoint = endpoint
        url = urlsplit(endpoint)
        secure = url.scheme == "https"
        context = client_context(Connection(Protocol.HTTP, endpoint, "", secure)) if secure else None
        self._base, self._host = url.path.rstrip("/"), url.netloc
        self._pool = HttpPool(
            Place(url.hostname or "", url.port or (443 if secure else 80), context), 1, largest_answer
        )

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        *,
        timeout: float,  # noqa: ASYNC109 - it bounds the connection too
    ) -> Answer:
        """The answer to one request below the endpoint. Raises PushFailed where none came in time."""
        if not path.isascii() or not path.isprintable() or " " in path:
            raise PushFailed(f"{self.endpoint}: {path!r} is no path")
        lines = [
            f"{method} {self._base}{path} HTTP/1.1",
            f"Host: {self._host}",
            "User-Agent: tracekeeper-sidecar",
            *(f"{name}: {value}" for name, value in headers),
            f"Content-Length: {len(body)}",
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        try:
            return await self._pool.post(head, body, asyncio.get_running_loop().time() + timeout)
        except TimeoutError:
            raise PushFailed(f"{self.endpoint} has not answered within {timeout:.0f} s") from None
        except Lost as lost:
            raise PushFailed(f"{self.endpoint}: {lost.cause}") from None
        except Crowded:
            raise PushFailed(f"{self.endpoint}: the last request is still under way") from None
        except OSError as error:
            raise PushFailed(f"{self.endpoint} cannot be reached: {error.strerror or error}") from None

    def close(self) -> None:
        """End the connection."""
        self._pool.close()


def refused(endpoint: str, answer: Answer) -> PushFailed:
    """An answer that is no success, with the beginning of what it says."""
    said = (answer.body or b"").decode("utf-8", "replace").strip()[:200]
    return PushFailed(f"{endpoint} answers {answer.status} {answer.reason}" + (f": {said}" if said else ""))
