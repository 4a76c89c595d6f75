"""An API server for tests: a real HTTP server on loopback that keeps objects, and misbehaves when it is told to.

It knows what is used of one: get, list in pages, watch, server-side apply, JSON patch, replace, create and delete,
whose a token is and what its owner may do, and the discovery that kopf does. Failures are queued with `fail` and
`stream`, each for the next matching request.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Object = dict[str, Any]

GROUPS = {
    "tracekeeper.dev": ("v1alpha1", {"tracingconfigs": "TracingConfig"}),
    "apiextensions.k8s.io": ("v1", {"customresourcedefinitions": "CustomResourceDefinition"}),
    "admissionregistration.k8s.io": (
        "v1",
        {
            "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
            "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
        },
    ),
    "apps": ("v1", {"replicasets": "ReplicaSet"}),
    "coordination.k8s.io": ("v1", {"leases": "Lease"}),
    "batch": ("v1", {"jobs": "Job"}),
}
CORE = {"secrets": "Secret", "configmaps": "ConfigMap", "events": "Event", "namespaces": "Namespace", "pods": "Pod"}
CLUSTER_WIDE = {"namespaces", "customresourcedefinitions"} | set(GROUPS["admissionregistration.k8s.io"][1])
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]

Script = Callable[[web.Request, web.StreamResponse], Any]


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Asked:
    """What a list or a watch is about, and how much of it."""

    plural: str
    namespace: str
    labels: str
    fields: str
    metadata: bool

    @classmethod
    def of(cls, request: web.Request, plural: str, namespace: str) -> Asked:
        query = request.query
        metadata = "as=PartialObjectMetadata" in request.headers.get("Accept", "")
        return cls(plural, namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""), metadata)

    def takes(self, plural: str, found: Object) -> bool:
        meta = found.get("metadata", {})
        if plural != self.plural or self.namespace not in ("", meta.get("namespace", "")):
            return False
        return selected(self.labels, meta.get("labels", {}).get) and selected(
            self.fields, lambda path: value_at(found, path.replace(".", "/")) or ""
        )

    def shown(self, found: Object) -> Object:
        return {"metadata": found["metadata"]} if self.metadata else found


@dataclass
class Watcher:
    asked: Asked
    queue: asyncio.Queue[tuple[str, Object] | None] = field(default_factory=asyncio.Queue)


@dataclass
class Api:
    """The server's state; `url` is where it listens."""

    url: str = ""
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    documents: dict[str, tuple[str, Object]] = field(default_factory=dict)
    """What is told at paths without objects: the path to a media type and the document."""
    seen: list[Seen] = field(default_factory=list)
    version: int = 100
    page: int = 500
    failures: list[tuple[str, str, int, str | bytes, dict[str, str]]] = field(default_factory=list)
    streams: deque[Script] = field(default_factory=deque)
    watchers: list[Watcher] = field(default_factory=list)
    people: dict[str, Object] = field(default_factory=dict)
    """Who has which token, as a TokenReview answers it."""
    may: Callable[[Object], bool] = lambda asked: False
    """Whether a SubjectAccessReview with this spec is answered with yes."""

    def put(self, plural: str, manifest: Object) -> Object:
        """Create or replace an object, as kubectl would, and tell the watchers."""
        meta = manifest.setdefault("metadata", {})
        key = (plural, meta.get("namespace", ""), meta["name"])
        old = self.objects.get(key)
        self.version += 1
        meta.setdefault("uid", old["metadata"]["uid"] if old else f"uid-{self.version}")
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        if old is None or old.get("spec") != manifest.get("spec"):
            meta["generation"] = (old["metadata"].get("generation", 0) if old else 0) + 1
        else:
            meta["generation"] = old["metadata"].get("generation", 1)
        meta["resourceVersion"] = str(self.version)
        if old is not None and "status" in old:
            manifest.setdefault("status", old["status"])
        self.objects[key] = manifest
        self._tell(plural, "MODIFIED" if old else "ADDED", manifest, old)
        return manifest

    def remove(self, plural: str, namespace: str, name: str) -> None:
        gone = self.objects.pop((plural, namespace, name))
        self._tell(plural, "DELETED", gone)

    def get(self, plural: str, namespace: str, name: str) -> Object:
        return self.objects[(plural, namespace, name)]

    def fail(self, method: str, path: str, status: int, body: str | bytes = "", **headers: str) -> None:
        """Answer the next request whose path ends so with this; status 0 closes the connection without a word."""
        self.failures.append((method, path, status, body, headers))

    def stream(self, script: Script) -> None:
        """Answer the next watch by this."""
        self.streams.append(script)

    def requests(self, method: str, path_end: str = "") -> list[Seen]:
        return [item for item in self.seen if item.method == method and item.path.endswith(path_end)]

    def watched(self, plural: str) -> bool:
        """Whether somebody watches objects of that kind."""
        return any(watcher.asked.plural == plural for watcher in self.watchers)

    def close_watches(self) -> None:
        for watcher in self.watchers:
            watcher.queue.put_nowait(None)

    def _tell(self, plural: str, kind: str, manifest: Object, old: Object | None = None) -> None:
        for watcher in self.watchers:
            asked = watcher.asked
            if asked.takes(plural, manifest):
                watcher.queue.put_nowait((kind, json.loads(json.dumps(asked.shown(manifest)))))
            elif old is not None and asked.takes(plural, old):
                # What is no longer selected is as good as deleted, for whoever watches by a selector.
                watcher.queue.put_nowait(("DELETED", json.loads(json.dumps(asked.shown(manifest)))))

    # The HTTP side.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        self.seen.append(Seen(request.method, request.path, dict(request.query), dict(request.headers), body))
        for failure in self.failures:
            method, path, status, answer, headers = failure
            if method == request.method and request.path.endswith(path) and "watch" not in request.query:
                self.failures.remove(failure)
                if status == 0:
                    assert request.transport is not None
                    request.transport.close()
                raw = answer.encode() if isinstance(answer, str) else answer
                return web.Response(status=status or 500, body=raw, headers=headers)
        return await self._route(request, body)

    async def _route(self, request: web.Request, body: Any) -> web.StreamResponse:
        if request.path in self.documents:
            media, document = self.documents[request.path]
            if media not in request.headers["Accept"]:
                return web.Response(status=406, text="406: Not Acceptable")
            return web.Response(text=json.dumps(document), content_type=media)
        parts = request.path.strip("/").split("/")
        if parts[0] not in ("api", "apis"):
            return web.Response(status=404, text="404 page not found")
        if found := discovery(parts):
            return web.json_response(found)
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest:
            return web.Response(status=404, text="404 page not found")
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, sub = [*rest, "", ""][:3]
        if "watch" in request.query:
            return await self._watch(request, Asked.of(request, plural, namespace))
        if not name and request.method == "GET":
            return self._list(request, Asked.of(request, plural, namespace))
        handler = {
            "GET": self._get,
            "PATCH": self._patch,
            "PUT": self._put,
            "DELETE": self._delete,
            "POST": self._post,
        }
        return handler[request.method](request, (plural, namespace, name), sub, body)

    def _get(self, _: web.Request, key: tuple[str, str, str], sub: str, body: Any) -> web.Response:
        found = self.objects.get(key)
        return web.json_response(found) if found is not None else not_found(key)

    def _post(self, _: web.Request, key: tuple[str, str, str], sub: str, body: Any) -> web.Response:
        if key[0] == "tokenreviews":
            user = self.people.get(body["spec"]["token"])
            known = {"authenticated": True, "user": user} if user else {"error": "invalid bearer token"}
            return web.json_response({**body, "status": known}, status=201)
        if key[0] == "subjectaccessreviews":
            allowed = self.may(body["spec"])
            answer = {"allowed": allowed, "reason": "" if allowed else "no role says so"}
            return web.json_response({**body, "status": answer}, status=201)
        if (key[0], sub) == ("serviceaccounts", "token"):
            made = {"token": f"token-of-{key[1]}-{key[2]}", "expirationTimestamp": "2036-01-01T00:00:00Z"}
            return web.json_response({**body, "status": made}, status=201)
        if sub == "eviction":
            return self._delete(_, key, sub, body)
        if (key[0], key[1], body["metadata"].get("name", "")) in self.objects:
            return web.json_response({"message": "it exists already"}, status=409)
        return web.json_response(self.put(key[0], body), status=201)

    def _delete(self, _: web.Request, key: tuple[str, str, str], sub: str, body: Any) -> web.Response:
        if key not in self.objects:
            return not_found(key)
        self.remove(*key)
        return web.json_response({"kind": "Status", "status": "Success"})

    def _patch(self, request: web.Request, key: tuple[str, str, str], sub: str, body: Any) -> web.Response:
        old = self.objects.get(key)
        if old is None and (sub or "json-patch" in request.headers["Content-Type"]):
            return not_found(key)
        new = json.loads(json.dumps(old)) if old is not None else {}
        if "json-patch" in request.headers["Content-Type"]:
            if not all(value_at(new, item["path"]) == item["value"] for item in body if item["op"] == "test"):
                return web.json_response({"message": "the test operation failed"}, status=422)
            for item in body:
                if item["op"] == "add":
                    set_at(new, item["path"], item["value"])
                elif item["op"] == "remove":
                    path, _, last = item["path"].rpartition("/")
                    del value_at(new, path)[last.replace("~1", "/").replace("~0", "~")]
        elif sub == "status":
            new["status"] = body["status"]
        else:
            new = {**new, **body, "metadata": {**new.get("metadata", {}), **body["metadata"]}}
        return web.json_response(self.put(key[0], new))

    def _put(self, request: web.Request, key: tuple[str, str, str], sub: str, body: Any) -> web.Response:
        old = self.objects.get(key)
        if old is None:
            return not_found(key)
        if body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            return web.json_response({"message": "the object has been modified"}, status=409)
        return web.json_response(body if "dryRun" in request.query else self.put(key[0], body))

    def _list(self, request: web.Request, asked: Asked) -> web.Response:
        if "as=PartialObjectMetadata;" in request.headers["Accept"]:
            message = "you requested PartialObjectMetadata, but the requested object is a list"
            return web.json_response({"message": message}, status=406)
        items = [asked.shown(item) for key, item in sorted(self.objects.items()) if asked.takes(key[0], item)]
        start, size = (
            int(request.query.get("continue", "0")),
            min(self.page, int(request.query.get("limit", self.page))),
        )
        meta: Object = {"resourceVersion": str(self.version)}
        if start + size < len(items):
            meta["continue"] = str(start + size)
        page = items[start : start + size]
        nothing: list[Object] | None = None if "PartialObjectMetadataList" in request.headers["Accept"] else []
        return web.json_response({"metadata": meta, "items": page or nothing})

    async def _watch(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if not request.query["timeoutSeconds"].isdigit():
            message = f'strconv.ParseInt: parsing "{request.query["timeoutSeconds"]}": invalid syntax'
            return web.json_response({"message": message}, status=400)
        response = web.StreamResponse()
        if self.streams:
            return await self.streams.popleft()(request, response) or response
        await response.prepare(request)
        watcher = Watcher(asked)
        self.watchers.append(watcher)
        try:
            while (item := await watcher.queue.get()) is not None:
                await response.write(line(*item))
        finally:
            self.watchers.remove(watcher)
        return response


def line(kind: str, manifest: Object) -> bytes:
    """One event of a watch."""
    return json.dumps({"type": kind, "object": manifest}).encode() + b"\n"


def not_found(key: tuple[str, str, str]) -> web.Response:
    message = f'{key[0]} "{key[2]}" not found'
    return web.json_response({"kind": "Status", "message": message, "code": 404}, status=404)


def discovery(parts: list[str]) -> Object | None:
    """The API server's description of itself, as far as kopf asks for it."""
    if parts == ["api"]:
        return {"versions": ["v1"]}
    if parts == ["apis"]:
        return {
            "groups": [
                {
                    "name": name,
                    "preferredVersion": {"version": version},
                    "versions": [{"version": version, "groupVersion": f"{name}/{version}"}],
                }
                for name, (version, _) in GROUPS.items()
            ]
        }
    if parts == ["api", "v1"]:
        return {"resources": [described(plural, kind) for plural, kind in CORE.items()]}
    if len(parts) == 3 and parts[0] == "apis" and parts[1] in GROUPS:
        return {"resources": [described(plural, kind) for plural, kind in GROUPS[parts[1]][1].items()]}
    return None


def described(plural: str, kind: str) -> Object:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": plural not in CLUSTER_WIDE,
        "verbs": VERBS,
    }


def selected(selector: str, value: Callable[[str], str | None]) -> bool:
    """Whether what has these values is selected: `a=b,c!=d,e`, as the API writes it."""
    for part in filter(None, selector.split(",")):
        key, unequal, other = part.partition("!=")
        if unequal:
            if value(key) == other:
                return False
            continue
        key, equal, other = part.partition("=")
        if value(key) != other if equal else not value(key):
            return False
    return True


def value_at(document: Any, pointer: str) -> Any:
    """What a JSON pointer leads to; None when there is nothing."""
    for part in (part.replace("~1", "/").replace("~0", "~") for part in pointer.strip("/").split("/")):
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError):
            return None
    return document


def set_at(document: Any, pointer: str, value: Any) -> None:
    """RFC 6902 `add`: into a map, or before a place in a list (`-` is its end)."""
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.strip("/").split("/")]
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    if not isinstance(document, list):
        document[last] = value
    elif last == "-":
        document.append(value)
    else:
        assert int(last) <= len(document)
        document.insert(int(last), value)


@asynccontextmanager
async def serve(api: Api | None = None) -> AsyncIterator[Api]:
    """The server on a free port of loopback."""
    api = api or Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        api.close_watches()
        await runner.cleanup()
