"""What every Python program uses: clients that reach the local model under the vendors' addresses, and cases.

The clients keep the vendor's base URL, because instrumentations read it (provider, server address); only the transport
goes to the local server.
"""

from __future__ import annotations

import http.client
import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import anthropic
import openai

LOCAL = os.environ["CORPUS_SERVER"]
"""The local server, as `http://127.0.0.1:<port>`."""


def library_of(package: ModuleType) -> ModuleType:
    """The HTTP library that this version of a vendor's client speaks: httpx or its successor."""
    base = importlib.import_module(f"{package.__name__}._base_client")
    found = getattr(base, "httpx2", None) or getattr(base, "httpx", None)
    assert isinstance(found, ModuleType), f"{package.__name__} speaks neither httpx nor httpx2"
    return found


def client_of(library: ModuleType, asynchronous: bool = False) -> Any:
    """An HTTP client of this library that sends everything to the local server."""
    base = library.AsyncHTTPTransport if asynchronous else library.HTTPTransport
    local = library.URL(LOCAL)

    class Local(base):  # type: ignore[misc]
        def _turned(self, request: Any) -> Any:
            request.url = request.url.copy_with(scheme=local.scheme, host=local.host, port=local.port)
            return request

        def handle_request(self, request: Any) -> Any:
            return super().handle_request(self._turned(request))

        async def handle_async_request(self, request: Any) -> Any:
            return await super().handle_async_request(self._turned(request))

    return (library.AsyncClient if asynchronous else library.Client)(transport=Local())


def openai_client(make: Callable[..., Any] = openai.OpenAI) -> Any:
    """A client of OpenAI; `make` is a class that stands in for it."""
    return make(api_key="sk-corpus", max_retries=0, http_client=client_of(library_of(openai)))


def async_openai_client() -> Any:
    """The asynchronous one."""
    return openai.AsyncOpenAI(api_key="sk-corpus", max_retries=0, http_client=client_of(library_of(openai), True))


def anthropic_client(make: Callable[..., Any] = anthropic.Anthropic, asynchronous: bool = False) -> Any:
    """A client of Anthropic; `make` is a class that stands in for it."""
    http = client_of(library_of(anthropic), asynchronous)
    return make(api_key="sk-ant-corpus", max_retries=0, http_client=http)


def begin(name: str) -> None:
    """Says to the server that what comes now belongs to the case `name`; empty: to none."""
    server = http.client.HTTPConnection(LOCAL.removeprefix("http://"))
    server.request("POST", f"/case/{name}", body=b"")
    server.getresponse().read()
    server.close()


def run(cases: dict[str, Callable[[], object]], flush: Callable[[], object]) -> None:
    """Runs the cases one after another and flushes after each; one that fails is named, the rest goes on."""
    failed = []
    for name, case in cases.items():
        begin(name)
        try:
            case()
        except Exception as error:
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        flush()
        begin("")
    sys.exit(1 if failed else 0)


def refused(call: Callable[[], object]) -> None:
    """Makes a call that the server refuses."""
    try:
        call()
    except (openai.APIError, anthropic.APIError):
        return
    raise AssertionError("the call was not refused")
