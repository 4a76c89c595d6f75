"""The schema of the section `alerts`."""

from __future__ import annotations

from tracekeeper_spec.alert import Alerts, BuiltIn
from tracekeeper_spec.schema import Choice, Field, Object

ALERTS = Object(
    Alerts,
    (Field("builtIn", Choice(BuiltIn), "Which of the rules that come with Tracekeeper are written.", default="All"),),
)
