"""The OpenTelemetry Collector as the other side: durable (persistent queue, fsync on) with two gRPC backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml
from collector_build import ensure, version
from processes import Failed, Program, Programs, free_ports, listening, until

NAME = f"Collector {version()}"
START_LIMIT = 60.0
QUEUE = {"storage": "file_storage", "queue_size": 20000, "num_consumers": 10, "block_on_overflow": True}


class Collector:
    """One Collector in one folder."""

    name = NAME

    def __init__(self, programs: Programs, backends: Mapping[str, int], prefix: Sequence[str] = ()) -> None:
        self._programs, self._prefix = programs, prefix
        self.data = programs.folder / "queue"
        (self.grpc,) = free_ports(1)
        self._config = programs.folder / "collector.yaml"
        self._config.write_text(yaml.safe_dump(config(str(self.data), self.grpc, backends), sort_keys=False))
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


def config(data: str, port: int, backends: Mapping[str, int]) -> dict[str, object]:
    """The Collector's configuration: nothing acknowledged is lost, and it never gives up."""
    exporters = {
        f"otlp/{name}": {
            "endpoint": f"127.0.0.1:{backend}",
            "tls": {"insecure": True},
            "compression": "none",
            "sending_queue": QUEUE,
            "retry_on_failure": {"max_elapsed_time": 0},
        }
        for name, backend in backends.items()
    }
    receiver = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}", "max_recv_msg_size_mib": 64}}}
    return {
        "extensions": {"file_storage": {"directory": data, "fsync": True, "create_directory": True}},
        "receivers": {"otlp": receiver},
        "exporters": exporters,
        "service": {
            "extensions": ["file_storage"],
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": list(exporters)}},
        },
    }
