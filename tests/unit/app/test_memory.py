"""The C library is asked for one arena and to keep some memory, and says that it has understood."""

from __future__ import annotations

import platform
import subprocess
import sys

PROGRAM = """
from tracekeeper_sidecar.memory import keep_some, share_one_arena
print(share_one_arena(), keep_some())
"""


def test_glibc_takes_the_setting_and_others_need_none() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == [str(platform.libc_ver()[0] == "glibc")] * 2
