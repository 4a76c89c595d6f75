"""What the machine must have: root, and the commands of a few Debian packages."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cluster.commands import run
from cluster.errors import NotPrepared
from cluster.paths import HERE

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def packages() -> list[str]:
    """Return the names of the Debian packages that the cluster needs, from debian-packages.txt."""
    lines = (HERE / "debian-packages.txt").read_text().splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def check_root() -> None:
    """Raise NotPrepared unless this is root (network namespaces, mounts, containers)."""
    if os.geteuid() != 0:
        raise NotPrepared("the cluster needs root, for namespaces, mounts and containers: run this with sudo")


def check() -> None:
    """Raise NotPrepared, naming what is missing and what to do, unless a cluster can run on this machine.

    Adds the administrator's folders to this process's PATH, which Debian leaves out for other users.
    """
    check_root()
    path = os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(folder for folder in SBIN if folder not in path)])
    commands = ["containerd", "runc", "etcd", "ip", "nsenter", "unshare", "iptables", "conntrack", "openssl"]
    missing = [command for command in commands if shutil.which(command) is None]
    if not Path("/usr/lib/cni/ptp").exists():
        missing.append("/usr/lib/cni/ptp")
    if missing:
        names = " ".join(packages())
        raise NotPrepared(
            f"the cluster needs commands that are not here: {', '.join(missing)}.\n"
            f"Run `make setup` as root, or install the Debian packages yourself:\n  apt-get install {names}"
        )


def overlay_works(folder: Path) -> bool:
    """Whether an overlay can be mounted below `folder` (not where that is itself on an overlay)."""
    with tempfile.TemporaryDirectory(dir=folder) as trial:
        for name in ("lower", "upper", "work", "merged"):
            (Path(trial) / name).mkdir()
        options = f"lowerdir={trial}/lower,upperdir={trial}/upper,workdir={trial}/work"
        mount = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, f"{trial}/merged"]
        return run(mount, check=False).returncode == 0
