"""What the chart's DaemonSet runs on every node where buffers may be kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "charts/tracekeeper/files/node_folder.py"


def test_it_opens_the_folder_and_what_the_kubelet_made_in_it_and_stays_until_it_is_told_to_go(tmp_path: Path) -> None:
    config, buffer = tmp_path / "shop" / "agents", tmp_path / "shop" / "agents" / "uid"
    buffer.mkdir(parents=True)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "note.txt").touch()
    for folder in (tmp_path, config.parent, config, buffer, outside):
        folder.chmod(0o700)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(SCRIPT), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == f"{tmp_path} is ready for sidecars\n"
        ours = os.geteuid() == 0  # Folders that another user made are that user's to open.
        modes = [oct(folder.stat().st_mode & 0o7777) for folder in (tmp_path, config.parent, config, buffer, outside)]
        opened = "0o1777" if ours else "0o700"
        assert modes == ["0o1777", opened, opened, "0o700", "0o700"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
