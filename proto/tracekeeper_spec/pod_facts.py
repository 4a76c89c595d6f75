"""What a sidecar is told of its pod by environment variables: the downward API has no files for these."""

from __future__ import annotations

from typing import Final

VARIABLES: Final = {
    "node": ("TRACEKEEPER_NODE_NAME", "spec.nodeName"),
    "service-account": ("TRACEKEEPER_SERVICE_ACCOUNT", "spec.serviceAccountName"),
}
"""What it is, by name: the variable, and the field of the pod."""
