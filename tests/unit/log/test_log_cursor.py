from __future__ import annotations

import errno
import random
from collections import Counter

import pytest

from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.cursor import MAX_RUNS, Cursor, CursorStore
from tracekeeper_sidecar.model import Position

ACCOUNT = Account(start=5, delivered=Counter(tempo=7, standby=2), dropped=Counter(damaged=1))


def cursor(seq: int) -> Cursor:
    return Cursor(Position(3, 64 + seq, seq), ACCOUNT, ((2, 3), (10 + seq, 1)), 1_700_000_000.5)


def test_a_cursor_and_its_account_come_back() -> None:
    files = SimulatedFiles()
    CursorStore("/data", files).save("primary", cursor(20))
    assert CursorStore("/data", files).load("primary") == cursor(20)


def test_the_last_save_counts_however_many_there_were() -> None:
    files = SimulatedFiles()
    for seq in range(7):
        store = CursorStore("/data", files)
        store.load("primary")
        store.save("primary", cursor(2 * seq))
        store.save("primary", cursor(2 * seq + 1))
        assert CursorStore("/data", files).load("primary") == cursor(2 * seq + 1)
    assert files.names == ["cursor.primary.a", "cursor.primary.b"]


def test_a_store_that_did_not_load_first_still_goes_on_behind_the_newest() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    for seq in range(3):
        store.save("primary", cursor(seq))
    CursorStore("/data", files).save("primary", cursor(3))
    assert CursorStore("/data", files).load("primary") == cursor(3)


def test_entries_are_listed_and_removed() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    for entry in ("primary", "audit.eu", "a"):
        store.save(entry, cursor(1))
    store.save_intake(Intake())
    assert store.names() == ["a", "audit.eu", "primary"]
    store.remove("audit.eu")
    store.remove("never-there")
    assert CursorStore("/data", files).names() == ["a", "primary"]
    assert store.load("audit.eu") is None
    assert store.damaged == []


@pytest.mark.parametrize("entry", ["", "Upper", "../x", "a/b", "-a", "a" * 300, "a\n"])
def test_names_that_are_not_dns_like_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="not a DNS-like name"):
        CursorStore("/data", SimulatedFiles()).save(entry, cursor(1))


def test_one_damaged_slot_leaves_the_older_cursor() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    store.save("primary", cursor(2))
    files.content("cursor.primary.b")[40] ^= 1
    found = CursorStore("/data", files)
    assert found.load("primary") == cursor(1)
    assert "cursor.primary.b is damaged: the other copy is used" in found.damaged[0]


def test_two_damaged_slots_mean_no_cursor_and_a_report() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    store.save("primary", cursor(2))
    for slot in "ab":
        files.content(f"cursor.primary.{slot}")[40] ^= 1
    found = CursorStore("/data", files)
    assert found.load("primary") is None
    assert len(found.damaged) == 2
    assert found.names() == ["primary"]
    found.save("primary", cursor(9))
    assert CursorStore("/data", files).load("primary") == cursor(9)


def test_damage_at_every_byte_never_gives_a_cursor_that_was_not_saved() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    store.save("primary", cursor(2))
    used = len(files.content("cursor.primary.b").rstrip(b"\0"))
    assert used < len(files.content("cursor.primary.b"))
    for place in range(used):
        files.content("cursor.primary.b")[place] ^= 0x40
        assert CursorStore("/data", files).load("primary") == cursor(1)
        files.content("cursor.primary.b")[place] ^= 0x40
        whole = bytes(files.content("cursor.primary.b"))
        del files.content("cursor.primary.b")[place:]
        assert CursorStore("/data", files).load("primary") == cursor(1)
        files.content("cursor.primary.b")[:] = whole
    assert CursorStore("/data", files).load("primary") == cursor(2)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"nonsense",
        b'{"position":[1,2],"account":{}}',
        b'{"position":[1,2,-3],"account":{}}',
        b'{"position":[1,2,3],"account":{"start":0,"delivered":{},"dropped":{}},"acked":[[5,0]]}',
        b'{"position":[1,2,3],"account":{"start":0,"delivered":{},"dropped":{}},"acked":[[5,2],[6,1]]}',
        b'{"position":[1,2,3],"account":{"start":0,"delivered":{},"dropped":{}},"acked":[5]}',
        b'{"position":[1,2,3],"account":{"start":0,"delivered":{},"dropped":{}},"removed":"yes"}',
    ],
)
def test_sound_slots_with_senseless_contents_are_reported(body: bytes) -> None:
    from tracekeeper_sidecar.log.slots import Slots

    files = SimulatedFiles()
    Slots("/data", "cursor.primary", files).save(body)
    store = CursorStore("/data", files)
    assert store.load("primary") is None
    assert len(store.damaged) == 1


def test_more_runs_than_a_restart_would_take_back_are_not_saved() -> None:
    store = CursorStore("/data", SimulatedFiles())
    runs = tuple((3 * at + 1, 1) for at in range(MAX_RUNS + 1))
    store.save("primary", Cursor(Position(1, 64, 0), acked=runs[:-1]))
    found = CursorStore("/data", store._files).load("primary")
    assert found is not None
    assert (len(found.acked), found.reach) == (MAX_RUNS, 3 * MAX_RUNS - 1)
    for wrong in (runs, ((1, 2), (2, 1)), ((1, 0),)):
        with pytest.raises(ValueError, match="expected"):
            store.save("primary", Cursor(Position(1, 64, 0), acked=wrong))


def test_a_usual_number_of_runs_needs_no_room_that_was_not_set_aside() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    files.capacity = files.used
    runs = tuple((100_000 * at + 1, 99_000) for at in range(MAX_RUNS - 100))
    store.save("primary", Cursor(Position(2**40, 2**25, 2**50), ACCOUNT, runs))
    found = CursorStore("/data", files).load("primary")
    assert found is not None and found.acked == runs


def test_the_intake_comes_back() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    assert store.load_intake() is None
    intake = Intake(refused=Counter(full=3), suspended=4, refused_requests=Counter(wire=1, full=1))
    store.save_intake(intake)
    assert CursorStore("/data", files).load_intake() == intake


def test_a_save_that_fails_leaves_the_cursor_before_and_the_next_one_makes_the_file_anew() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    store.save("primary", cursor(2))
    files.fault = lambda operation, path: OSError(errno.EIO, "I/O error") if operation == "fdatasync" else None
    with pytest.raises(LogUnavailable, match=r"cannot write /data/cursor\.primary: I/O error"):
        store.save("primary", cursor(3))
    files.fault = lambda operation, path: None
    files.log.clear()
    store.save("primary", cursor(4))
    assert files.log[:2] == ["unlink cursor.primary.a", "create cursor.primary.a"]
    assert CursorStore("/data", files).load("primary") == cursor(4)


def test_a_full_volume_does_not_keep_a_known_cursor_from_being_saved() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    store.save("primary", cursor(2))
    files.capacity = files.used
    store.save("primary", cursor(3))
    assert CursorStore("/data", files).load("primary") == cursor(3)
    with pytest.raises(LogUnavailable, match="No space left"):
        store.save("another", cursor(1))


def test_a_noted_cursor_survives_the_process_and_once_loaded_also_the_machine() -> None:
    files = SimulatedFiles()
    store = CursorStore("/data", files)
    store.save("primary", cursor(1))
    store.note("primary", cursor(2))
    assert "fdatasync" not in files.log[-1]
    found = [CursorStore("/data", files.crash(random.Random(seed))).load("primary") for seed in range(20)]
    assert cursor(1) in found
    assert cursor(2) in found
    killed = files.restart()
    assert CursorStore("/data", killed).load("primary") == cursor(2)
    for seed in range(20):
        assert CursorStore("/data", killed.crash(random.Random(seed))).load("primary") == cursor(2)


def test_a_note_never_touches_the_saved_cursor() -> None:
    files = SimulatedFiles(sector=16)
    store = CursorStore("/data", files)
    store.note("primary", cursor(0))
    assert files.names == []
    store.save("primary", cursor(1))
    for seq in range(2, 6):
        store.note("primary", cursor(seq))
    for seed in range(50):
        found = CursorStore("/data", files.crash(random.Random(seed))).load("primary")
        assert found in [cursor(seq) for seq in range(1, 6)]
    store.save("primary", cursor(6))
    assert CursorStore("/data", files.crash(random.Random(0))).load("primary") == cursor(6)
