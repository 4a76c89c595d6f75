"""Writes the kept log that `kept-v1/` holds: `PYTHONPATH=tests python tests/unit/log/make_kept_v1.py`.

To be run only as long as version 1 is what the code writes, of the log and of the prefix of its frames; later versions
must go on reading what is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from log_harness import DIRECTORY, open_log, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore
from tracekeeper_sidecar.log.decided import Decided, encode
from tracekeeper_sidecar.log.record import DECIDED, HEADER_SIZE
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.traces import verdict
from tracekeeper_sidecar.wire.varint import delimited

HERE = Path(__file__).resolve().parent
BEGIN = 20
"""Where sampling began in the first log."""
ERRORS = b"a" * 16 + verdict(0, 0, keep=True).to_bytes(8)
SHARE = b"b" * 16 + verdict(29, 3 << 54, keep=True).to_bytes(8)
"""Kept by a quarter's chance."""
LEFT_OUT = b"c" * 16 + verdict(29, 3 << 54, keep=False).to_bytes(8)
WHOLE = b"d" * 16 + verdict(30, 0, keep=True, erase=True).to_bytes(8)


def request(*names: str) -> bytes:
    """Spans in one scope, with nothing but a name."""
    scope = b"".join(delimited(2, delimited(5, name.encode())) for name in names)
    return delimited(1, delimited(2, scope))


FRAMES = [
    (Decided(2, {"slow": 3, "default": 5}, 0, Position(3, 4096, 30), ERRORS + SHARE + LEFT_OUT), request("a", "b")),
    (Decided(0, {"default": 7}, 2, Position(3, 8000, 39)), b""),
    (Decided(1, {"default": 4}, 0, Position(3, 9000, 44)), request("damaged")),
    (Decided(1, {"für später": 2}, 0, Position(4, 64, 47), WHOLE), request("d")),
    (Decided(3, {}, 0, Position(4, 900, 50)), request("torn", "torn", "torn")),
]


async def build() -> SimulatedFiles:
    """Two segments, a damaged frame in the first, a torn one in the second, and a cursor behind the first frame."""
    files = SimulatedFiles()
    for frames in (FRAMES[:3], FRAMES[3:]):
        log = open_log(files, first_seq=BEGIN)
        for decided, body in frames:
            log.submit(encode(decided) + body, decided.spans, lambda error: None, critical=body == b"", kind=DECIDED)
        await log.close()
    first, second = (name for name in files.names if name.endswith(".seg"))
    files.content(first)[-HEADER_SIZE] ^= 1
    del files.content(second)[-3:]
    log = open_log(files.restart())
    account = Account(BEGIN, Counter(tempo=2), sampled_out=Counter(slow=3, default=5))
    cursor = Cursor(read_all(log, max_spans=1)[0].end, account)
    await log.close()
    CursorStore(DIRECTORY, files).save("sampled", cursor)
    return files


def main() -> None:
    files = asyncio.run(build())
    folder = HERE / "kept-v1"
    folder.mkdir(exist_ok=True)
    for name in files.names:
        (folder / name).write_bytes(bytes(files.content(name)))


if __name__ == "__main__":
    main()
