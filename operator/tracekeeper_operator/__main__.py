"""The command `tracekeeper-operator`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from . import logs, settings
from .access import Access, find
from .clock import SystemClock
from .errors import OperatorError
from .settings import ControllerSettings, Settings
from .tasks import stop_on_signals

logger = logging.getLogger("tracekeeper_operator")


def main() -> None:
    """Exit 0 after SIGTERM, 1 when a task died, 2 when it could not start as it was told to."""
    try:
        told = settings.parse(sys.argv[1:], os.environ)
        access = find(os.environ)
    except OperatorError as error:
        print(f"tracekeeper-operator: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    logs.configure(told.log_level)
    try:
        asyncio.run(_run(told, access))
    except OperatorError as error:
        logger.error("%s", error)
        raise SystemExit(1) from None


async def _run(told: Settings, access: Access) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    # kopf and gRPC cost 50 MB, and only one of the two processes needs them.
    if isinstance(told, ControllerSettings):
        # gRPC's own lines are not ours: what they say of a connection is in the answers, and they are no JSON.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from .controller import Controller

        await Controller(told, access, SystemClock()).run(stop)
    else:
        from .injector import Injector

        await Injector(told, access, SystemClock()).run(stop)


if __name__ == "__main__":
    main()
