"""Where something was measured."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """This one, now."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    kernel, python = platform.release(), platform.python_version()
    return {"processors": len(models), "model": model, "kernel": kernel, "python": python, "time": round(time.time())}


def sentence(found: Mapping[str, Any]) -> str:
    """The same for a page."""
    day = datetime.datetime.fromtimestamp(found["time"], datetime.UTC).date()
    return f"Measured on {day}: {found['processors']} processors, {found['model']}, Linux {found['kernel']}."
