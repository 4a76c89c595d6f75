"""AdmissionReview v1, in and out. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

API_VERSION = "admission.k8s.io/v1"


class ReviewError(ValueError):
    """A body is not an AdmissionReview; the text names the field."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the API server asks about."""

    uid: str
    namespace: str
    operation: str
    """CREATE or UPDATE."""
    object: Mapping[str, Any]
    old: Mapping[str, Any] | None
    dry_run: bool


def parse(body: bytes) -> Request:
    """Read a request's body. Raises ReviewError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ReviewError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("kind") != "AdmissionReview":
        raise ReviewError("kind: the body is not an AdmissionReview")
    if document.get("apiVersion") != API_VERSION:
        raise ReviewError(f"apiVersion: only {API_VERSION} is understood")
    request = document.get("request")
    if not isinstance(request, dict):
        raise ReviewError("request: it is missing")
    uid, found, old = request.get("uid"), request.get("object"), request.get("oldObject")
    if not isinstance(uid, str) or not uid:
        raise ReviewError("request.uid: it is missing")
    if not isinstance(found, dict):
        raise ReviewError("request.object: it is missing")
    return Request(
        uid=uid,
        namespace=str(request.get("namespace") or ""),
        operation=str(request.get("operation") or ""),
        object=found,
        old=old if isinstance(old, dict) else None,
        dry_run=request.get("dryRun") is True,
    )


def allow(uid: str, *, patch: Sequence[Mapping[str, Any]] = (), warnings: Sequence[str] = ()) -> bytes:
    """Yes, with changes if there are any."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(list(patch)).encode()).decode()
    return _answer(response, warnings)


def deny(uid: str, message: str, *, warnings: Sequence[str] = ()) -> bytes:
    """No, as the API server itself says it of an invalid object."""
    status = {"status": "Failure", "message": message, "reason": "Invalid", "code": 422}
    return _answer({"uid": uid, "allowed": False, "status": status}, warnings)


def _answer(response: dict[str, Any], warnings: Sequence[str]) -> bytes:
    if warnings:
        response["warnings"] = list(warnings)
    return json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}).encode()
