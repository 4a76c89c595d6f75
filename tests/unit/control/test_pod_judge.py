"""What is done about a pod that the injector's own code does not understand."""

from __future__ import annotations

from control_api import serve
from control_objects import pod
from tracekeeper_operator.access import Access
from tracekeeper_operator.bounds import Bounds
from tracekeeper_operator.kube import Kube, Object
from tracekeeper_operator.pods.facts import read
from tracekeeper_operator.pods.findings import Missed
from tracekeeper_operator.pods.judge import Judge


def broken(pod: Object, namespace: str, by_namespace: bool, bounds: Bounds) -> bool:
    raise KeyError("a fault in the operator")


def willing(pod: Object, namespace: str, by_namespace: bool, bounds: Bounds) -> bool:
    return True


async def test_a_pod_that_is_not_understood_counts_as_missed_and_is_not_evicted() -> None:
    late = pod(inject="true")
    late["metadata"] |= {"name": "late", "namespace": "shop", "uid": "uid-of-late"}
    item = Missed(read(late), by_namespace=False)
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        api.put("pods", late)
        judge = Judge(kube, broken)
        assert (await judge.of("shop"))(late, False), "it is shown, so that somebody looks"
        assert not await judge.once(item), "whether an eviction would help is not known"
        assert await Judge(kube, willing).once(item)
