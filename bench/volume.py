"""A small filesystem of its own, so that a disk can be filled without filling the machine's. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import Failed


def available() -> str | None:
    """None, or why there can be none."""
    if os.geteuid() != 0:
        return "it needs root"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    return f"there is no {missing[0]}" if missing else None


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """An ext4 of `size` bytes, mounted below `folder`; gone afterwards. Raises Failed with the command's words."""
    image, point = folder / "disk.img", folder / "disk"
    with image.open("wb") as out:
        out.truncate(size)
    point.mkdir()
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(point))
    try:
        yield point
    finally:
        _run("umount", "--lazy", str(point))
        image.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
