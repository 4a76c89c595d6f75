"""Carrying out a plan: the only place where the controller writes a TracingConfig's Secret or status."""

from __future__ import annotations

from typing import Any

from . import names
from .errors import KubeError, NotFound
from .kinds import SECRETS, TRACING_CONFIGS
from .kube import Kube, Object
from .plan import Assessed, Plan
from .status import Outcome


async def publish(kube: Kube, plan: Plan) -> Outcome:
    """Bring the policy Secret to what the plan says; what the API server refuses is in the outcome."""
    try:
        if plan.delete:
            await kube.delete(SECRETS, plan.namespace, names.POLICY_SECRET)
        elif plan.write:
            await kube.apply(SECRETS, plan.secret)
    except KubeError as error:
        return Outcome(str(error), error)
    return Outcome()


async def set_status(kube: Kube, item: Assessed, body: dict[str, Any]) -> Object | None:
    """Write one config's status; the config as it is then, or None when it is gone. Raises KubeError."""
    meta = item.meta
    manifest = {
        "apiVersion": f"{names.GROUP}/{names.VERSION}",
        "kind": names.KIND,
        "metadata": {"namespace": meta.get("namespace"), "name": meta.get("name")},
        "status": body,
    }
    try:
        return await kube.apply(TRACING_CONFIGS, manifest, subresource="status")
    except NotFound:
        return None
