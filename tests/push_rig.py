"""What tests push, and the ends that it arrives at."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from programs import ask
from promtool import pushgateway
from sidecar_process import until
from tracekeeper_sidecar.meter.families import REQUEST_CALLS_HIGHEST, REQUEST_DURATION, REQUESTS
from tracekeeper_sidecar.meter.reading import Exemplar, Histogram, Reading, Row
from tracekeeper_sidecar.metrics import LOG_BYTES, SPANS_DROPPED, Metric
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.push.page import Page

POD = Pod("shop", "job-1", "u-1")
EXEMPLAR = Exemplar(b"t" * 16, b"s" * 8, 0.002, 1_700_000_000.5)


def page(requests: int = 3, *, born: int = 1, dropped: int = 2, at: float = 1_700_000_000.0) -> Page:
    """A moment with some of everything."""
    counts = (requests, *[0] * len(REQUEST_DURATION.bounds))
    histogram = Histogram(counts, 0.001 * requests, (EXEMPLAR, *[None] * len(REQUEST_DURATION.bounds)))
    reading = Reading(
        {
            REQUESTS: (Row(("shop/agents", "shop", "a|b", "", "ok", ""), requests, born),),
            REQUEST_DURATION: (Row(("shop/agents", "shop", "a|b", ""), histogram, born),),
            REQUEST_CALLS_HIGHEST: (Row(("shop/agents", "shop", "a|b", ""), 147, born),),
        }
    )
    own = ((SPANS_DROPPED, [(("primary", "refused"), dropped)]), (LOG_BYTES, [((), 4096.0)]))
    return Page(at, own, reading)


class Watched(Mapping[Metric, tuple[Row, ...]]):
    """Families of a reading; notes in which threads their rows are looked at."""

    def __init__(self, reading: Reading) -> None:
        self._families = reading.families
        self.threads: set[int] = set()

    def __len__(self) -> int:
        return len(self._families)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families)

    def __getitem__(self, metric: Metric) -> tuple[Row, ...]:
        self.threads.add(threading.get_ident())
        return self._families[metric]


class Gateway:
    """A running Pushgateway."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"

    def series(self) -> dict[str, float]:
        """What it shows of ours: `name pod label=value…`, and the value."""
        families = text_string_to_metric_families(ask(self.port, "/metrics").decode())
        return {
            " ".join((sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()) if value))): (
                sample.value
            )
            for family in families
            for sample in family.samples
            if sample.labels.get("job") == "tracekeeper"
        }

    def pods(self) -> set[str]:
        """Whose groups it holds."""
        found = (word for series in self.series() for word in series.split())
        return {word.removeprefix("pod=") for word in found if word.startswith("pod=")}


@contextmanager
def running_gateway(folder: Path) -> Iterator[Gateway]:
    """A Pushgateway of this machine, as Debian builds it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen([pushgateway(), f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        until(lambda: _listens(port) or process.poll() is not None, "the gateway listens")
        assert process.poll() is None, (folder / "gateway.log").read_text()
        yield Gateway(port)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Taken:
    """Requests that an HTTP server has had: path, headers and body; and what it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.port = 0


@contextmanager
def http_server() -> Iterator[Taken]:
    """One that takes anything."""
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(taken.status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"busy" if taken.status != 200 else b"fine")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def udp_server() -> Iterator[tuple[int, list[bytes]]]:
    """The port of one, and the datagrams that it has had; to be used within an event loop."""
    taken: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(listening, lambda: taken.append(listening.recv(65536)))
        try:
            yield listening.getsockname()[1], taken
        finally:
            loop.remove_reader(listening)
