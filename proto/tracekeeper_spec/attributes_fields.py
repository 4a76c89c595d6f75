"""The schema of `processors[].attributes`."""

from __future__ import annotations

from tracekeeper_spec.attributes import Attributes
from tracekeeper_spec.schema import Object

ATTRIBUTES = Object(Attributes, ())
