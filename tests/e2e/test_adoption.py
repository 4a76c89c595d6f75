"""Folders on one node: what a pod that is gone has left is delivered by another sidecar of the same config, once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from programs import Backend
from sidecar_process import SIDECAR, RunningSidecar, Sidecars, manifest, otlp, until

Start = Callable[..., Backend]
SOON = "--adopt-after=1s"
pytestmark = pytest.mark.timeout(180)  # Three processes each, which take their time on a busy machine.


class Node:
    """A node's folder, and the sidecars of its pods."""

    def __init__(self, sidecars: Sidecars, *backends: Backend, **sections: Any) -> None:
        self._sidecars = sidecars
        self.shared = sidecars.folder / "spans"
        sidecars.write(manifest(*(otlp(f"b{n}", "HTTP", b.http) for n, b in enumerate(backends)), **sections))

    def pod(self, name: str, *arguments: str) -> RunningSidecar:
        folders = (f"--data-dir={self.shared / name}", f"--adopt-from={self.shared}")
        config = f"--config={self._sidecars.config}"
        return self._sidecars.launch(config, "--drain-timeout=0s", *folders, *(arguments or (SOON,))).ready()

    def gone(self, name: str, spans: int, seed: int) -> None:
        """Leave the folder of a pod that took so many spans and was killed."""
        sidecar = self.pod(name, "--adopt-after=1h")
        assert sidecar.post(spans, seed=seed) == 200
        sidecar.kill()

    def folders(self) -> list[str]:
        return sorted(path.name for path in self.shared.iterdir())


def bereaved(sidecars: Sidecars, start_backend: Start) -> tuple[Backend, Node]:
    """A backend that is away, and a node on which pod uid-1 has left a hundred spans for it."""
    backend = start_backend("--name", "a")
    backend.fail("unavailable")
    node = Node(sidecars, backend)
    node.gone("uid-1", 100, seed=1)
    return backend, node


def metric(sidecar: RunningSidecar, name: str) -> float:
    """The sum over all label values."""
    lines = sidecar.get("/metrics")[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


def adopted(sidecar: RunningSidecar) -> list[dict[str, Any]]:
    """The folders of other pods in the ledger, after checking that they close."""
    found: list[dict[str, Any]] = json.loads(sidecar.get("/ledger")[1])["adopted"]
    found = [folder for folder in found if folder["delivery"]]  # Entries come a moment after the folder.
    for folder in found:
        for entry in folder["delivery"]:
            settled = [sum(map(int, entry[part].values())) for part in ("delivered", "dropped", "sampledOut")]
            rest = int(entry["start"]) + int(entry["unmatched"]) + int(entry["pending"])
            assert int(folder["acknowledged"]) == sum(settled) + rest, folder
    return found


def ended(sidecar: RunningSidecar, how: str) -> Callable[[], bool]:
    return lambda: bool(sidecar.logged(f"^folder of another pod: {how}$"))


def test_what_a_pod_left_is_delivered_and_its_folder_removed(sidecars: Sidecars, start_backend: Start) -> None:
    backend, node = bereaved(sidecars, start_backend)
    heir, folder = node.pod("uid-2"), str(node.shared / "uid-1")
    assert heir.post(10, seed=2) == 200
    (book,) = until(lambda: adopted(heir), "the folder shows in the ledger of its heir", 60)
    assert (book["folder"], book["acknowledged"], book["delivery"][0]["pending"]) == (folder, "100", "100")
    assert heir.health()["adopted"] == [{"folder": folder, "pendingSpans": {"b0": 100}}]
    assert metric(heir, "tracekeeper_adopted_spans_pending") == 100
    backend.fail("ok")
    until(ended(heir, "drained"), "the folder is drained", 60)
    heir.settled()
    until(lambda: node.folders() == ["uid-2"], "the folder is gone", 60)
    stats = backend.json("/stats")
    assert (stats["distinct"], stats["duplicates"]) == (110, 0)
    assert metric(heir, "tracekeeper_adopted_spans_delivered_total") == 100
    assert metric(heir, "tracekeeper_adopted_folders_total") == 1
    assert heir.ledger()["acknowledged"] == 10
    assert adopted(heir) == []


def test_its_own_sidecar_gets_the_folder_back_at_once(sidecars: Sidecars, start_backend: Start) -> None:
    backend, node = bereaved(sidecars, start_backend)
    heir = node.pod("uid-2")
    until(lambda: adopted(heir), "the folder is adopted", 60)
    back = node.pod("uid-1")
    until(ended(heir, "handed_back"), "the folder is handed back", 60)
    until(lambda: back.post(10, seed=2) == 200, "its own sidecar takes spans again", 60)
    backend.fail("ok")
    book = back.settled()
    assert book["acknowledged"] == 110
    assert backend.json("/stats")["distinct"] == 110
    assert node.folders() == ["uid-1", "uid-2"]


def test_an_heir_that_is_killed_leaves_the_folder_to_the_next(sidecars: Sidecars, start_backend: Start) -> None:
    backend, node = bereaved(sidecars, start_backend)
    first = node.pod("uid-2")
    until(lambda: adopted(first), "the folder is adopted", 60)
    first.kill()
    second = node.pod("uid-3")
    backend.fail("ok")
    until(lambda: node.folders() == ["uid-3"], "both folders are drained, the first heir's too", 60)
    stats = backend.json("/stats")
    assert (stats["distinct"], stats["duplicates"]) == (100, 0)
    assert metric(second, "tracekeeper_adopted_folders_total") == 2


def test_an_heir_that_stops_gives_the_folder_back_whole(sidecars: Sidecars, start_backend: Start) -> None:
    backend, node = bereaved(sidecars, start_backend)
    first = node.pod("uid-2")
    until(lambda: adopted(first), "the folder is adopted", 60)
    assert first.stop() == 0
    assert ended(first, "put_back")()
    assert node.folders() == ["uid-1", "uid-2"]
    backend.fail("ok")
    node.pod("uid-3")
    until(lambda: node.folders() == ["uid-3"], "the next heir drains both", 60)
    assert backend.json("/stats")["distinct"] == 100


def test_dead_letters_outlive_the_folder_that_they_were_in(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    backend.fail("refuse")
    node = Node(sidecars, backend)
    first = node.pod("uid-1", "--adopt-after=1h")
    assert first.post(10, seed=1) == 200
    until(lambda: metric(first, "tracekeeper_spans_dropped_total") == 10, "the backend refuses them for good", 60)
    first.kill()
    node.pod("uid-2")
    until(lambda: node.folders() == ["uid-2"], "the folder is drained", 60)
    listed = subprocess.run(
        [*SIDECAR, "dead-letter", "list", str(node.shared / "uid-2")], capture_output=True, text=True, check=False
    )
    assert listed.returncode == 0, listed.stderr
    assert "10" in listed.stdout and "b0" in listed.stdout
