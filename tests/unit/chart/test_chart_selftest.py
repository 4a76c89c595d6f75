"""What `helm test` runs, against an HTTPS server that answers as an API server does."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SCRIPT = Path(__file__).resolve().parents[3] / "charts/tracekeeper/files/selftest.py"
Answer = Callable[[int, dict[str, Any]], tuple[int, dict[str, Any]]]


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, which is its own authority, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "ca.crt"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + encoded)
    return file


class Server(ThreadingHTTPServer):
    """Keeps what it was asked, and answers with what `answer(number of the request, pod)` says."""

    answer: Answer
    asked: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.server.answer(len(self.server.asked), pod)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    (tmp_path / "token").write_text("the-token\n")
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.shutdown()
        thread.join(10)


def run(server: Server, folder: Path, deadline: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {
        "ACCOUNT_DIR": str(folder),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.server_port),
        "TEST_NAMESPACE": "default",
        "RELEASE_NAMESPACE": "tracekeeper-system",
        "INJECTOR": "tracekeeper-injector",
        "IMAGE": "registry.example.com/tracekeeper-sidecar:1",
        "DEADLINE_SECONDS": deadline,
    }
    command = [sys.executable, "-c", SCRIPT.read_text()]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)


def injected(pod: dict[str, Any]) -> dict[str, Any]:
    sidecar = {"name": "tracekeeper-sidecar", "image": "registry.example.com/tracekeeper-sidecar:1"}
    return pod | {"spec": pod["spec"] | {"initContainers": [sidecar]}}


def test_it_passes_when_the_pod_comes_back_with_the_sidecar(server: Server, tmp_path: Path) -> None:
    pods: list[dict[str, Any]] = []

    def answer(number: int, pod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        pods.append(pod)
        return 201, injected(pod)

    server.answer = answer
    done = run(server, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
    assert server.asked == [("/api/v1/namespaces/default/pods?dryRun=All", "Bearer the-token")]
    assert pods[0]["metadata"]["annotations"] == {"tracekeeper.dev/inject": "true"}


def test_it_fails_with_the_next_step_when_nobody_injects(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number, pod: (201, pod)
    done = run(server, tmp_path)
    assert done.returncode == 1
    assert "nobody added a sidecar" in done.stdout
    assert "kubectl -n tracekeeper-system logs deploy/tracekeeper-injector" in done.stdout


def test_it_fails_with_the_reason_when_the_pod_is_refused(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number, pod: (403, {"message": "exceeded quota"})
    done = run(server, tmp_path)
    assert done.returncode == 1
    assert "403" in done.stdout
    assert "exceeded quota" in done.stdout


def test_it_waits_for_an_injector_that_has_just_started(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number, pod: (201, injected(pod) if number > 1 else pod)
    done = run(server, tmp_path, deadline="30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.asked) == 2


def test_it_fails_clearly_when_there_is_no_api_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(certificate(tmp_path).read_text())  # another authority than the server's
    server.answer = lambda number, pod: (201, injected(pod))
    done = run(server, tmp_path)
    assert done.returncode == 1
    assert "could not be reached" in done.stdout
    assert server.asked == []
