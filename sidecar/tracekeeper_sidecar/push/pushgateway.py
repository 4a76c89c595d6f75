"""Prometheus' Pushgateway: the whole page takes the place of the pod's last one.

The gateway keeps a group until somebody deletes it, and a pod that ends cannot wait for its last page to be scraped. So
sidecars of the same namespace remove the groups of pods that have not pushed for an hour.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from tracekeeper_sidecar.admin.openmetrics import Form, write
from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.push.caller import Caller, refused
from tracekeeper_sidecar.push.page import Page

JOB = "tracekeeper"
LARGEST_LIST = 4 << 20
"""Bytes of the gateway's list of groups, with all their metrics, up to which it is read."""
POD_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
KEPT = 3600.0
"""Seconds after its last push for which a group stays, at least."""
MOST_REMOVED = 100
"""Groups, in one go."""
TIDY_TIMEOUT = 10.0


class PushgatewayTarget:
    """One pod's group."""

    def __init__(self, caller: Caller, pod: Pod, interval: float) -> None:
        self._caller, self._pod = caller, pod
        self._kept = max(KEPT, 3 * interval)

    def begin(self, page: Page, *, again: bool = False) -> None:
        """Nothing: it is told totals."""

    async def push(self, page: Page, timeout: float) -> None:  # noqa: ASYNC109 - see Target
        """See Target."""
        body = await asyncio.to_thread(lambda: write(page.families(), Form.TEXT))
        headers = (("Content-Type", Form.TEXT.value),)
        answer = await self._caller.call(
            "PUT", _path(self._pod.namespace, self._pod.name), body, headers, timeout=timeout
        )
        if not 200 <= answer.status < 300:
            raise refused(self._caller.endpoint, answer)

    async def tidy(self, now: float) -> None:
        """See Target."""
        answer = await self._caller.call("GET", "/api/v1/metrics", timeout=TIDY_TIMEOUT)
        if answer.status != 200:
            raise refused(self._caller.endpoint, answer)
        if answer.body is None:
            raise PushFailed(f"{self._caller.endpoint} holds too much to look for groups of pods that are gone")
        gone = stale_pods(answer.body, self._pod.namespace, now - self._kept)
        for name, _ in zip((pod for pod in gone if pod != self._pod.name), range(MOST_REMOVED), strict=False):
            await self._caller.call("DELETE", _path(self._pod.namespace, name), timeout=TIDY_TIMEOUT)

    def close(self) -> None:
        """See Target."""
        self._caller.close()


def _path(namespace: str, pod: str) -> str:
    return f"/metrics/job/{JOB}/namespace/{namespace}/pod/{pod}"


def stale_pods(body: bytes, namespace: str, before: float) -> Iterator[str]:
    """Pods of the namespace that last pushed before that Unix time, by what the gateway's API says of its groups."""
    try:
        groups = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for group in groups if isinstance(groups, list) else ():
        labels, pushed = _group(group)
        ours = {"job": JOB, "namespace": namespace, "pod": labels.get("pod", "")}
        # Anybody may push to the gateway, and so call a group what he likes.
        if labels == ours and POD_NAME.fullmatch(labels["pod"]) and pushed is not None and pushed < before:
            yield labels["pod"]


def _group(group: Any) -> tuple[dict[str, str], float | None]:
    """Its labels, and when it was last pushed to; None where that cannot be read."""
    try:
        labels = {str(name): str(value) for name, value in group["labels"].items()}
        return labels, float(group["push_time_seconds"]["metrics"][0]["value"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return {}, None
