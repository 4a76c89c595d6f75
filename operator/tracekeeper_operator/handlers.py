"""kopf's part: it watches TracingConfigs, and tells the store and the reconciler. Nothing else.

Only event handlers are used: they write no finalizer and no annotation, so that a TracingConfig can always be
deleted, with the operator or without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import kopf

from . import names
from .access import Access
from .clock import Clock
from .reconcile import Reconciler
from .store import Store, key_of

TOKEN_SECONDS = 600
"""How long kopf keeps a token; the kubelet replaces it about every hour."""


def registry(access: Access, store: Store, reconciler: Reconciler, clock: Clock) -> kopf.OperatorRegistry:
    """The handlers of one controller."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(access, clock.now())

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=handlers)
    async def changed(event: Mapping[str, Any], **_: Any) -> None:
        take(dict(event), store, reconciler)

    return handlers


def take(event: Mapping[str, Any], store: Store, reconciler: Reconciler) -> None:
    """One event of the watch; its type is None for what was there at its start."""
    manifest = dict(event["object"])
    changed = store.remove(manifest) if event["type"] == "DELETED" else store.put(manifest)
    if changed:
        reconciler.changed(key_of(manifest)[0])


def connection(access: Access, now: float) -> kopf.ConnectionInfo:
    """Our way to the API server, in kopf's words. Raises AccessError."""
    return kopf.ConnectionInfo(
        server=access.server,
        ca_data=access.ca.encode() if access.ca is not None else None,
        insecure=access.insecure or None,
        certificate_data=access.certificate.encode() if access.certificate is not None else None,
        private_key_data=access.key.encode() if access.key is not None else None,
        scheme="Bearer",
        token=access.bearer(),
        expiration=datetime.fromtimestamp(now + TOKEN_SECONDS, UTC),
    )


def settings() -> kopf.OperatorSettings:
    """kopf with everything off that we do not need."""
    found = kopf.OperatorSettings()
    found.peering.standalone = True
    found.posting.enabled = False
    # The CustomResourceDefinition is there before kopf starts; watching all of them would need more rights.
    found.scanning.disabled = True
    found.execution.max_workers = 1
    found.networking.request_timeout = 30.0
    found.networking.connect_timeout = 10.0
    found.watching.connect_timeout = 10.0
    # Dead watches are noticed by silence; the API server sends a bookmark about once a minute.
    found.watching.inactivity_timeout = 90.0
    # A whole number without a point: it goes into the URL as it is.
    found.watching.server_timeout = 300
    found.process.ultimate_exiting_timeout = None
    # Never used by event handlers, but if they ever were, they must be ours.
    found.persistence.finalizer = f"{names.GROUP}/controller"
    found.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    found.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=names.GROUP)
    return found
