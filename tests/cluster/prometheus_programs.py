"""Prometheus, Alertmanager, their tools and the Pushgateway: Debian's packages, unpacked into the cache.

They are never installed, because Debian starts what it installs. `ensure` needs apt's package index, and no root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from cluster import paths
from cluster.commands import run
from cluster.errors import ClusterError, CommandFailed, NotPrepared
from cluster.lock import locked

PINNED = paths.HERE / "unpacked-packages.txt"
LIMIT = 600.0


def packages() -> dict[str, str]:
    """The packages, and the version of each as its makers count, e.g. `{"prometheus": "2.42.0"}`."""
    lines = (line.partition("#")[0].split() for line in PINNED.read_text().splitlines())
    return {words[0]: words[1] for words in lines if words}


def folder() -> Path:
    """The root that all of them are unpacked below; its name is the hash of what is in it."""
    digest = hashlib.sha256(f"{os.uname().machine} {sorted(packages().items())}".encode())
    return paths.cache() / "tools" / f"prometheus-{digest.hexdigest()[:16]}"


def program(name: str) -> Path:
    """The path of `prometheus`, `promtool`, `prometheus-alertmanager`, `amtool` or `prometheus-pushgateway`.

    Raises ClusterError when it can be neither found nor fetched.
    """
    return ensure() / "usr/bin" / name


def ensure() -> Path:
    """The folder; fetches and unpacks what is missing, some 33 MB. Raises ClusterError, and NotPrepared without apt."""
    done = folder()
    if not done.exists():
        done.parent.mkdir(parents=True, exist_ok=True)
        with locked(done.parent, LIMIT, "unpacking Prometheus and Alertmanager"):
            if not done.exists():
                _unpack_into(done)
    return done


def _unpack_into(done: Path) -> None:
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        raise NotPrepared(f"Prometheus comes from Debian's packages, and {', '.join(missing)} is not here")
    with tempfile.TemporaryDirectory(dir=done.parent) as temporary:
        debs = Path(temporary) / "debs"
        debs.mkdir()
        _fetch(debs)
        root = Path(temporary) / "root"
        for name, version in packages().items():
            (deb,) = debs.glob(f"{name}_*.deb")
            found = run(["dpkg-deb", "--field", str(deb), "Version"]).stdout.strip()
            if not found.startswith(version):
                raise ClusterError(f"Debian's {name} is {found} now, and {PINNED} says {version}: change it there")
            run(["dpkg-deb", "--extract", str(deb), str(root)], timeout=LIMIT)
        root.rename(done)


def _fetch(folder: Path) -> None:
    download = ["apt-get", "-qq", "-o", "Acquire::Retries=3", "download", *packages()]
    try:
        run(download, timeout=LIMIT, cwd=str(folder))
    except CommandFailed:  # Most likely because the machine has no index of packages, or an old one.
        if os.geteuid() != 0:
            raise
        run(["apt-get", "-qq", "-o", "Acquire::Retries=3", "update"], timeout=LIMIT)
        run(download, timeout=LIMIT, cwd=str(folder))
