"""What a TracingConfig wants to be told of, and who is to be told: the section `alerts`.

Here is the section as it is written. `compile` makes Prometheus rules of it (`compiled`), by way of the conditions'
own language (`meaning`, `checker`) or of raw PromQL (`promql`), and `builtin` has the rules that come with the product.
None of these is imported before somebody wants rules.
"""

from __future__ import annotations

from tracekeeper_spec.alert.section import Alerts as Alerts
from tracekeeper_spec.alert.section import BuiltIn as BuiltIn
from tracekeeper_spec.alert.section import Group as Group
from tracekeeper_spec.alert.section import NoData as NoData
from tracekeeper_spec.alert.section import Rule as Rule
from tracekeeper_spec.alert.severity import Severity as Severity
