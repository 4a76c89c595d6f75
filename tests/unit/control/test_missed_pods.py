"""Which pods the controller takes for missed, by all that the injector goes by."""

from __future__ import annotations

from control_api import serve
from control_objects import StoodClock, pod
from tracekeeper_operator.access import Access
from tracekeeper_operator.controller import Controller
from tracekeeper_operator.images import Images, manifest
from tracekeeper_operator.settings import ControllerSettings, parse

IMAGE = "r.example/tracekeeper-sidecar:2"
SMALL = {"type": "Pod", "max": {"memory": "1Mi"}}


async def test_a_pod_for_which_there_is_no_room_or_no_image_is_not_missed() -> None:
    settings = parse(["controller", "--namespace", "tk", "--sidecar-image", IMAGE, "--eviction", "true"], {})
    assert isinstance(settings, ControllerSettings)
    known = Images().proved(IMAGE).refuse("imageless", IMAGE, "no pull secret", 1.0)
    async with serve() as api:
        api.put("configmaps", manifest("tk", known))
        api.put("limitranges", {"metadata": {"name": "small", "namespace": "small"}, "spec": {"limits": [SMALL]}})
        for namespace in ("shop", "small", "imageless"):
            late = pod(inject="true")
            late["metadata"] |= {"name": "late", "namespace": namespace, "uid": f"uid-{namespace}"}
            late["metadata"]["ownerReferences"][0]["uid"] = f"uid-rs-{namespace}"
            api.put("pods", late)
        controller = Controller(settings, Access(api.url), StoodClock())
        controller._pods.index.replace([])
        async with controller._kube:
            await controller._pods.load_images()
            await controller._pods.sweep_once()
            await controller._pods.teller.measure()
            value = controller._metrics.registry.get_sample_value
            states = [
                value("tracekeeper_controller_pods", {"namespace": namespace, "state": "missed"})
                for namespace in ("shop", "small", "imageless")
            ]
            assert states == [1.0, None, None]
