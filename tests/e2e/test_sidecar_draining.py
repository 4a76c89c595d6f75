"""What a sidecar shows while it is being stopped, so that somebody can hear of it in time."""

from __future__ import annotations

import os
import signal

from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until


def shown(sidecar: RunningSidecar, name: str) -> list[float]:
    return [float(line.rpartition(" ")[2]) for line in sidecar.get("/metrics")[1].splitlines() if line.startswith(name)]


def test_a_sidecar_that_is_being_stopped_says_so_and_what_it_still_holds(sidecars: Sidecars) -> None:
    sidecar = sidecars.start("--drain-timeout=60s", config=manifest(otlp("far", "HTTP", 9)))
    assert sidecar.post(5, seed=1) == 200
    pending = 'tracekeeper_spans_pending{delivery="far"}'
    until(lambda: shown(sidecar, pending) == [5], "delivery has begun")
    assert shown(sidecar, "tracekeeper_draining") == [0]
    os.kill(sidecar.pid, signal.SIGTERM)
    until(lambda: shown(sidecar, "tracekeeper_draining") == [1], "it says that it is being stopped")
    assert shown(sidecar, pending) == [5]
    sidecar.kill()
