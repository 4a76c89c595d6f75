"""Dead letters from the command line: listed and replayed, with the sidecar running and without."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

import pytest

from programs import Backend
from sidecar_process import SIDECAR, RunningSidecar, Sidecars, manifest, otlp, until

Start = Callable[..., Backend]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIDECAR, "dead-letter", *arguments], capture_output=True, text=True, timeout=50, check=False
    )


def refused(sidecars: Sidecars, backend: Backend) -> RunningSidecar:
    """A sidecar whose backend has refused two requests of five spans each."""
    backend.fail("refuse")
    sidecar = sidecars.start(config=manifest(otlp("a", "HTTP", backend.http, batch={"maxSpans": 5})))
    assert [sidecar.post(5, seed=seed) for seed in (1, 2)] == [200, 200]
    book = sidecar.settled()
    assert book["delivery"]["a"]["dropped"] == 10
    return sidecar


def test_letters_of_a_running_sidecar(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = refused(sidecars, backend)
    admin = f"--admin=http://127.0.0.1:{sidecar.admin}"
    listed = run("list", admin)
    assert listed.returncode == 0, listed.stderr
    assert "2 dead letters with 10 spans" in listed.stdout
    assert "backend 'a'" in listed.stdout
    assert "tracekeeper_dead_letter_spans 10.0" in sidecar.get("/metrics")[1]
    again = run("replay", admin)
    assert again.returncode == 1
    assert "stays" in again.stderr
    backend.fail("ok")
    done = run("replay", admin)
    assert done.returncode == 0, done.stderr
    assert "2 dead letters with 10 spans were sent" in done.stdout
    assert backend.json("/stats")["distinct"] == 10
    entry = json.loads(sidecar.get("/ledger")[1])["delivery"][0]
    assert entry["redelivered"] == {"dead_letter": "10"}
    assert json.loads(run("list", admin, "--json").stdout) == {"letters": []}
    sidecar.ledger()


def test_letters_of_a_directory_that_was_left(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = refused(sidecars, backend)
    folder, config = str(sidecars.data), f"--config={sidecars.config}"
    busy = run("replay", folder, config)
    assert busy.returncode == 1
    assert "a sidecar runs on" in busy.stderr
    assert sidecar.stop() == 0
    assert "2 dead letters with 10 spans" in run("list", folder).stdout
    backend.fail("ok")
    assert "--config FILE is needed" in run("replay", folder).stderr
    done = run("replay", folder, config)
    assert done.returncode == 0, done.stderr
    assert backend.json("/stats")["distinct"] == 10
    assert "0 dead letters" in run("list", folder).stdout
    sidecar = sidecars.start()

    def booked() -> dict[str, str] | None:
        entries = json.loads(sidecar.get("/ledger")[1])["delivery"]
        return entries[0]["redelivered"] if entries else None

    assert until(booked, "the ledger is there") == {"dead_letter": "10"}


@pytest.mark.parametrize("command", [("list",), ("replay",)])
def test_nobody_answers(command: tuple[str, ...]) -> None:
    failed = run(*command, "--admin=http://127.0.0.1:1")
    assert failed.returncode == 1
    assert "no sidecar answers at http://127.0.0.1:1" in failed.stderr


def test_directory_that_is_not_there() -> None:
    failed = run("list", os.path.join("nowhere", "at", "all"))
    assert failed.returncode == 1
    assert "nowhere" in failed.stderr
