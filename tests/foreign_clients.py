"""Programs in other languages that send with their own OpenTelemetry SDK, Go, Java, JavaScript; h2spec and kube-score.

Each is built once into the cache, from its language's registry, with the versions that its folder pins. `make setup`
does it (`python tests/foreign_clients.py`); a test that finds one missing builds it. A machine without the language's
tools has no such client, and the tests say that it was not run; in CI that is a failure.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import golang, paths
from cluster.errors import ClusterError
from cluster.lock import locked

SOURCES = Path(__file__).parent / "contract" / "clients"
BUILD_LIMIT = 900.0
RUN_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What an SDK's exporter says became of its spans."""

    sent: int
    failed: int


class ToolMissing(Exception):
    """The machine lacks what the client is built or run with; the text names it."""


@dataclass(frozen=True, slots=True)
class Client:
    """One language: which tools it needs, how it is built in a copy of its sources, and how it is started."""

    language: str
    tools: tuple[str, ...]
    build: Callable[[Path], None]
    start: Callable[[Path], list[str]]
    protocols: tuple[str, ...]

    def run(self, endpoint: str, protocol: str, compression: str, spans: int) -> Counts:
        """Send so many spans. Raises ToolMissing, and AssertionError with the client's words when it fails."""
        command = [*self.start(self.ensure()), endpoint, protocol, compression, str(spans)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT, check=False)
        assert done.returncode == 0, f"{self.language}: {done.stderr}"
        return Counts(**json.loads(done.stdout.strip().splitlines()[-1]))

    def ensure(self) -> Path:
        """The folder of the built client. Raises ToolMissing."""
        missing = [tool for tool in self.tools if shutil.which(tool) is None]
        if missing:
            raise ToolMissing(
                f"the {self.language} client needs {', '.join(missing)}, which this machine does not have"
            )
        done = paths.cache() / "clients" / f"{self.language}-{self._digest()}"
        if not done.exists():
            done.parent.mkdir(parents=True, exist_ok=True)
            with locked(done.parent, BUILD_LIMIT, f"building the {self.language} client"):
                if not done.exists():
                    self._build_into(done)
        return done

    def _build_into(self, done: Path) -> None:
        print(f"Building the {self.language} client into {done} …", flush=True)
        with tempfile.TemporaryDirectory(dir=done.parent) as folder:
            copy = Path(folder) / self.language
            shutil.copytree(SOURCES / self.language, copy)
            self.build(copy)
            copy.rename(done)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for file in sorted(path for path in (SOURCES / self.language).rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(SOURCES)}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()[:16]


def _command(folder: Path, *command: str, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)} failed with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")


def _build_go(folder: Path) -> None:
    flags: Mapping[str, str] = {"GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    _command(folder, str(golang.ensure()), "build", "-o", "client", ".", **flags)


def _build_tool(folder: Path, package: str) -> None:
    flags: Mapping[str, str] = {"GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    _command(folder, str(golang.ensure()), "build", "-o", folder.name, package, **flags)


def _build_java(folder: Path) -> None:
    _command(folder, "mvn", "-q", "-B", "compile", "dependency:copy-dependencies", "-DoutputDirectory=target/lib")


def _build_js(folder: Path) -> None:
    _command(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


CLIENTS = (
    Client("go", (), _build_go, lambda folder: [str(folder / "client")], ("grpc", "http/protobuf")),
    Client(
        "java",
        ("java", "mvn"),
        _build_java,
        lambda folder: ["java", "-cp", f"{folder}/target/classes:{folder}/target/lib/*", "Client"],
        ("grpc", "http/protobuf"),
    ),
    Client(
        "js",
        ("node", "npm"),
        _build_js,
        lambda folder: ["node", str(folder / "client.mjs")],
        ("grpc", "http/protobuf", "http/json"),
    ),
)

H2SPEC = Client(
    "h2spec",
    (),
    lambda folder: _build_tool(folder, "github.com/summerwind/h2spec/cmd/h2spec"),
    lambda folder: [str(folder / "h2spec")],
    (),
)
"""No SDK: it asks an HTTP/2 server for all that the RFCs demand."""
KUBE_SCORE = Client(
    "kube-score",
    (),
    lambda folder: _build_tool(folder, "github.com/zegl/kube-score/cmd/kube-score"),
    lambda folder: [str(folder / "kube-score"), "score"],
    (),
)
"""No client at all: it judges the objects that the chart renders."""
GLUA = Client(
    "glua",
    (),
    lambda folder: _build_tool(folder, "github.com/yuin/gopher-lua/cmd/glua"),
    lambda folder: [str(folder / "glua")],
    (),
)
"""Nor is this: the Lua that Argo CD runs health checks with."""


def main() -> int:
    """Build every client that this machine can build."""
    for client in (*CLIENTS, H2SPEC, KUBE_SCORE, GLUA):
        try:
            client.ensure()
        except ToolMissing as missing:
            print(f"NOT BUILT: {missing}", file=sys.stderr)
        except ClusterError as error:
            print(f"the {client.language} client cannot be built: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
