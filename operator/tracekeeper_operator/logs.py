"""Log lines as JSON objects, one each: time, level, logger, message, and the fault where there is one."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

LEVELS = {"Debug": logging.DEBUG, "Info": logging.INFO, "Warning": logging.WARNING, "Error": logging.ERROR}


class JsonFormatter(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.capitalize(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["fault"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all log lines of the process to `stream`. kopf's own are let through from Warning on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    quiet = logging.DEBUG if level == "Debug" else logging.WARNING
    for name in ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(quiet)
