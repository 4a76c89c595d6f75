"""Writes the log that `log-v1/` holds: `PYTHONPATH=tests python tests/unit/log/make_log_v1.py`.

To be run only as long as format version 1 is what the code writes; later versions must go on reading what is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from log_harness import DIRECTORY, open_log, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.cursor import Cursor, CursorStore

HERE = Path(__file__).resolve().parent
PAYLOADS = [b"frame %d" % number for number in range(5)]


async def build() -> SimulatedFiles:
    """Two segments, a damaged frame in the first, a torn one in the second, a cursor behind the first frame,
    with spans settled behind it, and a tombstone."""
    files = SimulatedFiles()
    for payloads in (PAYLOADS[:3], PAYLOADS[3:]):
        log = open_log(files)
        for spans, payload in enumerate(payloads, 1):
            log.submit(payload, spans, lambda error: None, critical=spans == 3)
        await log.close()
    first, second = (name for name in files.names if name.endswith(".seg"))
    files.content(first)[64 + 47 + 40] ^= 1
    del files.content(second)[-3:]
    log = open_log(files.restart())
    account = Account(0, Counter(tempo=2), Counter(refused=0), Counter(slow=1), 1, Counter(replay=5))
    cursor = Cursor(read_all(log, max_spans=1)[0].end, account, ((2, 3),))
    await log.close()
    store = CursorStore(DIRECTORY, files)
    store.save("primary", cursor)
    store.save("gone", Cursor(cursor.position, Account(0, Counter(old=1)), removed=1_700_000_000.5))
    store.save_intake(Intake(Counter(full=4), 2, Counter(full=1), Counter(noise=6)))
    return files


def main() -> None:
    files = asyncio.run(build())
    folder = HERE / "log-v1"
    folder.mkdir(exist_ok=True)
    for name in files.names:
        (folder / name).write_bytes(bytes(files.content(name)))


if __name__ == "__main__":
    main()
