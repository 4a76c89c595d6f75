"""A thin client of the Kubernetes API: JSON in, JSON out, and no model of any object.

The generated client costs 40 to 60 MB in every process that imports it, and the operator needs seven
requests. Every request has a timeout, every answer a bound, and every failure is a `KubeError` that names
verb, object and status. Objects are plain dictionaries as the API server sent them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from . import names
from .access import Access
from .errors import AccessError, Gone, KubeError, NotFound, TooLarge, Unavailable, from_status
from .kinds import PODS, Kind

Object = dict[str, Any]

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer, or of one event of a watch. etcd refuses objects of more than 1.5 MiB; in JSON, each byte of one
becomes six at most.
"""
MAX_PAGE = 8 * 1024 * 1024
"""Bytes of one page of a list, unless it is a single object: what is in it takes several times that in memory."""
PAGE = 500


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything of one kind, and the resourceVersion from which a watch goes on."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Only:
    """Which objects of a kind a list or a watch is about, and how much of each."""

    labels: str = ""
    """A label selector as the API writes it: `a=b,c!=d`; empty for all."""
    fields: str = ""
    """A field selector, likewise."""
    metadata: bool = False
    """Only their metadata: what is not needed is not sent, either."""

    @property
    def query(self) -> dict[str, str]:
        found = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {key: value for key, value in found.items() if value}

    def accept(self, shape: str = "") -> str:
        """The header for an answer of that shape: `List` for lists, nothing for one object and for watches."""
        if not self.metadata:
            return "application/json"
        return f"application/json;as=PartialObjectMetadata{shape};g=meta.k8s.io;v=v1,application/json"


EVERYTHING = Only()


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: type is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Kube:
    """A connection pool to one API server; use as `async with Kube(access) as kube`."""

    def __init__(self, access: Access, *, timeout: float = 10.0, fence: Callable[[], bool] = lambda: True) -> None:
        """Nothing is written unless `fence` says yes at that moment: who leads may have lost that without knowing."""
        self._access, self._fence = access, fence
        self._timeout = timeout
        self._tls = access.tls()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=16, ssl=self._tls if self._tls is not None else True)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": "tracekeeper-operator"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, kind: Kind, namespace: str | None, name: str, *, metadata_only: bool = False) -> Object:
        """One object. Raises NotFound and the other KubeErrors."""
        accept = Only(metadata=metadata_only).accept()
        return await self._request("get", kind, namespace, name, headers={"Accept": accept})

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        only: Only = EVERYTHING,
        *,
        lean: Callable[[Object], Object] = lambda item: item,
    ) -> Listing:
        """All objects of a kind, in pages; of each only what `lean` makes of it, before the next page comes. Raises
        KubeError, Gone when the list changed too much between two pages.
        """
        items: list[Object] = []
        version = ""
        async for page in self.pages(kind, namespace, only):
            items.extend(map(lean, page.items))
            version = page.resource_version
        return Listing(items, version)

    async def pages(
        self, kind: Kind, namespace: str | None = None, only: Only = EVERYTHING, *, size: int = PAGE
    ) -> AsyncGenerator[Listing, None]:
        """The same, one page of at most `size` objects after the other, so that no more of them need be in memory; of
        large objects, fewer at a time. Raises as `list` does.
        """
        query, now = dict(only.query), size
        headers = {"Accept": only.accept("List")}
        while True:
            query["limit"], most = str(now), MAX_PAGE if now > 1 else MAX_ANSWER
            try:
                page = await self._request("list", kind, namespace, None, query=query, headers=headers, most=most)
            except TooLarge:
                if now == 1:
                    raise
                now = max(1, now // 4)
                continue
            now = min(size, 2 * now)
            # Lists of metadata that hold nothing have null there, and so had lists of old API servers.
            found = [] if page.get("items", "") is None else page.get("items")
            meta = page.get("metadata")
            if not isinstance(found, list) or not isinstance(meta, dict):
                raise Unavailable("list", kind.target(namespace), 0, "the answer is not a list of objects")
            yield Listing([item for item in found if isinstance(item, dict)], str(meta.get("resourceVersion", "")))
            token = meta.get("continue")
            if not token:
                return
            query["continue"] = str(token)

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        only: Only = EVERYTHING,
        duration: float = 120.0,
        silence: float = 135.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Changes since `resource_version`, for about `duration` seconds; the server then ends it normally.

        `silence` bounds the wait for each piece of data, so that a connection that died without a word is
        noticed. Raises Gone when the version is too old, Unavailable for garbage, silence and broken
        connections.
        """
        query = {
            **only.query,
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(duration))),
        }
        headers = {"Accept": only.accept()}
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout, sock_read=silence)
        target = kind.target(namespace)
        path = kind.path(namespace)
        try:
            async with self._open("GET", path, query=query, headers=headers, timeout=timeout) as answer:
                if answer.status >= 400:
                    raise await _failure("watch", target, answer)
                async for line in _lines(answer.content, target):
                    yield _event(line, target)
        except (aiohttp.ClientError, TimeoutError, OSError, AccessError) as error:
            raise Unavailable("watch", target, 0, describe(error)) from error

    async def apply(self, kind: Kind, body: Mapping[str, Any], *, subresource: str | None = None) -> Object:
        """Server-side apply with our field manager; takes over fields that somebody else has set. Raises
        KubeError.
        """
        meta = body["metadata"]
        return await self._request(
            "patch",
            kind,
            meta.get("namespace"),
            meta["name"],
            subresource=subresource,
            query={"fieldManager": names.FIELD_MANAGER, "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            body=body,
        )

    async def json_patch(
        self, kind: Kind, namespace: str | None, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Object:
        """RFC 6902 operations; a failed `test` operation is Rejected (422). Raises KubeError."""
        return await self._request(
            "patch",
            kind,
            namespace,
            name,
            query={"fieldManager": names.FIELD_MANAGER},
            headers={"Content-Type": "application/json-patch+json"},
            body=operations,
        )

    async def create(self, kind: Kind, namespace: str | None, body: Mapping[str, Any]) -> Object:
        """A new object, or the answer to a mere question. Raises Conflict when the name is taken, and the other
        KubeErrors.
        """
        return await self._request("create", kind, namespace, None, body=body)

    async def evict(self, namespace: str, name: str, uid: str) -> None:
        """Ask that this pod goes, as far as PodDisruptionBudgets let it. Raises KubeError: with status 429 where they
        do not, Conflict where the name is another pod's by now.
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        await self._request("create", PODS, namespace, name, subresource="eviction", body=body)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> bool:
        """Delete one object, only if it still has this `uid`; False when it was not there. Raises
        KubeError.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._request("delete", kind, namespace, name, body=body)
        except NotFound:
            return False
        return True

    async def document(self, path: str) -> Object:
        """What the API server tells of itself at a path without objects, for instance `/openid/v1/jwks`. Raises
        KubeError.
        """
        # Its keys have a media type of their own, and are refused to whoever does not accept that.
        return await self._ask("get", path, path, headers={"Accept": "application/json, application/jwk-set+json"})

    async def _request(
        self,
        verb: str,
        kind: Kind,
        namespace: str | None,
        name: str | None,
        *,
        subresource: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        most: int = MAX_ANSWER,
    ) -> Object:
        target = kind.target(namespace, name) + (f" ({subresource})" if subresource else "")
        path = kind.path(namespace, name, subresource)
        return await self._ask(verb, target, path, query=query, headers=headers, body=body, most=most)

    async def _ask(
        self,
        verb: str,
        target: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        most: int = MAX_ANSWER,
    ) -> Object:
        if verb in _WRITES and not self._fence():
            raise Unavailable(verb, target, 0, "not sent, because this controller does not lead any more")
        try:
            async with self._open(
                _METHODS[verb],
                path,
                query=query,
                headers=headers,
                data=None if body is None else json.dumps(body).encode(),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            ) as answer:
                if answer.status >= 400:
                    raise await _failure(verb, target, answer)
                found = await _bounded(answer, most)
                if found is None:
                    raise TooLarge(verb, target, 0, f"the answer is larger than {most} bytes")
                return _document(found, verb, target)
        except (aiohttp.ClientError, TimeoutError, OSError, AccessError) as error:
            raise Unavailable(verb, target, 0, describe(error)) from error

    def _open(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("use Kube inside `async with`")
        sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        if token := self._access.bearer():
            sent["Authorization"] = f"Bearer {token}"
        url = self._access.server + path
        return self._session.request(
            method,
            url,
            params=query,
            headers=sent,
            data=data,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=self._access.server_name,
        )


_WRITES = frozenset({"patch", "create", "delete"})
_METHODS = {"get": "GET", "list": "GET", "patch": "PATCH", "create": "POST", "delete": "DELETE"}


def describe(error: BaseException) -> str:
    """A transport error in words; some of them have an empty text."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


async def _bounded(answer: aiohttp.ClientResponse, most: int) -> bytearray | None:
    """The whole of it; None if that is larger."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most:
            return None
    return body


def _document(body: bytes | bytearray, verb: str, target: str) -> Object:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Unavailable(verb, target, 0, f"the answer is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unavailable(verb, target, 0, "the answer is not a JSON object")
    return document


async def _failure(verb: str, target: str, answer: aiohttp.ClientResponse) -> KubeError:
    """The error that an answer of 400 and above stands for, in the API server's own words where it has
    any.
    """
    body = await _bounded(answer, MAX_ANSWER) or b""
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body[:200].decode(errors="replace").strip() or str(answer.reason)
    return from_status(verb, target, answer.status, message, _retry_after(answer))


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


async def _lines(content: aiohttp.StreamReader, target: str) -> AsyncIterator[bytes]:
    """Whole lines of a watch. aiohttp's own readline has a limit below the size of a large object."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > MAX_ANSWER:
            raise TooLarge("watch", target, 0, f"an event is larger than {MAX_ANSWER} bytes")


def _event(line: bytes, target: str) -> WatchEvent:
    document = _document(line, "watch", target)
    kind, found = document.get("type"), document.get("object")
    if not isinstance(kind, str) or not isinstance(found, dict):
        raise Unavailable("watch", target, 0, "an event has no type or no object")
    if kind == "ERROR":
        status, message = found.get("code"), str(found.get("message", "the watch failed"))
        if status == 410:
            raise Gone("watch", target, 410, message)
        raise Unavailable("watch", target, status if isinstance(status, int) else 0, message)
    return WatchEvent(kind, found)
