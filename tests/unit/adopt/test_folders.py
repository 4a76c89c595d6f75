"""Who holds a pod's folder, and how one goes: on the real filesystem."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from log_harness import ManualClock
from tracekeeper_sidecar.adopt.folders import DRAINED, SystemFolders
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.files import OWNER_LOCK, SystemFiles
from tracekeeper_sidecar.log.log import Log


def test_a_claim_makes_the_folder_and_is_seen_until_it_ends(tmp_path: Path) -> None:
    folder, owner, other = str(tmp_path / "uid"), SystemFolders(), SystemFolders()
    assert not other.claimed(folder)
    assert owner.claim(folder)
    assert other.claimed(folder)
    assert not other.claim(folder)
    owner.close()
    assert not other.claimed(folder)
    assert other.claim(folder)
    other.close()


def test_the_owners_file_is_no_stranger_to_the_log(tmp_path: Path) -> None:
    folder, owner = str(tmp_path / "uid"), SystemFolders()
    assert owner.claim(folder)
    log = Log.open(folder, files=SystemFiles(), clock=ManualClock(), quota=1 << 20)
    assert log.recovery.notes == ()
    asyncio.run(log.close())
    owner.close()


def test_looking_leaves_no_lock_behind(tmp_path: Path) -> None:
    folder, owner, other = str(tmp_path / "uid"), SystemFolders(), SystemFolders()
    assert owner.claim(folder)
    owner.close()
    for _ in range(3):
        assert not other.claimed(folder)
    assert owner.claim(folder)
    owner.close()


def test_only_folders_count_and_drained_ones_apart(tmp_path: Path) -> None:
    for name in ("a", "b", f"c{DRAINED}", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert sorted(SystemFolders().of_pods(str(tmp_path))) == ["a", "b"]
    assert SystemFolders().drained(str(tmp_path)) == [f"c{DRAINED}"]


def test_a_retired_folder_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder, folders = tmp_path / "uid", SystemFolders()
    (folder / "dead-letter").mkdir(parents=True)
    (folder / "dead-letter" / "1").write_bytes(b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    retired = folders.retire(str(folder))
    assert folders.of_pods(str(tmp_path)) == ["outside"]
    folders.remove(retired)
    folders.remove(retired)
    assert os.listdir(tmp_path) == ["outside"]


def test_whoever_waited_for_a_folder_cannot_lock_the_one_that_took_its_name(tmp_path: Path) -> None:
    """The lock is the directory's, and a directory that is renamed takes its lock along."""
    folder, files, clock = tmp_path / "uid", SystemFiles(), ManualClock()
    folder.mkdir()
    held = files.lock_directory(str(folder))
    with pytest.raises(LogUnavailable, match="in use by another process") as caught:
        Log.open(str(folder), files=files, clock=clock, quota=1 << 20)
    assert isinstance(caught.value.__cause__, BlockingIOError)
    SystemFolders().retire(str(folder))
    folder.mkdir()  # The name is free again.
    other = files.lock_directory(str(folder))
    files.close(held)
    with pytest.raises(BlockingIOError):
        files.lock_directory(str(folder))
    files.close(other)


def test_the_owners_file_is_nobodys_way_out_of_the_folder(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "uid", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / OWNER_LOCK).symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        SystemFolders().claim(str(folder))
    assert not elsewhere.exists()
