"""The OpenTelemetry Collector as the other side: durable (persistent queue, fsync on), or a tail sampler in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import masking
import yaml
from collector_build import ensure, version
from processes import Failed, Program, Programs, free_ports, listening, until
from tail import Tail, theirs

NAME = f"Collector {version()}"
START_LIMIT = 60.0
QUEUE = {"queue_size": 20000, "num_consumers": 10, "block_on_overflow": True}
DURABLE = {"storage": "file_storage"}
GATHERED = {"batch": {"flush_timeout": "200ms", "min_size": 8192, "max_size": 8192, "sizer": "items"}}
"""A tail sampler passes traces on one by one: a tenth less CPU for the Collector when its queue gathers them."""


class Collector:
    """One Collector in one folder."""

    name = NAME

    def __init__(
        self,
        programs: Programs,
        backends: Mapping[str, int],
        prefix: Sequence[str] = (),
        *,
        tail: Tail | None = None,
        redacting: bool = False,
    ) -> None:
        self._programs, self._prefix = programs, prefix
        self.steps = "off"
        """The pipeline of ours that does what it does."""
        if redacting:
            self.steps, self.name = "redact", f"{NAME}, redaction"
        self.data = programs.folder / "queue"
        (self.grpc,) = free_ports(1)
        self._config = programs.folder / "collector.yaml"
        settings = config(str(self.data), self.grpc, backends, tail, redacting=redacting)
        self._config.write_text(yaml.safe_dump(settings, sort_keys=False))
        self.program: Program | None = None

    def start(self) -> None:
        """Start the process; it may not listen yet."""
        command = [*self._prefix, str(ensure()), "--config", str(self._config)]
        self.program = self._programs.start("collector", command)

    def ready(self) -> None:
        """Wait until it takes connections."""
        until(lambda: listening(self.grpc), START_LIMIT, "the Collector listening", self.program)

    @property
    def pid(self) -> int:
        return self.running.pid

    @property
    def running(self) -> Program:
        """The process. Raises Failed when there is none."""
        if self.program is None:
            raise Failed("the Collector has not been started")
        return self.program


def config(
    data: str, port: int, backends: Mapping[str, int], tail: Tail | None = None, *, redacting: bool = False
) -> dict[str, object]:
    """The Collector's configuration: nothing acknowledged is lost while it runs, and it never gives up.

    Its tail sampler keeps open traces in memory, so that its queue may as well be there.
    """
    exporters = {
        f"otlp/{name}": {
            "endpoint": f"127.0.0.1:{backend}",
            "tls": {"insecure": True},
            "compression": "none",
            "sending_queue": QUEUE | (GATHERED if tail else DURABLE),
            "retry_on_failure": {"max_elapsed_time": 0},
        }
        for name, backend in backends.items()
    }
    receiver = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}", "max_recv_msg_size_mib": 64}}}
    processors = {"tail_sampling": theirs(tail)} if tail else {}
    if redacting:
        processors["redaction"] = masking.theirs()
    pipeline = {"receivers": ["otlp"], "processors": list(processors), "exporters": list(exporters)}
    storage = {"directory": data, "fsync": True, "create_directory": True}
    return {
        "extensions": {} if tail else {"file_storage": storage},
        "receivers": {"otlp": receiver},
        "processors": processors,
        "exporters": exporters,
        "service": {
            "extensions": [] if tail else ["file_storage"],
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {"traces": pipeline},
        },
    }
