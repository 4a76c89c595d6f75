"""`make demo` and `make demo-down`, after scripts/demo.sh has prepared the machine. Standard library only."""

from __future__ import annotations

import os
import sys

from demo_cluster import Kube, OwnCluster
from demo_current import CurrentCluster
from demo_journey import Journey
from demo_progress import DemoFailed, Progress


def chosen(progress: Progress) -> Kube:
    """The cluster that the environment asks for; raises DemoFailed on a value that means nothing."""
    name = os.environ.get("CLUSTER") or "own"
    if name == "own":
        return OwnCluster(progress)
    if name == "current":
        return CurrentCluster(progress)
    raise DemoFailed(f"CLUSTER={name} means nothing", "CLUSTER=current is your cluster; without it the demo starts one")


def up(progress: Progress) -> int:
    """The whole journey; exit code 1 when something is missing at its end."""
    faults = Journey(chosen(progress), progress).run()
    return 1 if faults else 0


def down(progress: Progress) -> int:
    """Remove every trace of it."""
    chosen(progress).remove()
    return 0


def main(arguments: list[str]) -> int:
    """Run one of the two; what went wrong is said with what to do next."""
    progress = Progress()
    commands = {"up": up, "down": down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: scripts/demo.py up | down", file=sys.stderr)
        return 2
    try:
        return commands[arguments[0]](progress)
    except DemoFailed as failure:
        progress.bad(str(failure))
        progress.lines(list(failure.advice))
        return 1
    except KeyboardInterrupt:
        progress.say("\nstopped half way: `make demo` goes on from here, `make demo-down` removes it")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
