"""A control stream from each injected pod, with a token that the API server has made for that very pod.

The sidecars are simulated (`control_sidecars.py`): all that they are to the controller is a connection, and what they
say: who they are, and every 30 s how they fare, as sidecars do whose sampling has no target to share.
"""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

from control_plane_load import AT_ONCE, CONFIGS, Api, namespace_name
from control_sidecars import STARTS, Place, Pod, Seen, crowd
from procfs import Peak, cpu_seconds

from tracekeeper_operator.names import CONTROL_AUDIENCE, POLICY_SECRET
from tracekeeper_spec.policy import PolicyDocument

CROWDS = 2
"""Processes of sidecars."""
LATEST = 120.0
"""Seconds that attaching may take."""
LIFE = 3600
"""Seconds for which tokens are good."""
REST = 30.0
"""Seconds of streams at rest that are measured."""


async def measure(api: Api, controller: int, address: str) -> dict[str, Any]:
    """All attach, then rest, then end. `controller` is the process, `address` its pod's."""
    place, pods = await _place(api, address), await _pods(api)
    crowds = _Crowds(place, pods)
    peak, cpu, begin = Peak(controller), cpu_seconds(controller), time.monotonic()
    try:
        welcomed = 0
        while welcomed < len(pods):
            await asyncio.sleep(0.5)
            welcomed += sum(len(seen.welcomed) for seen in await crowds.seen())
            if time.monotonic() - begin > LATEST:
                raise RuntimeError(f"{welcomed} of {len(pods)} sidecars were welcomed within {LATEST:.0f} s")
        attached, attaching = time.monotonic() - begin, cpu_seconds(controller) - cpu
        await asyncio.sleep(REST)  # until all have told how they fare, and statuses say so
        cpu, begin = cpu_seconds(controller), time.monotonic()
        await asyncio.sleep(REST)
        resting = (cpu_seconds(controller) - cpu) / (time.monotonic() - begin)
        still = sum(seen.attached for seen in await crowds.seen())
    finally:
        crowds.end()
    most = peak.stop()
    return {
        "streams": still,
        "begun_per_s": STARTS * CROWDS,
        "all_attached_s": round(attached, 1),
        "cpu_ms_each": round(attaching / len(pods) * 1e3, 2),
        "cpu_percent_at_rest": round(resting * 100, 1),
        "controller_mb": round(most / 1e6, 1),
    }


class _Crowds:
    """Processes of sidecars. They are started from this thread, so they are in its network."""

    def __init__(self, place: Place, pods: list[Pod]) -> None:
        self._pipes: list[Connection] = []
        for first in range(CROWDS):
            mine, theirs = multiprocessing.Pipe()
            spawned = multiprocessing.get_context("spawn")
            spawned.Process(target=crowd, args=(theirs, place, first), daemon=True).start()
            mine.send(("attach", pods[first::CROWDS]))
            self._pipes.append(mine)
        for pipe in self._pipes:
            pipe.recv()

    async def seen(self) -> list[Seen]:
        for pipe in self._pipes:
            pipe.send(("seen", None))
        return [await asyncio.to_thread(pipe.recv) for pipe in self._pipes]

    def end(self) -> None:
        for pipe in self._pipes:
            pipe.send(("end", None))


async def _place(api: Api, address: str) -> Place:
    """As sidecars know it: from the policy of their namespace."""
    secret = await api.ask("GET", f"/api/v1/namespaces/{namespace_name(0)}/secrets/{POLICY_SECRET}")
    document = PolicyDocument.from_json(base64.b64decode(secret["data"]["policy.json"]))
    if document.control is None:
        raise RuntimeError("the policy names no control stream")
    host, _, port = document.control.endpoint.rpartition(":")
    return Place(address, int(port), host, document.control.ca, standings=True)


async def _pods(api: Api) -> list[Pod]:
    """All injected pods, each with a token."""
    configs = (await api.ask("GET", f"{CONFIGS}/tracingconfigs"))["items"]
    uids = {item["metadata"]["namespace"]: item["metadata"]["uid"] for item in configs}
    listed = await api.ask("GET", "/api/v1/pods?labelSelector=app%3Dagent")
    gate = asyncio.Semaphore(AT_ONCE)

    async def token(meta: dict[str, Any]) -> Pod:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        spec = {"audiences": [CONTROL_AUDIENCE], "expirationSeconds": LIFE, "boundObjectRef": bound}
        async with gate:
            path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/default/token"
            made = await api.ask("POST", path, {"spec": spec})
        return Pod(made["status"]["token"], uids[meta["namespace"]])

    return list(await asyncio.gather(*(token(item["metadata"]) for item in listed["items"])))
