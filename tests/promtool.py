"""The programs of Prometheus and Alertmanager for tests, as Debian builds them: see cluster/prometheus_programs.py.

    python tests/promtool.py      fetches them, and prints where they are; `make setup` does it

A test that finds them missing fetches them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cluster import prometheus_programs
from cluster.errors import ClusterError

LIMIT = 60.0


def promtool() -> Path:
    """The path of promtool: `check rules`, `test rules`, `check config`, `query`."""
    return prometheus_programs.program("promtool")


def amtool() -> Path:
    """The path of amtool: `check-config`, `config routes test`, `alert query`."""
    return prometheus_programs.program("amtool")


def prometheus() -> Path:
    """The path of Prometheus 2.42."""
    return prometheus_programs.program("prometheus")


def pushgateway() -> Path:
    """The path of the Pushgateway 1.5."""
    return prometheus_programs.program("prometheus-pushgateway")


def alertmanager() -> list[str]:
    """The words that start Alertmanager 0.25, to be followed by its options.

    Debian's reads its templates below /usr/share, so that folder is another one for this process alone; without root
    this takes user namespaces. The process that is started becomes Alertmanager itself: signals reach it.
    """
    root = prometheus_programs.ensure()
    apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    script = 'mount --bind "$0/usr/share" /usr/share && exec "$0/usr/bin/prometheus-alertmanager" "$@"'
    return [*apart, "sh", "-c", script, str(root)]


def said(program: Path, *words: str | Path, stdin: str | None = None) -> tuple[int, str]:
    """Run promtool or amtool: its exit code, and all that it printed. Raises TimeoutExpired after a minute."""
    command = [str(program), *(str(word) for word in words)]
    done = subprocess.run(
        command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False
    )
    return done.returncode, done.stdout


def main() -> int:
    """Fetch what is missing."""
    try:
        print(prometheus_programs.ensure() / "usr/bin")
    except ClusterError as error:
        print(f"Prometheus and Alertmanager cannot be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
