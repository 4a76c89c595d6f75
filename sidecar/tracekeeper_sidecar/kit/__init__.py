"""For authors of steps: what a class for `type: Custom` is given, and, in `kit.trial`, what to test it with.

from tracekeeper_sidecar.kit import Processor, Span
"""

from __future__ import annotations

from tracekeeper_sidecar.process.custom.attributes import Attributes, Value
from tracekeeper_sidecar.process.custom.spans import Event, Processor, Span

__all__ = ["Attributes", "Event", "Processor", "Span", "Value"]
