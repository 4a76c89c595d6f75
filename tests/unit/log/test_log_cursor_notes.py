"""Notes between saves: they survive the process, and never cost what was saved."""

from __future__ import annotations

import errno
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.model import Position


def cursor(seq: int) -> Cursor:
    return Cursor(Position(1, 64 + seq, seq), Account())


def test_a_note_survives_the_process() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("a", cursor(1))
    for seq in range(2, 9):
        store.note("a", cursor(seq))
    assert CursorStore("/data", files.restart()).load("a") == cursor(8)


def test_a_save_after_notes_is_the_newest() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("a", cursor(1))
    store.note("a", cursor(2))
    store.save("a", cursor(3))
    store.note("a", cursor(4))
    store.save("a", cursor(5))
    assert CursorStore("/data", files.restart()).load("a") == cursor(5)


def test_before_the_first_save_nothing_is_noted() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("a", cursor(1))
    store.note("a", cursor(2))
    again = CursorStore("/data", files)
    assert again.load("a") == cursor(2)
    again.note("a", cursor(3))
    assert CursorStore("/data", files.restart()).load("a") == cursor(2)


@pytest.mark.parametrize("lives", [1, 3])
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=1, max_size=3), st.randoms())
def test_a_loss_of_power_costs_no_save(lives: int, plan: list[list[bool]], chance: random.Random) -> None:
    files, seq, saved = SimulatedFiles(), 0, 0
    for life in plan[:lives]:
        store = CursorStore("/data", files)
        store.load("a")
        for sync in life:
            seq += 1
            if sync:
                store.save("a", cursor(seq))
                saved = seq
            else:
                store.note("a", cursor(seq))
        files = files.restart()
    found = CursorStore("/data", files.crash(chance)).load("a")
    if saved:
        assert found is not None
        assert saved <= found.position.seq <= seq


@given(st.randoms())
def test_what_a_failed_sync_left_behind_is_on_disk_once_it_was_loaded(chance: random.Random) -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("a", cursor(1))
    store.save("a", cursor(2))
    files.fault = lambda operation, path: OSError(errno.EIO, "I/O error") if operation == "fdatasync" else None
    with pytest.raises(LogUnavailable):
        store.save("a", cursor(3))
    files = files.restart()
    found = CursorStore("/data", files).load("a")
    assert found == cursor(3), "what the page cache shows"
    assert CursorStore("/data", files.crash(chance)).load("a") == found
