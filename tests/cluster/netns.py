"""The network namespace of a cluster: all its addresses exist only in there."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cluster.commands import run
from cluster.errors import ClusterError

T = TypeVar("T")

NODE_IP = "10.123.0.1"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
DNS_IP = "10.96.0.10"
CLONE_NEWNET = 0x40000000


def path(name: str) -> Path:
    """The file that stands for the namespace."""
    return Path("/run/netns") / name


def make(name: str) -> None:
    """Make the namespace: a bridge with the node's address, and the default route through it.

    The route leads nowhere; it is there because the kernel looks for a route to a service's address before
    kube-proxy's rules replace that address by a pod's.
    """
    run(["ip", "netns", "add", name])
    batch = f"link set lo up\nlink add node0 type bridge\naddr add {NODE_IP}/24 dev node0\nlink set node0 up\n"
    run(["ip", "-n", name, "-batch", "-"], stdin=batch + "route add default dev node0\n")
    run([*enter(name), "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def remove(name: str) -> None:
    """Remove the namespace and with it every interface, route and firewall rule in it."""
    folder = path(name).parent
    if path(name).exists():
        run(["ip", "netns", "del", name])
        if not any(folder.iterdir()):
            # `ip netns add` mounts the folder upon itself, and leaves that behind.
            run(["umount", str(folder)], check=False)
            with suppress(OSError):
                folder.rmdir()


def enter(name: str) -> list[str]:
    """The words that, put before a command, run it in the namespace."""
    return ["nsenter", f"--net={path(name)}"]


def inside(name: str, work: Callable[[], T], timeout: float = 30) -> T:
    """Call `work` on a thread of this process that is in the namespace; sockets opened there stay there.

    Exceptions of `work` pass through. Raises ClusterError when the namespace is missing or `work` hangs.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            _set_network_namespace(name)
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter_and_work, name=f"in-{name}", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise ClusterError(f"work in the network namespace {name} did not end within {timeout:g} s")
    if errors:
        raise errors[0]
    return results[0]


def _set_network_namespace(name: str) -> None:
    try:
        handle = os.open(path(name), os.O_RDONLY)
    except FileNotFoundError:
        raise ClusterError(f"the cluster {name} does not run: there is no {path(name)}") from None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise ClusterError(f"cannot enter the network namespace {name}: {os.strerror(code)}")
    finally:
        os.close(handle)
