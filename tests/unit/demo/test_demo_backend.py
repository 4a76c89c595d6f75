"""The demo's backend as a process: what it stores and counts, and that it fails just as it says."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import programs
from programs import Backend
from sidecar_process import until

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
Start = Callable[..., Backend]
Ask = Callable[..., bytes]


def request(*ids: int) -> bytes:
    """One request with a span for each id."""
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number in ids:
        spans.add(span_id=number.to_bytes(8, "big"), trace_id=b"t" * 16, name=f"span {number}")
    return message.SerializeToString()


def send_grpc(port: int, body: bytes, timeout: float = 10) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        return call(body, timeout=timeout)


def send_http(port: int, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    named = {"Content-Type": "application/x-protobuf"} | {k.replace("_", "-"): v for k, v in headers.items()}
    message = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", data=body, headers=named)
    try:
        with urllib.request.urlopen(message, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_it_starts_within_a_few_seconds(backend: Backend) -> None:
    assert backend.started_in < 5  # under a second on an idle machine


def test_it_counts_spans_ids_and_duplicates_over_both_transports(backend: Backend) -> None:
    send_grpc(backend.grpc, request(1, 2, 3))
    status, _, _ = send_http(backend.http, gzip.compress(request(3, 4)), Content_Encoding="gzip")
    assert status == 200
    stats = backend.json("/stats")
    assert (stats["requests"], stats["spans"], stats["distinct"], stats["duplicates"]) == (2, 5, 4, 1)
    assert backend.ids() == {f"{i:016x}" for i in (1, 2, 3, 4)}
    assert [r["transport"] for r in backend.json("/requests")] == ["grpc", "http"]
    assert [s["name"] for s in backend.json("/spans?limit=2")] == ["span 3", "span 4"]


def test_memory_is_bounded(start_backend: Start) -> None:
    backend = start_backend("--keep=3", "--keep-ids=4")
    send_grpc(backend.grpc, request(*range(1, 11)))
    assert len(backend.json("/spans")) == 3
    assert len(backend.ids()) == 4
    stats = backend.json("/stats")
    assert (stats["distinct"], stats["forgotten_ids"]) == (10, 6)


def test_count_only_counts(start_backend: Start) -> None:
    backend = start_backend("--count-only")
    body = request(1, 2, 3)
    send_grpc(backend.grpc, body)
    stats = backend.json("/stats")
    assert (stats["requests"], stats["bytes"], stats["spans"]) == (1, len(body), 3)
    assert backend.ids() == set()


@pytest.mark.parametrize(
    ("mode", "code", "status"),
    [
        ("unavailable", grpc.StatusCode.UNAVAILABLE, 503),
        ("throttle", grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        ("refuse", grpc.StatusCode.INVALID_ARGUMENT, 400),
        ("too-large", grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    ],
)
def test_failing_modes_answer_as_they_say_and_store_nothing(
    backend: Backend, mode: str, code: grpc.StatusCode, status: int
) -> None:
    backend.fail(mode)
    with pytest.raises(grpc.RpcError) as caught:
        send_grpc(backend.grpc, request(1))
    assert caught.value.code() is code
    assert send_http(backend.http, request(1))[0] == status
    assert backend.json("/stats")["spans"] == 0
    backend.fail("ok")
    send_grpc(backend.grpc, request(1))
    assert backend.json("/stats")["spans"] == 1


def test_throttling_says_when_to_come_back(backend: Backend) -> None:
    backend.fail("throttle", "&retry-after=7")
    with pytest.raises(grpc.RpcError) as caught:
        send_grpc(backend.grpc, request(1))
    trailers = {entry.key: entry.value for entry in caught.value.trailing_metadata()}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 7
    assert error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]) == info
    assert send_http(backend.http, request(1))[2]["Retry-After"] == "7"


def test_a_hanging_backend_answers_when_the_mode_changes(backend: Backend) -> None:
    backend.fail("hang")
    with pytest.raises(grpc.RpcError) as caught:
        send_grpc(backend.grpc, request(1), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(send_http, backend.http, request(1))
        until(lambda: backend.json("/stats")["requests"] >= 2, "the request has arrived")
        assert not waiting.done()
        backend.fail("ok")
        assert waiting.result(timeout=10)[0] == 503


def test_reset_cuts_connections_and_the_port_comes_back(backend: Backend) -> None:
    backend.fail("reset")
    with pytest.raises(grpc.RpcError) as caught:
        send_grpc(backend.grpc, request(1))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        send_http(backend.http, request(1))
    backend.fail("ok")
    send_grpc(backend.grpc, request(1))
    assert send_http(backend.http, request(2))[0] == 200
    assert backend.json("/stats")["distinct"] == 2


def test_what_a_reset_catches_half_way_is_never_answered_ok_and_forgotten(backend: Backend) -> None:
    taken: set[int] = set()
    over = threading.Event()

    def send(first: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{backend.grpc}") as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            for number in range(first, first + 20_000):
                if over.is_set():
                    return
                with contextlib.suppress(grpc.RpcError):
                    call(request(number), timeout=10, wait_for_ready=True)
                    taken.add(number)

    def more_come() -> None:
        before = len(taken)
        until(lambda: len(taken) >= before + 20, "more is taken")

    with ThreadPoolExecutor() as pool:
        senders = [pool.submit(send, first * 20_000 + 1) for first in range(4)]
        try:
            for _ in range(4):
                more_come()
                backend.fail("reset")
                backend.fail("ok")
        finally:
            over.set()
        for sender in senders:
            sender.result(timeout=20)
    kept = {int(line, 16) for line in backend.ids()}
    assert taken <= kept


def test_a_cut_is_a_reset_and_not_an_orderly_end(backend: Backend) -> None:
    backend.fail("reset")
    with socket.create_connection(("127.0.0.1", backend.grpc), timeout=10) as connection:
        connection.sendall(b"P")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_partial_success_names_how_many_were_rejected(backend: Backend) -> None:
    backend.fail("partial")
    answer = ExportTraceServiceResponse.FromString(send_grpc(backend.grpc, request(1, 2, 3)))
    assert answer.partial_success.rejected_spans == 1
    assert "rejects the first span" in answer.partial_success.error_message
    assert backend.ids() == {f"{i:016x}" for i in (2, 3)}
    assert backend.json("/stats")["rejected"] == 1


def test_a_lost_answer_stores_and_then_fails_which_makes_duplicates(backend: Backend) -> None:
    backend.fail("lost-answer", "&requests=1")
    assert send_http(backend.http, request(1, 2))[0] == 503
    assert send_http(backend.http, request(1, 2))[0] == 200  # one request long, as asked
    stats = backend.json("/stats")
    assert (stats["spans"], stats["distinct"], stats["duplicates"]) == (4, 2, 2)


def test_what_is_not_otlp_is_refused_by_name(backend: Backend) -> None:
    status, body, _ = send_http(backend.http, b"\xff\xff\xff")
    assert (status, b"not an ExportTraceServiceRequest" in body) == (400, True)
    status, body, _ = send_http(backend.http, b"{}", Content_Type="application/json")
    assert (status, b"application/x-protobuf" in body) == (415, True)


def test_unknown_modes_are_refused_with_the_known_ones(backend: Backend, ask: Ask) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(backend.admin, "/fail?mode=sulk", "POST")
    with caught.value as error:
        text = error.read().decode()
    assert "'sulk'" in text
    assert "unavailable" in text


def test_reset_forgets_everything(backend: Backend) -> None:
    send_grpc(backend.grpc, request(1))
    backend.fail("refuse")
    backend.json("/reset", "POST")
    stats = backend.json("/stats")
    assert (stats["spans"], stats["distinct"], stats["mode"]) == (0, 0, "ok")
    assert json.loads(json.dumps(stats)) == stats


def fetch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(programs.DEMO / "fetch.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_fetch_asks_one_url_or_many(backend: Backend) -> None:
    url = f"http://127.0.0.1:{backend.admin}"
    assert json.loads(fetch("POST", f"{url}/fail?mode=hang").stdout)["mode"] == "hang"
    stats, nobody = json.loads(fetch("many", f"{url}/stats", "http://127.0.0.1:1/").stdout)
    assert json.loads(stats)["mode"] == "hang"
    assert nobody is None
    alone = fetch("http://127.0.0.1:1/")
    assert (alone.returncode, "127.0.0.1:1" in alone.stderr) == (1, True)
