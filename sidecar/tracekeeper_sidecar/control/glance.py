"""What can be told of the policy at a glance, before anything is imported that can read it."""

from __future__ import annotations

import json
from pathlib import Path

from tracekeeper_sidecar.settings import Settings

_WORD = b"processors"
_ASKS = 'tracekeeper.dev/inject="'
_MOST = 1 << 16
"""Bytes of a policy that is looked into; few are larger, and ports are not to wait for those."""


def may_process(settings: Settings) -> bool:
    """Whether something may have to be done with spans before they are stored: the policy speaks of it, or cannot be
    read yet, or has no config for this pod, whose spans are redacted then. False where it surely has one."""
    try:
        text = _text(settings)
        if _WORD in text:
            return True
        return settings.config_file is None and not _takes_every_pod(text, settings.pod_info_dir)
    except OSError:
        return True


def may_speak_of_processors(settings: Settings) -> bool:
    """Whether the policy does, or cannot be read."""
    try:
        return _WORD in _text(settings)
    except OSError:
        return True


def _text(settings: Settings) -> bytes:
    return Path(settings.config_file or settings.policy_file or "").read_bytes()


def _takes_every_pod(text: bytes, pod_info_dir: str | None) -> bool:
    """Whether there is a config without a selector, and the pod names none."""
    if len(text) > _MOST:
        return False
    try:
        found = any("selector" not in config["spec"] for config in json.loads(text)["configs"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return False
    return found and not (pod_info_dir and _names_a_config(Path(pod_info_dir)))


def _names_a_config(pod_info: Path) -> bool:
    lines = (pod_info / "annotations").read_text(errors="replace").splitlines()
    return any(line.startswith(_ASKS) and line != f'{_ASKS}true"' for line in lines)
