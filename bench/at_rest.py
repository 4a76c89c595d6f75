"""What the operator asks of the API server while nothing happens: two controllers and two injectors, many namespaces.

    .venv/bin/python bench/at_rest.py [--namespaces 200] [--seconds 300]

Both commands run as in a pod, against the API server of the tests, which counts. Watches count once each.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from control_api import Api, Seen
from control_objects import backend, config, secret
from operator_process import free_port, installed, started
from service_tokens import Signer, publish
from waiting import until


def kind(item: Seen) -> str:
    """What a request is about, without names."""
    parts = item.path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    what = parts[0] if parts else item.path
    verb = {"GET": "get" if len(parts) > 1 else "list", "PATCH": "patch", "POST": "create", "DELETE": "delete"}
    return f"{'watch' if 'watch' in item.query else verb[item.method]} {what}{' status' if 'status' in parts else ''}"


async def measure(namespaces: int, settle: float, seconds: float) -> None:
    """Print requests by kind, in so many seconds after everything was published."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        async with installed() as api, AsyncExitStack() as stack:
            publish(api, Signer())
            api.put("customresourcedefinitions", {"metadata": {"name": "tracingconfigs.tracekeeper.dev"}})
            for number in range(namespaces):
                name = f"team-{number:03}"
                api.put("namespaces", {"metadata": {"name": name}})
                api.put("secrets", secret("tempo", name, token="t0ken"))
                api.put("tracingconfigs", config(namespace=name, backends=[backend("a", "tempo")]))
            for number in range(2):
                pod = f"controller-{number}"
                api.put("pods", {"metadata": {"namespace": "tk", "name": pod, "labels": {"app": "controller"}}})
                flags = ["--service=localhost", "--control-service=tk-control", f"--pod={pod}"]
                flags += [f"--control-listen=127.0.0.1:{free_port()}"]
                await stack.enter_async_context(started(api, folder, "controller", *flags))
                flags = ["--sidecar-image=registry.example/sidecar:1", f"--listen=127.0.0.1:{free_port()}"]
                await stack.enter_async_context(started(api, folder, "injector", *flags))
            await until(lambda: ready(api) == namespaces, lambda: f"{ready(api)} of {namespaces} are published", 120)
            await asyncio.sleep(settle)
            api.seen.clear()
            await asyncio.sleep(seconds)
            show(namespaces, seconds, Counter(map(kind, api.seen)))


def show(namespaces: int, seconds: float, found: Counter[str]) -> None:
    print(f"{namespaces} namespaces, two controllers, two injectors, {seconds:g} s at rest:")
    for what, count in found.most_common():
        print(f"  {what:32} {count:6}  {count / seconds:.3f}/s")
    print(f"  {'all':32} {found.total():6}  {found.total() / seconds:.3f}/s", flush=True)


def ready(api: Api) -> int:
    """How many configs have a status."""
    return sum("status" in item for key, item in api.objects.items() if key[0] == "tracingconfigs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespaces", type=int, default=200)
    parser.add_argument(
        "--settle", type=float, default=120.0, help="seconds from when all is published until it counts"
    )
    parser.add_argument("--seconds", type=float, default=300.0)
    told = parser.parse_args()
    asyncio.run(measure(told.namespaces, told.settle, told.seconds))


if __name__ == "__main__":
    main()
