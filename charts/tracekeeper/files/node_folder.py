"""Gives the folder for buffers on a node the mode that sidecars need, and stays, so that the DaemonSet does."""

# ruff: noqa: INP001, T201  (a script that a pod runs by itself, and what it prints is its result)

import os
import signal
import sys

MODE = 0o1777  # As /tmp: everybody may make folders, nobody may remove another's.


def prepare(folder: str) -> None:
    """The folder itself, and those of namespaces and configs that the kubelet made with a mode it had before."""
    os.chmod(folder, MODE)
    for namespace in os.scandir(folder):
        if namespace.is_dir(follow_symlinks=False) and namespace.stat().st_uid == 0:
            os.chmod(namespace.path, MODE)
            for config in os.scandir(namespace.path):
                if config.is_dir(follow_symlinks=False) and config.stat().st_uid == 0:
                    os.chmod(config.path, MODE)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # Waited for below, however early it comes.
    prepare(sys.argv[1])
    print(f"{sys.argv[1]} is ready for sidecars", flush=True)
    signal.sigwait({signal.SIGTERM})
