"""The schema of `processors[].normalize`."""

from __future__ import annotations

from tracekeeper_spec.normalize import Normalize
from tracekeeper_spec.schema import Object

NORMALIZE = Object(Normalize, ())
