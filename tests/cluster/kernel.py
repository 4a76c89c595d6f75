"""What a cluster needs of the machine's kernel: control groups and a few settings that are put back afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.wait import wait_for

CGROUPS = Path("/sys/fs/cgroup")
# The kubelet sets these for the whole machine.
TUNABLES = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def cgroup_hierarchies() -> list[Path]:
    """Return the roots: one of version 2, or one for each controller of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted({folder.resolve() for folder in CGROUPS.iterdir() if (folder / "cgroup.procs").exists()})


def make_cgroups(name: str) -> None:
    """Make the group below which the kubelet keeps its pods: two clusters on one machine must not share it."""
    for root in cgroup_hierarchies():
        folder = root / name
        folder.mkdir(exist_ok=True)
        if (root / "cgroup.controllers").exists():
            controllers = (root / "cgroup.controllers").read_text().split()
            enable = " ".join(f"+{controller}" for controller in controllers)
            for group in (root, folder):
                (group / "cgroup.subtree_control").write_text(enable)
        elif (root / "cpuset.cpus").exists():
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (folder / setting).write_text((root / setting).read_text())


def remove_cgroups(name: str) -> None:
    """Remove the groups of a cluster whose processes are dead (the kernel may take a moment to let go)."""

    def removed() -> bool:
        left = [root for root in cgroup_hierarchies() if not _remove_tree(root / name)]
        return not left

    wait_for(removed, 20, f"control groups of {name} are still in use below {CGROUPS}")


def _remove_tree(folder: Path) -> bool:
    try:
        for child in folder.iterdir():
            if child.is_dir():
                _remove_tree(child)
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def save_tunables(file: Path) -> None:
    """Write the present settings down, unless an earlier cluster did."""
    if not file.exists():
        present = {name: path.read_text().strip() for name in TUNABLES if (path := Path("/proc/sys") / name).exists()}
        file.write_text(json.dumps(present))


def restore_tunables(file: Path) -> None:
    """Put the settings back that `save_tunables` wrote down, and forget them."""
    if file.exists():
        for name, value in json.loads(file.read_text()).items():
            (Path("/proc/sys") / name).write_text(value)
        file.unlink()
