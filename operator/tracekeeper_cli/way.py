"""How the operator is reached, and who asks it: what `dump`, `tap` and `send-test-span` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.people import Operator
from tracekeeper_cli.tunnel import tunnel

SERVICE, PORT = "tracekeeper-control", 9444
SPARE = 300.0
"""Seconds that a token is good for beyond the time of what is asked."""


@dataclass(frozen=True, slots=True)
class Way:
    """All as the command line has it, None where it says nothing."""

    context: str | None
    operator_namespace: str
    server: str | None
    ca: str | None
    token_file: str | None
    service_account: str | None

    def token(self, cluster: Cluster, namespace: str, seconds: float) -> str:
        """Whoever asks, for so long. A service account without a namespace is one of `namespace`. Raises CLIError."""
        if self.token_file:
            token = _text(self.token_file, "--token-file").strip()
            if not token:
                raise CLIError(f"--token-file: {self.token_file} is empty")
            return token
        if self.service_account:
            space, slash, name = self.service_account.rpartition("/")
            return cluster.service_account_token(space if slash else namespace, name, seconds + SPARE)
        return cluster.token()

    @contextmanager
    def operator(self, cluster: Cluster) -> Iterator[Operator]:
        """Where it answers, for as long as it is needed. Raises CLIError."""
        space = self.operator_namespace
        known = {} if self.ca else cluster.authority(space)
        authority = _text(self.ca, "--ca") if self.ca else known["ca.crt"]
        name, _, port = known.get("endpoint", f"{SERVICE}.{space}.svc:{PORT}").rpartition(":")
        if self.server:
            yield Operator(self.server, name, authority)
            return
        with tunnel(space, name.partition(".")[0], int(port) if port.isdigit() else PORT, self.context) as address:
            yield Operator(address, name, authority, tunnel=True)


def _text(path: str, flag: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CLIError(f"{flag}: {path} cannot be read: {error}") from None
