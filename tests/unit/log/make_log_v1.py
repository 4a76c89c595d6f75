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
    """Two segments, a damaged frame in the first, a torn one in the second, a cursor behind the first frame."""
    files = SimulatedFiles()
    for payloads in (PAYLOADS[:3], PAYLOADS[3:]):
        log = open_log(files)
        for spans, payload in enumerate(payloads, 1):
            await log.append(payload, spans)
        await log.close()
    first, second = (name for name in files.names if name.endswith(".seg"))
    files.content(first)[64 + 47 + 40] ^= 1
    del files.content(second)[-3:]
    log = open_log(files.restart())
    cursor = Cursor(read_all(log, max_spans=1)[0].end, Account(0, Counter(tempo=1), Counter(refused=0)))
    await log.close()
    store = CursorStore(DIRECTORY, files)
    store.save("primary", cursor)
    store.save_intake(Intake(Counter(full=4), 2, Counter(full=1)))
    return files


def main() -> None:
    files = asyncio.run(build())
    folder = HERE / "log-v1"
    folder.mkdir(exist_ok=True)
    for name in files.names:
        (folder / name).write_bytes(bytes(files.content(name)))


if __name__ == "__main__":
    main()
