"""The schema of `processors[].detect`."""

from __future__ import annotations

from tracekeeper_spec.detect import Detect
from tracekeeper_spec.schema import Object

DETECT = Object(Detect, ())
