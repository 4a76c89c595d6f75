"""What one process is told on its command line; all that can change while it runs is in the policy instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on; no host means every address, IPv4 and IPv6; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def with_port(self, port: int) -> Address:
        """The same host with the port that was really bound."""
        return Address(self.host, port)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `HOST:PORT` or `[IPV6]:PORT`; raises ValueError that says what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:4317")
        return cls(host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the sidecar listens."""

    grpc: Address = Address("127.0.0.1", 4317)
    """OTLP over gRPC. Localhost only: the pod's other containers share it, nobody else should."""
    http: Address = Address("127.0.0.1", 4318)
    """OTLP over HTTP."""
    zipkin: Address | None = None
    """Zipkin's API, or None: no port of its own."""
    admin: Address = Address("", 14316)
    """Metrics and health. Every address, because the kubelet and Prometheus come from outside the pod."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run of the sidecar."""

    data_dir: str
    """Directory of the log; its whole content belongs to the sidecar."""
    storage_bytes: int
    """Hard limit for everything in `data_dir`. In a pod 95 % of the volume's: the kubelet must never evict for it."""
    storage_history: int | None = None
    """Of that, bytes that delivered spans may go on taking while nothing else needs the room; None: half."""
    listen: Listen = Listen()
    zipkin: bool = False
    """Whether Zipkin's API is served, at least on the port of OTLP over HTTP."""
    openai_parent_from_request: bool = False
    """Whether the headers of an export to OpenAI's trace ingest may name the parent of what it brings."""
    config_file: str | None = None
    """A TracingConfig manifest (`run --config`), or None."""
    secrets_dir: str | None = None
    """With `config_file`: folder of NAME/KEY files that secretKeyRefs are read from."""
    policy_file: str | None = None
    """The policy document that the operator writes (`run --policy`), or None."""
    pod_info_dir: str | None = None
    """Downward API volume with `labels` and `annotations`: what the policy's selectors are matched against."""
    control_token: str | None = None
    """File with the pod's token for the operator, to which the sidecar attaches where the policy says so; or None. The
    kubelet writes it anew before it expires."""
    adopt_from: str | None = None
    """Folder on the node that holds `data_dir` and those of other pods of the same config, or None."""
    adopt_after: float = 15.0
    """Seconds that such a folder must have been without its sidecar. More than a container takes to start again."""
    drain_timeout: float = 20.0
    """Seconds that a stop may wait for pending spans to be delivered."""
    poll_interval: float = 2.0
    """Seconds between looks at the policy's files. Two, because kubelet swaps a symbolic link and tells nobody."""
