"""A small value kept in two files in turn, so that a crash in the middle of saving it leaves the older one.

    offset  size  field
         0     8  magic "TKSLOT" 0D 0A
         8     4  format version: 1
        12     4  length of the body in bytes
        16     8  generation: the slot with the higher one is newer
        24     4  CRC32C of bytes 0 to 23 and the body
        28     -  body: JSON, UTF-8

The first save makes both files and reserves a block for each, and later ones overwrite the older slot in place: so a
volume that fills up does not keep a cursor from being saved. Bytes behind the body are left from longer bodies and
mean nothing; a slot of zeros has not been used yet.
"""

from __future__ import annotations

import contextlib
import struct

from crc32c import crc32c

from tracekeeper_sidecar.log.files import SHORTAGES, Files

VERSION = 1
MAGIC = b"TKSLOT\r\n"
MAX_BODY = 1 << 20
_FIELDS = struct.Struct("<8sIIQ")
_CRC = struct.Struct("<I")
_BODY = _FIELDS.size + _CRC.size
BLOCK = 4096
SLOTS = ("a", "b")


class Slots:
    """The two files `STEM.a` and `STEM.b`. Not thread-safe: one owner at a time. Raises OSError as files do."""

    def __init__(self, directory: str, stem: str, files: Files, reserve: int = BLOCK, most: int = MAX_BODY) -> None:
        """`reserve` is how many bytes of each file are set aside in advance, `most` how many a body may have."""
        self._directory, self._files, self._reserve, self._most = directory, files, reserve, most
        self._paths = [f"{directory}/{stem}.{slot}" for slot in SLOTS]
        self._generation = 0
        self._found = b""
        """The body that `load` took for the newest."""
        self._next = 0
        self._made = False
        self._suspect = [False, False]
        """True for a slot whose last save failed: what is on disk is unknown, so it is made anew."""
        self.damaged: list[str] = []
        """Paths of slots that were found damaged by `load`."""

    def load(self) -> bytes | None:
        """The newest sound body, or None when there is none; `damaged` then tells whether there was one.

        Raises OSError only when the process lacks handles or memory.
        """
        self.damaged = []
        best: bytes | None = None
        self._generation, self._next = 0, 0
        for index, path in enumerate(self._paths):
            try:
                found = self._read(path)
            except FileNotFoundError:
                continue
            except OSError as fault:
                if fault.errno in SHORTAGES:
                    raise
                # Bad place on the volume, no permission, not a file: as good as damaged.
                found = None
            if found is None:
                self.damaged.append(path)
                self._suspect[index] = True
                continue
            generation, body = found
            if generation > self._generation:
                best, self._generation, self._next = body, generation, 1 - index
        self._found = best or b""
        return best

    def settle(self) -> None:
        """Make what `load` found survive a loss of power: if a process that was killed noted it, no sync followed.

        It is written again, because a sync alone does not help after one that failed: the system then takes the page
        for clean, and shows what the disk does not hold. To be called before the next save.
        """
        if self._generation:
            self._write(1 - self._next, self._encode(self._found, self._generation))

    def save(self, body: bytes) -> None:
        """Return when `body` would survive a loss of power. After an OSError the previous body still stands."""
        if not self._made:
            self._make()
        self._write(self._next, self._encode(body, self._generation + 1))
        self._generation += 1
        self._next = 1 - self._next

    def note(self, body: bytes) -> None:
        """Return when `body` would survive the end of this process, though not a loss of power: there is no sync.

        It goes into the slot that the next `save` overwrites; the one last saved stays as it is. Before the first
        save it does nothing: what `load` found newest may never have been synced, and must not be left alone with
        another of that kind.
        """
        if not self._made:  # Only a save makes it, and one that failed takes it back.
            return
        handle = self._files.open(self._paths[self._next], write=True)
        try:
            self._overwrite(handle, self._encode(body, self._generation + 1))
        finally:
            self._files.close(handle)

    def remove(self) -> None:
        """Delete both files; no error if there are none."""
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(path)
        self._files.sync_directory(self._directory)
        self._generation, self._next, self._suspect, self._made = 0, 0, [False, False], False

    def _read(self, path: str) -> tuple[int, bytes] | None:
        handle = self._files.open(path)
        try:
            data = self._files.pread(handle, _BODY + self._most, 0)
        finally:
            self._files.close(handle)
        if not data.strip(b"\0"):
            return 0, b""
        if len(data) < _BODY:
            return None
        magic, version, length, generation = _FIELDS.unpack_from(data)
        body = data[_BODY : _BODY + length]
        crc = crc32c(body, crc32c(data[: _FIELDS.size]))
        if magic != MAGIC or version != VERSION or len(body) != length:
            return None
        return (generation, body) if crc == _CRC.unpack_from(data, _FIELDS.size)[0] else None

    def _make(self) -> None:
        """Make the files that are missing or whose contents are in doubt, with room for a usual body."""
        for index, path in enumerate(self._paths):
            if self._suspect[index] and index == self._next:
                with contextlib.suppress(FileNotFoundError):
                    self._files.unlink(path)
            try:
                handle = self._files.open(path, write=True, create=True)
            except FileExistsError:
                continue
            try:
                self._files.allocate(handle, self._reserve)
            finally:
                self._files.close(handle)
        self._files.sync_directory(self._directory)
        self._made = True

    def _write(self, index: int, data: bytes) -> None:
        # Until the sync has worked the file is in doubt, and a later save makes it anew instead of trusting it.
        self._suspect[index], made, self._made = True, self._made, False
        handle = self._files.open(self._paths[index], write=True)
        try:
            self._overwrite(handle, data)
            self._files.fdatasync(handle)
        finally:
            self._files.close(handle)
        self._suspect[index], self._made = False, made

    def _overwrite(self, handle: int, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += self._files.pwritev(handle, [data[written:]], written)

    @staticmethod
    def _encode(body: bytes, generation: int) -> bytes:
        """The whole of a slot."""
        fields = _FIELDS.pack(MAGIC, VERSION, len(body), generation)
        return fields + _CRC.pack(crc32c(body, crc32c(fields))) + body
