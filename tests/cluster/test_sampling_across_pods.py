"""Sampling where traces go through several pods: one answer for all of them, one target for all, and one dump."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.fixtures import RELEASE, SYSTEM
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import Workload, otlp

pytestmark = pytest.mark.cluster

APPLICATION = (Path(__file__).parent / "chain.py").read_text()
SERVICES = ("front", "middle", "last")
SPANS = {"front": 3, "middle": 3, "last": 2}
"""That one trace has in each pod."""
CALLS = 8081
ERRORS = {"name": "errors", "match": 'trace.status == "error"', "probability": 1}


@dataclass
class Chain:
    """Three pods, each with a sidecar; every trace goes through all of them."""

    user: Workload

    def begin(self, runs: int, rate: float, fails: int = 0, own: float = 0.0) -> None:
        """Start them, the last one first. Of so many calls it fails one, and nobody before it hears of that.

        It makes `own` traces a second besides, which nobody else sees."""
        for name, after in zip(reversed(SERVICES), (None, *reversed(SERVICES)), strict=False):
            made = rate if name == SERVICES[0] else 0.0 if after else own
            environment = {
                "OTEL_SERVICE_NAME": name,
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                "CHAIN_LISTEN": str(CALLS),
                **({"CHAIN_NEXT": f"http://{after}:{CALLS}/"} if after else {"CHAIN_FAILS": str(fails)}),
                **({"CHAIN_RUNS": str(round(runs * made / rate)), "CHAIN_RUNS_PER_SECOND": str(made)} if made else {}),
            }
            pod = self.user.pod(
                name,
                ["python3", "-c", APPLICATION],
                annotations={"tracekeeper.dev/inject": "true"},
                environment=environment,
                probe={"httpGet": {"path": "/stats", "port": CALLS}, "periodSeconds": 1},
            )
            service = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": self.user.namespace},
                "spec": {"selector": {"app": name}, "ports": [{"port": CALLS}]},
            }
            self.user.cluster.apply([pod, service])
            self.user.ready(name)

    def done(self, deadline: float = 90) -> dict[str, Any]:
        """What the last service has seen when the first one has made all its traces."""
        wait_for(lambda: self._stats("front")["done"], deadline, lambda: f"all traces are made: {self._stats('front')}")
        return self._stats("last")

    def kept_a_second(self, traces: int) -> float:
        """Over the time in which so many come to the last service: parts of traces, one for each pod that a trace is
        in, of which spans come to the backend."""
        begun, traces_before, parts_before = time.monotonic(), len(self._stats("last")["traces"]), self._parts()

        def more() -> int:
            return len(self._stats("last")["traces"]) - traces_before

        wait_for(lambda: more() >= traces, 90, lambda: f"{traces} more traces are made: {more()}", interval=0.5)
        return (self._parts() - parts_before) / (time.monotonic() - begun)

    def _parts(self) -> int:
        return sum(map(len, self.spans().values()))

    def _stats(self, name: str) -> dict[str, Any]:
        return self.user.stats(f"{name}-0", CALLS)

    def attached(self) -> bool:
        """Whether all three hear from the operator."""
        return all(self.link(name)["attached"] for name in SERVICES)

    def link(self, name: str) -> dict[str, Any]:
        """What a sidecar says of its link with the operator."""
        return dict(self.user.health(f"{name}-0").get("control") or {"attached": False})

    def sampling(self, name: str) -> dict[str, Any]:
        """What a sidecar says of its sampling."""
        return dict(self.user.health(f"{name}-0")["sampling"] or {})

    def spans(self, backend: str = "backend-a") -> dict[str, Counter[str]]:
        """What a backend has: for each trace, how many distinct spans of which service."""
        found: dict[str, Counter[str]] = {}
        for span in {span["span_id"]: span for span in self.user.backend(backend, "/spans?limit=100000")}.values():
            found.setdefault(span["trace_id"], Counter())[span["service"]] += 1
        return found

    @contextmanager
    def without_operator(self) -> Iterator[None]:
        """The controller is away meanwhile, killed without a word."""
        scale = ("scale", f"deployment/{RELEASE}-controller", "-n", SYSTEM)
        pods = ("-n", SYSTEM, "-l", "app.kubernetes.io/component=controller")
        self.user.cluster.kubectl(*scale, "--replicas=0")
        self.user.cluster.kubectl("delete", "pod", *pods, "--grace-period=0", "--force", "--ignore-not-found")
        try:
            yield
        finally:
            self.user.cluster.kubectl(*scale, "--replicas=1")
            self.user.cluster.kubectl("rollout", "status", *scale[1:], "--timeout=90s", timeout=100)

    def dump(self, person: str) -> subprocess.CompletedProcess[str]:
        """Ask for everything, as that service account."""
        return self.ask(person, "dump", "--to", "backend-b", "--timeout", "60s")

    def ask(self, person: str, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Something of the config's sidecars, as that service account."""
        program = [sys.executable, "-m", "tracekeeper_cli", command, "agents", "-n", self.user.namespace]
        return self.user.cluster.run([*program, "--service-account", person, *more], check=False)


@pytest.fixture
def chain(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Iterator[Chain]:
    """A namespace with a backend; nothing runs in it yet."""
    assert tracekeeper
    user = Workload(cluster, namespace, demo_image)
    user.backends("backend-a")
    yield Chain(user)


def sampled(default: dict[str, Any], wait: str = "4s") -> dict[str, Any]:
    """The section of the config."""
    return {"decisionWait": wait, "rules": [ERRORS], "default": default}


def test_an_error_in_one_pod_brings_the_trace_in_from_the_other_two(chain: Chain) -> None:
    share = {"type": "Probabilistic", "probabilistic": {"probability": 0.1}}
    chain.user.configured(otlp("backend-a"), sampling=sampled(share))
    chain.begin(runs=300, rate=10, fails=10)
    wait_for(chain.attached, 60, lambda: f"all three are attached: {[chain.link(name) for name in SERVICES]}")
    seen = chain.done()
    failed, all_of_them = set(seen["failed"]), set(seen["traces"])
    assert (len(failed), len(all_of_them)) == (30, 300)
    whole = Counter(SPANS)

    def together() -> bool:
        got = chain.spans()
        return failed <= got.keys() and all(spans == whole for spans in got.values())

    wait_for(together, 60, lambda: f"every trace is whole: {Counter(map(str, chain.spans().values()))}", interval=1)
    got = chain.spans()
    by_id = {trace for trace in all_of_them if int(trace[18:], 16) >= (1 - 0.1) * 2**56}
    print(f"{len(failed)} traces with an error and {len(by_id - failed)} others of 300 are whole, none is torn")
    assert by_id - failed <= got.keys()
    rescued = [
        span for span in chain.user.backend("backend-a", "/spans?limit=100000") if span["trace_id"] in failed - by_id
    ]
    assert {span["trace_state"] for span in rescued} == {"ot=th:0"}
    for name in SERVICES:
        chain.user.settled(f"{name}-0")


@pytest.mark.timeout(300, func_only=True)
def test_the_target_is_divided_by_load_and_outlives_the_operator(chain: Chain) -> None:
    target, through, own = 6.0, 20.0, 40.0
    adaptive = {"targetTracesPerSecond": target, "groupBy": ["operation"]}
    chain.user.configured(otlp("backend-a"), sampling=sampled({"type": "Adaptive", "adaptive": adaptive}, "2s"))
    chain.begin(runs=4000, rate=through, own=own)

    def shares() -> list[float]:
        return [float(chain.sampling(name)["tracesPerSecond"]) for name in SERVICES]

    def by_load(shares: list[float]) -> bool:
        """All see the 20 traces a second that go through them, and the last one 40 besides: of all that, a fifth, a
        fifth, and three."""
        front, middle, last = shares
        return all(0.8 < share < 1.7 for share in (front, middle)) and 2.6 < last < 4.4

    def divided() -> bool:
        loaded = all(chain.sampling(name)["floor"] < 0.3 for name in SERVICES)
        return loaded and chain.attached() and by_load(shares())

    def seen() -> str:
        return f"{[(chain.link(name), chain.sampling(name)) for name in SERVICES]}"

    def kept(phase: str) -> None:
        """What is kept is near the target: of 90 parts of traces, a standard deviation is 15 at most."""
        rate = chain.kept_a_second(round(15 * (through + own)))
        print(f"{phase}: parts {shares()}, {rate:.1f} traces a second of a target of {target:g} are at the backend")
        assert 0.4 * target < rate < 1.7 * target, seen()

    wait_for(divided, 120, lambda: f"the target is divided: {seen()}", interval=1)
    kept("attached")
    with chain.without_operator():
        wait_for(lambda: not any(chain.link(name)["attached"] for name in SERVICES), 60, lambda: f"alone: {seen()}")
        before = shares()
        kept("without the operator")
        assert by_load(shares()), seen()
        assert shares() == pytest.approx(before, rel=0.1), "the last parts hold"
    wait_for(divided, 120, lambda: f"they are attached again: {seen()}", interval=1)
    kept("with it again")
    # At first it only listens, and the parts are those from before, to the last digit.
    wait_for(lambda: divided() and shares() != before, 120, lambda: f"it is divided anew: {seen()}", interval=1)
    print(f"divided anew: {shares()}")


@pytest.mark.timeout(300, func_only=True)
def test_people_get_back_what_was_left_out_in_all_pods_if_they_may(chain: Chain) -> None:
    nothing = {"type": "Probabilistic", "probabilistic": {"probability": 0}}
    chain.user.backends("backend-b")
    entries = [{"name": "main", "backends": ["backend-a"]}, {"name": "worst-day", "backends": ["backend-b"]}]
    chain.user.configured(otlp("backend-a"), otlp("backend-b"), delivery=entries, sampling=sampled(nothing, "1s"))
    chain.begin(runs=40, rate=20)
    wait_for(chain.attached, 60, lambda: f"all three are attached: {[chain.link(name) for name in SERVICES]}")
    traces = set(chain.done()["traces"])
    for name in SERVICES:
        chain.user.settled(f"{name}-0")
    assert not chain.spans()
    for person in ("stranger", "keeper"):
        chain.user.cluster.kubectl("create", "serviceaccount", person, "-n", chain.user.namespace)
    binding = [
        "create",
        "rolebinding",
        "keeper",
        "--clusterrole=edit",
        f"--serviceaccount={chain.user.namespace}:keeper",
    ]
    chain.user.cluster.kubectl(*binding, "-n", chain.user.namespace)
    refused = chain.dump("stranger")
    assert refused.returncode == 1
    assert "may not" in refused.stderr or "forbidden" in refused.stderr.lower(), refused.stderr
    assert not chain.spans("backend-b")
    done = chain.dump("keeper")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert f"{40 * sum(SPANS.values())} spans were sent" in done.stdout
    got = chain.spans("backend-b")
    assert got.keys() == traces
    assert all(spans == Counter(SPANS) for spans in got.values())
    check_tap_and_test_span(chain)


def check_tap_and_test_span(chain: Chain) -> None:
    """The same two people see what comes, and send a span through, or may not. Here because everything is in place."""
    for command in ("tap", "send-test-span"):
        refused = chain.ask("stranger", command)
        assert refused.returncode == 1
        assert "may not" in refused.stderr or "forbidden" in refused.stderr.lower(), refused.stderr
    with ThreadPoolExecutor(1) as pool:
        tap = pool.submit(chain.ask, "keeper", "tap", "--pod", "last-0", "--spans", "1", "--for", "60s", "-o", "json")
        tries = [sent(chain)]
        while not tap.done() and len(tries) < 5:  # The first one may come before the tap is there.
            tries.append(sent(chain))
        shown = tap.result()
    assert shown.returncode == 0, shown.stderr
    (seen,) = shown.stdout.splitlines()
    assert any(trace in seen for trace in tries) and '"pod": "last-0"' in seen


def sent(chain: Chain) -> str:
    """A test span that has arrived; its trace."""
    done = chain.ask("keeper", "send-test-span", "--pod", "last-0")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["main", "Delivered", "backend-a"] in [row[:3] for row in rows], done.stdout
    (trace,) = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("trace ")]
    assert chain.user.backend("backend-a")["distinct"]
    return trace
