"""The other end of the admin server, for the commands that ask it: standard library only, so that they start fast."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


def request_flush(admin: str, timeout: float) -> tuple[bool, str]:
    """Ask the sidecar at `admin` to flush within `timeout` seconds; whether it did, and a line for people."""
    url = f"{admin.rstrip('/')}/flush?timeout={timeout:g}"
    # A few seconds more than the sidecar may take, so that its own answer comes first.
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=timeout + 5) as answer:
            answer.read()
            return True, "flushed: everything that was pending has been delivered"
    except urllib.error.HTTPError as error:
        return False, _unflushed(error.read().decode(errors="replace"), timeout)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return (
            False,
            f"not flushed: no sidecar answers at {admin}: {reason}. Is it running, and is --admin right?",
        )


def request(admin: str, method: str, path: str, timeout: float) -> dict[str, Any]:
    """The JSON object that the sidecar at `admin` answers with. Raises OSError or ValueError, in words for people."""
    url = f"{admin.rstrip('/')}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=timeout) as answer:
            found = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise ValueError(f"{url} answers {error.code}: {error.read().decode(errors='replace').strip()}") from None
    except urllib.error.URLError as error:
        raise OSError(f"no sidecar answers at {admin}: {error.reason}. Is it running, and is --admin right?") from None
    if not isinstance(found, dict):
        raise ValueError(f"{url} does not answer as a sidecar does")
    return found


def _unflushed(body: str, timeout: float) -> str:
    try:
        answer = json.loads(body)
        pending, problem = int(answer["pending"]), str(answer["problem"])
    except (ValueError, KeyError, TypeError):
        return f"not flushed: {body.strip()}"
    where = f"{pending} spans still pending after {timeout:g} s" if not problem else f"{pending} spans pending"
    why = f": {problem}" if problem else ""
    return (
        f"not flushed: {where}{why}. What was acknowledged is safe on disk and will be sent; "
        "/health on the same port says what keeps it waiting"
    )
