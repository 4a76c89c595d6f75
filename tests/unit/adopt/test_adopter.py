"""Which folders are taken over, one at a time, and when they are given back: real logs, forwarders and backends."""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from forward_support.rig import backend, running
from forward_support.routed import routed, sampling
from forward_support.servers import GrpcBackend, Serve
from tracekeeper_sidecar.adopt import adoption as adoptions
from tracekeeper_sidecar.adopt.adopter import Adopter
from tracekeeper_sidecar.adopt.adoption import Ending, Means
from tracekeeper_sidecar.adopt.folders import SystemFolders
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control.source import Instruction
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.kept import Storage
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.routes import Routes
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets
from traces_to_sample import trace
from waiting import until

NOWHERE = "http://127.0.0.1:9"


def instruction(*backends: dict[str, Any]) -> Instruction:
    parsed, faults = parse_spec({"backends": list(backends)} if backends else {"suspend": True})
    assert not faults, faults
    return Instruction("shop/agents", 1, resolve(parsed), DocumentSecrets({}))


async def instruct(forwarder: Forwarder, wanted: Instruction) -> None:
    await forwarder.apply(wanted.spec.backends, wanted.spec.delivery, wanted.secrets, wanted.spec.buffer)


@dataclass
class Node:
    """A node's folder, with sidecars that look through it."""

    shared: Path
    rescued: list[str] = field(default_factory=list)
    _running: list[tuple[Adopter, asyncio.Task[None]]] = field(default_factory=list)

    def means(self) -> Means:
        files, clock = SystemFiles(), SystemClock()

        async def rescue(folder: str) -> None:
            self.rescued.append(Path(folder).name)

        return Means(
            folders=SystemFolders(),
            open_log=lambda folder: Log.open(folder, files=files, clock=clock, quota=8 << 20, make=False),
            cursors=lambda folder: CursorStore(folder, files),
            forward=lambda folder, log, cursors: Routes(log, cursors, clock, Storage(folder, files, 8 << 20, 0)),
            rescue=rescue,
        )

    def adopter(self, wanted: Instruction | None, means: Means | None = None, grace: float = 0.0) -> Adopter:
        adopter = Adopter(str(self.shared), "own", means or self.means(), SystemClock(), grace)
        adopter.instruction = wanted
        self._running.append((adopter, asyncio.create_task(adopter.run())))
        return adopter

    async def left(self, name: str, spans: int, *delivered_to: dict[str, Any]) -> list[str]:
        """The folder of a pod that is gone; ids of the spans in it."""
        async with running(self.shared / name, quota=8 << 20) as rig:
            if delivered_to:
                await rig.apply(delivered_to)
            await rig.put(spans)
            if delivered_to:
                await rig.settled()
            return rig.sent

    def names(self) -> list[str]:
        return sorted(path.name for path in self.shared.iterdir())

    async def end(self) -> None:
        for adopter, task in self._running:
            adopter.stop()
            await asyncio.wait_for(task, 30)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    (tmp_path / "own").mkdir()
    made = Node(tmp_path)
    yield made
    await made.end()


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


async def test_what_waits_is_delivered_and_the_folder_goes(node: Node, server: GrpcBackend) -> None:
    sent = await node.left("gone", 100)
    adopter = node.adopter(instruction(backend("a", server.endpoint)))
    await until(lambda: node.names() == ["own"], "the folder is gone")
    await until(lambda: adopter.endings[Ending.DRAINED] == 1, "it is counted")
    assert sorted(server.taken.ids) == sorted(sent)
    assert adopter.delivered() == {("a", "a"): 100}
    assert adopter.adoption is None
    assert node.rescued == ["gone"]


async def test_what_its_own_sidecar_delivered_is_neither_sent_nor_counted_again(
    node: Node, server: GrpcBackend
) -> None:
    one = backend("a", server.endpoint)
    sent = await node.left("gone", 50, one)
    async with running(node.shared / "gone", quota=8 << 20) as rig:
        sent += await rig.put(7)
    adopter = node.adopter(instruction(one))
    await until(lambda: adopter.endings[Ending.DRAINED] == 1, "the folder is drained")
    assert sorted(server.taken.ids) == sorted(sent)
    assert adopter.delivered() == {("a", "a"): 7}


async def test_an_entry_that_had_left_the_config_and_is_back_counts_from_its_new_beginning(
    node: Node, server: GrpcBackend
) -> None:
    one, two = backend("a", server.endpoint), backend("b", server.endpoint)
    await node.left("gone", 50, one, two)
    async with running(node.shared / "gone", quota=8 << 20) as rig:
        await rig.apply([backend("b", NOWHERE)])
        await rig.put(7)
    adopter = node.adopter(instruction(one))
    await until(lambda: adopter.endings[Ending.DRAINED] == 1, "the folder is drained")
    assert adopter.delivered() == {("a", "a"): 7}


async def test_folders_are_taken_one_after_the_other(node: Node, server: GrpcBackend) -> None:
    sent = [span for n in range(3) for span in await node.left(f"gone-{n}", 10)]
    adopter = node.adopter(instruction(backend("a", server.endpoint)))
    await until(lambda: adopter.endings[Ending.DRAINED] == 3, "all are drained")
    assert sorted(server.taken.ids) == sorted(sent)
    assert node.rescued == ["gone-0", "gone-1", "gone-2"]


async def test_a_folder_whose_owner_lives_is_left_alone_until_the_owner_has_been_gone_for_a_while(
    node: Node, server: GrpcBackend
) -> None:
    await node.left("alive", 10)
    owner = SystemFolders()
    assert owner.claim(str(node.shared / "alive"))
    await node.left("gone", 10)
    adopter = node.adopter(instruction(backend("a", server.endpoint)))
    await until(lambda: node.names() == ["alive", "own"], "the other one is drained")
    owner.close()
    await until(lambda: node.names() == ["own"], "now this one, too")
    await until(lambda: adopter.endings == {Ending.DRAINED: 2}, "both are counted")


async def test_the_owner_that_comes_back_gets_its_folder(node: Node) -> None:
    await node.left("gone", 10)
    adopter = node.adopter(instruction(backend("a", NOWHERE)))
    await until(lambda: adopter.adoption and adopter.adoption.entries(), "the folder is adopted")
    owner = SystemFolders()
    assert owner.claim(str(node.shared / "gone"))
    await until(lambda: adopter.endings[Ending.HANDED_BACK] == 1, "it is handed back")
    async with running(node.shared / "gone", quota=8 << 20) as rig:
        assert rig.log.end.seq == 10
    owner.close()
    assert node.rescued == []


async def test_without_a_config_or_a_delivery_entry_nothing_is_touched(node: Node, server: GrpcBackend) -> None:
    await node.left("gone", 10)
    adopter = node.adopter(None)
    looked = asyncio.Event()
    means = replace(node.means(), folders=Watched(looked))
    nowhere = node.adopter(instruction(), means)
    await asyncio.wait_for(looked.wait(), 20)
    assert node.names() == ["gone", "own"]
    assert (adopter.adoption, nowhere.adoption) == (None, None)
    adopter.instruction = instruction(backend("a", server.endpoint))
    await until(lambda: node.names() == ["own"], "once there is one, it is drained")


class Watched(SystemFolders):
    """Tells when it has been looked through twice."""

    def __init__(self, looked: asyncio.Event) -> None:
        super().__init__()
        self._looked, self._looks, self._loop = looked, 0, asyncio.get_running_loop()

    def drained(self, shared: str) -> list[str]:
        self._looks += 1
        if self._looks == 2:
            self._loop.call_soon_threadsafe(self._looked.set)
        return super().drained(shared)


async def test_a_policy_that_loses_its_entries_meanwhile_removes_nothing(node: Node) -> None:
    await node.left("gone", 10)
    adopter = node.adopter(instruction(backend("a", NOWHERE)))
    await until(lambda: adopter.adoption and adopter.adoption.entries(), "the folder is adopted")
    adopter.instruction = instruction()
    await until(lambda: adopter.endings[Ending.PUT_BACK] == 1, "it is put back")
    assert node.names() == ["gone", "own"]
    async with running(node.shared / "gone", quota=8 << 20) as rig:
        assert rig.log.end.seq - rig.log.begin.seq == 10


async def test_a_changed_policy_reaches_the_folder_under_way(node: Node, server: GrpcBackend) -> None:
    sent = await node.left("gone", 10)
    adopter = node.adopter(instruction(backend("a", NOWHERE)))
    await until(lambda: adopter.adoption and adopter.adoption.entries(), "the folder is adopted")
    adopter.instruction = instruction(backend("a", server.endpoint))
    await until(lambda: adopter.endings[Ending.DRAINED] == 1, "it is drained to the new backend")
    assert server.taken.ids == sent


async def test_one_that_does_not_move_makes_room_for_the_others(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoptions, "PATIENCE", 0.0)
    monkeypatch.setattr(adoptions, "LOOK", 0.05)
    for n in range(2):
        await node.left(f"gone-{n}", 10)
    adopter = node.adopter(instruction(backend("a", NOWHERE)))
    seen: set[str] = set()

    def both() -> bool:
        if adopter.adoption is not None:
            seen.add(Path(adopter.adoption.folder).name)
        return len(seen) == 2

    await until(both, "both get their turn")
    await until(lambda: adopter.endings[Ending.PUT_BACK] >= 1, "the first was put back")
    assert node.names() == ["gone-0", "gone-1", "own"]


async def test_one_that_cannot_be_opened_is_told_and_holds_up_no_other(node: Node, server: GrpcBackend) -> None:
    await node.left("a-broken", 10)
    await node.left("b-whole", 10)
    means = node.means()
    works = means.open_log

    def failing(folder: str) -> Log:
        if folder.endswith("a-broken"):
            raise LogUnavailable(f"cannot open the log in {folder}: Permission denied")
        return works(folder)

    adopter = node.adopter(instruction(backend("a", server.endpoint)), replace(means, open_log=failing))
    await until(lambda: node.names() == ["a-broken", "own"], "the other one is drained")
    assert "Permission denied" in adopter.problems["a-broken"]
    shutil.rmtree(node.shared / "a-broken")
    await until(lambda: not adopter.problems, "what is gone is no problem any more")


async def test_one_that_is_being_opened_when_adoption_ends_is_let_go(node: Node, server: GrpcBackend) -> None:
    await node.left("gone", 10)
    means, entered, leave = node.means(), threading.Event(), threading.Event()

    def slow(folder: str) -> Log:
        entered.set()
        leave.wait(30)
        return means.open_log(folder)

    wanted = instruction(backend("a", server.endpoint))
    adopter = Adopter(str(node.shared), "own", replace(means, open_log=slow), SystemClock(), 0.0)
    adopter.instruction = wanted
    task = asyncio.create_task(adopter.run())
    assert await asyncio.to_thread(entered.wait, 30)
    task.cancel()
    leave.set()
    await asyncio.wait((task,), timeout=30)
    assert task.cancelled()
    node.adopter(wanted)
    await until(lambda: node.names() == ["own"], "another one takes it")


async def test_one_that_cannot_be_removed_is_told_and_stays_whole(node: Node, server: GrpcBackend) -> None:
    await node.left("gone", 10)

    class ReadOnly(SystemFolders):
        def retire(self, folder: str) -> str:
            raise OSError(30, "Read-only file system", folder)

    adopter = node.adopter(instruction(backend("a", server.endpoint)), replace(node.means(), folders=ReadOnly()))
    await until(lambda: "Read-only" in adopter.problems.get("gone", ""), "it is told")
    await until(lambda: adopter.adoption is None, "and given back")
    assert node.names() == ["gone", "own"]
    assert len(server.taken.ids) == 10


async def test_a_shared_folder_that_is_not_there_is_told(node: Node, server: GrpcBackend) -> None:
    adopter = Adopter(str(node.shared / "nowhere"), "own", node.means(), SystemClock(), 0.0)
    task = asyncio.create_task(adopter.run())
    await until(lambda: "cannot be looked through" in adopter.problems.get("", ""), "it is told")
    adopter.stop()
    await asyncio.wait_for(task, 20)


async def test_two_sidecars_share_the_work_and_never_a_folder(node: Node, server: GrpcBackend) -> None:
    sent = [span for n in range(6) for span in await node.left(f"gone-{n}", 10)]
    wanted = instruction(backend("a", server.endpoint))
    heirs = [node.adopter(wanted), node.adopter(wanted)]
    await until(lambda: node.names() == ["own"], "all are drained")
    await until(lambda: sum(heir.endings[Ending.DRAINED] for heir in heirs) == 6, "each by one of them")
    assert sorted(server.taken.ids) == sorted(sent)
    assert sum(sum(heir.delivered().values()) for heir in heirs) == 60
    assert not any(heir.problems for heir in heirs)


async def test_what_was_left_of_a_removal_goes(node: Node) -> None:
    leftover = node.shared / "uid.drained"
    leftover.mkdir()
    (leftover / "1.seg").touch()
    node.adopter(None)
    await until(lambda: node.names() == ["own"], "the rest is removed")


async def test_a_folder_with_a_kept_log_is_delivered_whatever_the_config_says_now(
    node: Node, server: GrpcBackend
) -> None:
    """Its entry is on the kept log, and comes back to the log itself when nothing is sampled any more."""
    chance = random.Random(3)
    bad = [trace(chance, error=True) for _ in range(4)]
    for name in ("on", "off"):
        async with routed(node.shared / name, quota=8 << 20) as rig:
            await rig.apply(backend("a", NOWHERE), sampling=sampling(wait="1h"))
            await rig.put(*bad)
    adopter = node.adopter(instruction(backend("a", server.endpoint)))
    await until(lambda: adopter.endings[Ending.DRAINED] == 2, "both are drained")
    assert Counter(server.taken.ids) == Counter(2 * [span.span_id.hex() for spans in bad for span in spans])
    assert node.names() == ["own"]
