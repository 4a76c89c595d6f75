"""What is wrong, or odd, with the rules of one config, as everybody tells it who looks at configs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.faults import Fault


@dataclass(frozen=True, slots=True)
class Reviewed:
    faults: tuple[Fault, ...] = ()
    """Each takes its rule away, and nothing else."""
    warnings: tuple[Fault, ...] = ()


def review(config: TracingConfig, *, root: bool = False) -> Reviewed:
    """The rules that `config` itself says. `root`: it is of the root namespace."""
    alerts = config.spec.alerts
    if alerts is None or not alerts.rules:
        return Reviewed()  # Built-in rules have no faults.
    # The language takes 2 MB and as many hundredths of a second to import, and few configs have rules.
    from tracekeeper_spec.alert.compile import compile_alerts  # noqa: PLC0415
    from tracekeeper_spec.alert.compiled import AlertFault, Links  # noqa: PLC0415

    budgets = tuple(config.spec.budgets or ())
    compiled = compile_alerts(alerts, budgets, config.namespace, config.name, root=root, links=Links())
    places = {rule.name: f"spec.alerts.rules[{index}]" for index, rule in enumerate(alerts.rules)}

    def told(fault: AlertFault) -> Fault:
        path = places.get(fault.rule, "spec.alerts")
        return Fault(path, AlertFault(fault.rule, fault.at, fault.problem).text, fault.hint)

    return Reviewed(tuple(map(told, compiled.faults)), tuple(map(told, compiled.warnings)))
