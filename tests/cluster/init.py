"""Process 1 of the cluster's process namespace: starts the node's processes, starts them again, reaps the dead.

It runs in a process, a mount and a network namespace of its own. So the end of this process, however it comes, is
the end of every process and every mount of the cluster: the kernel sees to it.
Usage: python -m cluster.init STATE_FOLDER (only `cluster.node` calls it).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from cluster.process import Process

GIVE_UP_AFTER = 5
SETTLED_AFTER = 60.0
RESTART_DELAY = 1.0


@dataclass(slots=True)
class Service:
    """One process of the node and its history."""

    name: str
    argv: list[str]
    needs: list[str]
    pid: int = 0
    started: float = 0.0
    not_before: float = 0.0
    exits: list[int] = field(default_factory=list)


def main() -> None:
    """Record who this is, make the mounts, then look after the services for ever."""
    state = Path(sys.argv[1])
    Process.this().save(state / "init.pid")  # before /proc is mounted anew: these are the machine's numbers
    _mount(state)
    services = [Service(**entry) for entry in json.loads((state / "components.json").read_text())]
    while True:
        for service in services:
            if not service.pid and time.monotonic() >= service.not_before:
                _start_when_ready(service, state)
        _reap(services, state)
        waiting = any(not service.pid for service in services)
        signal.sigtimedwait([signal.SIGCHLD], 0.05 if waiting else 5.0)


def _mount(state: Path) -> None:
    """Give the node /proc, /run, /var/log and /var/lib/kubelet of its own, so that the machine's stay untouched."""
    commands = [
        ["mount", "--make-rshared", "/"],
        ["mount", "-t", "proc", "proc", "/proc"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/log"],
        ["mkdir", "-p", "/var/log/pods", "/run/lock", str(state / "kubelet"), str(state / "pod-logs")],
        ["mount", "--bind", str(state / "pod-logs"), "/var/log/pods"],
        ["mount", "--bind", str(state / "kubelet"), "/var/lib/kubelet"],
    ]
    for command in commands:
        subprocess.run(command, check=True, timeout=10)


def _start_when_ready(service: Service, state: Path) -> None:
    if not all(_ready(need, state / "pki/ca.crt") for need in service.needs):
        return
    log = str(state / "log" / f"{service.name}.log")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    service.pid = os.posix_spawnp(service.argv[0], service.argv, os.environ, file_actions=actions, setsid=True)
    service.started = time.monotonic()
    _say(f"{service.name} started")


def _ready(need: str, ca: Path) -> bool:
    if need.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            return probe.connect_ex(need.removeprefix("unix:")) == 0
    try:
        context = ssl.create_default_context(cafile=str(ca))
        with urllib.request.urlopen(need, timeout=1, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _reap(services: list[Service], state: Path) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for service in services:
            if service.pid == pid:
                _ended(service, os.waitstatus_to_exitcode(status), state)


def _ended(service: Service, code: int, state: Path) -> None:
    now = time.monotonic()
    if now - service.started > SETTLED_AFTER:
        service.exits.clear()
    service.exits.append(code)
    service.pid, service.not_before = 0, now + RESTART_DELAY
    _say(f"{service.name} ended with {code}; it is started again")
    if len(service.exits) == GIVE_UP_AFTER:
        (state / "failed").write_text(service.name)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    main()
