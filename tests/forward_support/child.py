"""A process that acknowledges spans and forwards them until it is killed: `child.py DIRECTORY ENDPOINT`.

Writes a line `+ID …` for each acknowledged request, after it is durable, so that the parent knows what must arrive.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from forward_support.rig import backend, running
from forward_support.spans import request


async def main(directory: str, endpoint: str, first: int) -> None:
    async with running(Path(directory)) as rig:
        await rig.apply([backend("one", endpoint, "HTTP", batch={"maxSpans": 20, "maxDelay": "5ms"})])
        print("ready", flush=True)
        number = first
        while True:
            body, ids = request(5, first=number)
            number += 5
            await rig.log.append(body, 5)
            print("+" + " ".join(ids), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
