"""`make demo-local`: the sidecar alone, with a small agent and two backends, one of which fails and comes back.

No root, no Kubernetes, nothing left behind. KEEP=1 keeps everything running until Ctrl-C, to look around.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from demo_progress import DemoFailed, Progress
from demo_view import Arrived, compare, ledger_faults, ledger_lines, trace_tree, treatment
from demo_watch import Watch

DEMO = Path(__file__).parents[1] / "examples" / "demo"
RUNS = int(os.environ.get("DEMO_RUNS", "200"))
"""Runs of the agent, four spans each."""
RATE = 10
"""Runs a second."""
OUTAGE = 6.0
"""Seconds that backend-b stays away."""
CONFIG = """\
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {{name: demo, namespace: local}}
spec:
  backends:                       # no delivery section: every span goes to each of them
    - name: backend-a
      type: OTLP
      otlp: {{protocol: GRPC, endpoint: "http://127.0.0.1:{a}"}}
      batch: {{maxDelay: 200ms}}
    - name: backend-b
      type: OTLP
      otlp: {{protocol: HTTP, endpoint: "http://127.0.0.1:{b}"}}
      batch: {{maxDelay: 200ms}}
      retry: {{initialBackoff: 200ms, maxBackoff: 1s}}
      circuitBreaker: {{failureThreshold: 3, openFor: 2s, maxOpenFor: 4s}}
  processors:
    - {{name: normalize, type: Normalize}}  # the names of OpenTelemetry, whatever library the spans come from
    - {{name: redact, type: Redact}}        # people's data and keys become [REDACTED], before anything is stored
    - {{name: price, type: Price}}          # what each call of a model has cost
"""


def ask(port: int, path: str, method: str = "GET") -> bytes:
    """The body that 127.0.0.1:`port` answers with, whatever its status; raises OSError when nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    return body


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@dataclass(slots=True)
class Local:
    """The processes of the demo, their ports, and one folder for all their files."""

    folder: Path
    stack: ExitStack
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start a process; its output goes to NAME.log, and it ends with the demo."""
        output = self.stack.enter_context(open(self.folder / f"{name}.log", "wb"))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "AGENT_"))}
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=clean | {"PYTHONUNBUFFERED": "1"} | (environment or {}),
            start_new_session=True,  # Ctrl-C is for the demo, which then ends them in order.
        )
        self.processes[name] = process
        self.stack.callback(_stop, process)

    def log(self, name: str, lines: int = 15) -> list[str]:
        """The newest lines that a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-lines:]

    def check(self) -> None:
        """Raises DemoFailed when a process that should run has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None and name != "agent":
                raise DemoFailed(
                    f"{name} ended with exit code {process.returncode}", "its last lines:", *self.log(name)
                )

    def json(self, name: str, path: str, method: str = "GET") -> Any:
        """JSON from one of the processes; {} while it does not answer yet."""
        self.check()
        try:
            return json.loads(ask(self.ports[name], path, method))
        except (OSError, ValueError):
            return {}


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(25)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def start_backends(local: Local, progress: Progress) -> None:
    """Two backends; their ports are in their first line."""
    for name in ("backend-a", "backend-b"):
        ports = ["--grpc-port=0", "--http-port=0", "--admin-port=0"]
        local.start(name, [sys.executable, str(DEMO / "backend.py"), "--name", name, *ports])
    for name in ("backend-a", "backend-b"):
        said = progress.wait(f"{name} starts", partial(_ready_line, local, name), 20, partial(local.log, name))
        local.ports[name] = said["admin"]
        local.ports[f"{name}-otlp"] = said["grpc" if name == "backend-a" else "http"]


def _ready_line(local: Local, name: str) -> dict[str, Any] | None:
    local.check()
    lines = local.log(name)
    said: dict[str, Any] | None = json.loads(lines[0]) if lines and lines[0].endswith("}") else None
    return said


def start_sidecar(local: Local, progress: Progress) -> None:
    """The sidecar, as a person would start it."""
    config = local.folder / "tracingconfig.yaml"
    config.write_text(CONFIG.format(a=local.ports["backend-a-otlp"], b=local.ports["backend-b-otlp"]))
    grpc, http, metrics = free_ports(3)
    local.ports |= {"sidecar": metrics, "sidecar-grpc": grpc, "sidecar-http": http}
    arguments = ["run", "--config", str(config), "--data-dir", str(local.folder / "data"), "--storage-size", "64Mi"]
    arguments += ["--grpc-listen", f"127.0.0.1:{grpc}", "--http-listen", f"127.0.0.1:{http}"]
    arguments += ["--metrics-listen", f"127.0.0.1:{metrics}"]
    (local.folder / "data").mkdir()
    local.start("sidecar", [sys.executable, "-m", "tracekeeper_sidecar", *arguments])
    progress.say(f"          tracekeeper-sidecar {' '.join(arguments[:5])} …")
    progress.wait(
        "the sidecar starts",
        lambda: local.json("sidecar", "/health").get("status"),
        30,
        partial(local.log, "sidecar"),
    )


def start_agent(local: Local, progress: Progress) -> None:
    """The application: the official SDK, sending to the sidecar as it would in a pod."""
    (local.ports["agent"],) = free_ports(1)
    environment = {
        "OTEL_SERVICE_NAME": "weather-agent",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{local.ports['sidecar-http']}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "AGENT_RUNS": str(RUNS),
        "AGENT_RUNS_PER_SECOND": str(RATE),
        "AGENT_LINGER": "86400",
        "AGENT_LISTEN": f"127.0.0.1:{local.ports['agent']}",
    }
    local.start("agent", [sys.executable, str(DEMO / "agent.py")], environment)
    progress.wait(
        "the agent starts",
        lambda: local.json("agent", "/stats").get("runs"),
        30,
        partial(local.log, "agent"),
    )


def look(local: Local) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What Watch asks for."""
    health, ledger = local.json("sidecar", "/health"), local.json("sidecar", "/ledger")
    return health, ledger, local.json("agent", "/stats")


def outage(local: Local, progress: Progress, watch: Watch) -> None:
    """Let backend-b fail and come back while the agent goes on."""
    begin = time.monotonic()
    last = partial(local.log, "sidecar")
    watch.until("spans arrive", lambda: time.monotonic() > begin + 3, 10, last)
    local.json("backend-b", "/fail?mode=reset", "POST")
    progress.bad("backend-b goes down: it cuts every connection from now on")
    down = time.monotonic()
    watch.until("the circuit opens", lambda: watch.circuits.get("backend-b") == "Open", 20, last)
    watch.until("the outage ends", lambda: time.monotonic() > down + OUTAGE, OUTAGE + 5, last)
    waiting = watch.pending.get("backend-b", 0)
    local.json("backend-b", "/fail?mode=ok", "POST")
    progress.good(f"backend-b is back; {waiting} spans wait for it on disk, backend-a missed nothing")
    watch.until("the circuit closes", lambda: watch.circuits.get("backend-b") == "Closed", 30, last)


def finish(local: Local, progress: Progress) -> list[str]:
    """Show the ledger, the comparison and one trace; returns what is wrong, nothing if all is well."""
    command = [sys.executable, "-m", "tracekeeper_sidecar", "flush", "--timeout", "15s"]
    command += ["--admin", f"http://127.0.0.1:{local.ports['sidecar']}"]
    flushed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    faults = [] if flushed.returncode == 0 else [(flushed.stdout + flushed.stderr).strip()]
    progress.say(f"          tracekeeper-sidecar flush: {(flushed.stdout + flushed.stderr).strip()}")
    ledger = local.json("sidecar", "/ledger")
    progress.heading("The ledger (GET /ledger)")
    progress.lines(ledger_lines(ledger))
    acknowledged = frozenset(ask(local.ports["agent"], "/acknowledged").decode().split())
    arrived = []
    for name in ("backend-a", "backend-b"):
        ids = frozenset(ask(local.ports[name], "/ids").decode().split())
        arrived.append(Arrived(name, ids, int(local.json(name, "/stats")["duplicates"])))
    lines, missing = compare(acknowledged, arrived)
    progress.heading("Is it true? The agent's own list beside the backends'")
    progress.lines(lines)
    progress.heading("One of the traces that arrived in backend-b")
    spans = local.json("backend-b", "/spans?limit=100")
    progress.lines(trace_tree(spans))
    lines, untreated = treatment(spans)
    progress.heading("What the processors did to the calls of the model")
    progress.lines(lines)
    if len(acknowledged) != 4 * RUNS:
        faults.append(f"the agent made {4 * RUNS} spans, but {len(acknowledged)} were acknowledged")
    return faults + ledger_faults(ledger) + missing + untreated


def look_around(local: Local, progress: Progress) -> None:
    """What to try next; with KEEP=1 waits for Ctrl-C."""
    progress.heading("To look around")
    if os.environ.get("KEEP", "0") in ("", "0"):
        lines = ["make demo-local KEEP=1    the same, kept running until Ctrl-C, with addresses to ask"]
        lines += ["make demo                 the whole journey on a real Kubernetes", "docs/tutorial/first-steps.md"]
        progress.lines(lines)
        return
    sidecar = f"http://127.0.0.1:{local.ports['sidecar']}"
    lines = [f"curl {sidecar}{path}" for path in ("/health", "/ledger", "/metrics")]
    for name in ("backend-a", "backend-b"):
        lines.append(f"curl http://127.0.0.1:{local.ports[name]}/stats        also /spans?limit=5, /ids")
    lines.append(f"curl -X POST 'http://127.0.0.1:{local.ports['backend-a']}/fail?mode=unavailable'    mode=ok ends it")
    lines.append(f"ls {local.folder}    logs, the config, the sidecar's data")
    progress.lines(lines)
    progress.say("\nEverything runs until Ctrl-C.")
    try:
        while True:
            local.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        progress.say("\nstopping")


def run(progress: Progress) -> int:
    """The whole demo; returns the exit code."""
    seconds = RUNS / RATE + 12
    progress.say("Tracekeeper, alone on this machine: an AI agent → the sidecar → two backends, one of which fails.")
    progress.say(
        f"About {seconds:.0f} s. No root, no Kubernetes; all files are in a temporary folder, removed at the end.\n"
    )
    with tempfile.TemporaryDirectory(prefix="tracekeeper-demo-") as folder, ExitStack() as stack:
        local = Local(Path(folder), stack)
        with progress.step("starting two trace backends", "two trace backends: backend-a (gRPC), backend-b (HTTP)"):
            start_backends(local, progress)
        with progress.step("starting the sidecar", "the sidecar listens, delivers to both and keeps what it must"):
            start_sidecar(local, progress)
        with progress.step("starting the agent", f"the agent makes {4 * RATE} spans a second"):
            start_agent(local, progress)
        watch = Watch(progress, partial(look, local))
        outage(local, progress, watch)
        watch.until("the agent ends", lambda: watch.done, RUNS / RATE + 30, partial(local.log, "sidecar"))
        progress.good("the agent has done its work")
        faults = finish(local, progress)
        progress.verdict(faults)
        look_around(local, progress)
    return 1 if faults else 0


def main() -> int:
    """Run it; what went wrong is said with what to do next."""
    progress = Progress(plain_every=2.0)
    try:
        return run(progress)
    except DemoFailed as failure:
        progress.bad(str(failure))
        progress.lines(list(failure.advice))
        return 1
    except KeyboardInterrupt:
        progress.say("\nstopped; nothing is left behind")
        return 130


if __name__ == "__main__":
    sys.exit(main())
