"""A sidecar whose application misbehaves, and the Prometheus that looks at it: what tests of incidents stand on."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agent_traffic import Turn
from programs import Backend
from prometheus_process import Prometheuses, RunningPrometheus
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until
from tracekeeper_operator.alerts.plain_rules import rule_file
from tracekeeper_spec.alert.compile import compile_alerts
from tracekeeper_spec.alert.compiled import Links
from tracekeeper_spec.parse import parse_spec

POD = "agents-0"
LABELS = {"namespace": "shop", "pod": POD, "container": "tracekeeper-sidecar", "instance": f"{POD}:14316"}
"""What Prometheus puts onto what it scrapes there, as a PodMonitor makes it do."""
BREAKER = {"failureThreshold": 3, "openFor": "2s", "maxOpenFor": "2s"}
_SAMPLE = re.compile(r"^(tracekeeper_[a-z0-9_]+)(?:\{(.*)\})? (\S+)$")


class Incident:
    """The config is `shop/agents`."""

    def __init__(self, sidecars: Sidecars, prometheuses: Prometheuses, backend: Backend) -> None:
        self.backend = backend
        self._sidecars = sidecars
        self._prometheuses = prometheuses
        self._rules = ""
        self._past: list[tuple[float, str]] = []
        self.sidecar: RunningSidecar
        self.prometheus: RunningPrometheus

    def begin(self, rules: Sequence[Mapping[str, Any]], **sections: Any) -> tuple[RunningSidecar, RunningPrometheus]:
        """A sidecar with these rules of its user's and all built-in ones, and a Prometheus that has seen it. `sections`
        are more of its config."""
        sidecar = self.start_sidecar(rules, **sections)
        return sidecar, self.watch(sidecar)

    def start_sidecar(self, rules: Sequence[Mapping[str, Any]], **sections: Any) -> RunningSidecar:
        section = {"rules": list(rules)}
        spec, faults = parse_spec({"alerts": section})
        assert not faults and spec.alerts is not None, faults
        links = Links("https://runbooks.example/", "")
        compiled = compile_alerts(spec.alerts, (), "shop", "agents", root=False, links=links)
        assert not compiled.faults, compiled.faults
        self._rules = rule_file(compiled.group, compiled.rules)
        tempo = otlp("tempo", "GRPC", self.backend.grpc, timeout="1s", circuitBreaker=BREAKER)
        self.sidecar = self._sidecars.start(config=manifest(tempo, alerts=section, **sections))
        return self.sidecar

    def restart(self, *, killed: bool = False) -> RunningSidecar:
        """Stop the sidecar, or kill it as the kernel does, and start it anew, where Prometheus finds it."""
        if killed:
            self.sidecar.kill()
        else:
            assert self.sidecar.stop() == 0
        self.sidecar = self._sidecars.start(f"--metrics-listen=127.0.0.1:{self.sidecar.admin}")
        return self.sidecar

    def remember(self, sidecar: RunningSidecar, hours: float) -> None:
        """Have Prometheus find what the sidecar shows now as if it had scraped it so long ago, a minute after what it
        was last to remember. Waits until all is counted that was sent.
        """
        self.counted(sidecar)
        self._past.append((time.time() - 3600 * hours + 60 * len(self._past), sidecar.get("/metrics")[1]))

    def counted(self, sidecar: RunningSidecar) -> None:
        """Wait until the sidecar has counted every acknowledged span."""

        def all_of_them() -> bool:
            text = sidecar.get("/metrics")[1]
            metered = sum(
                float(value) for value in re.findall(r"^tracekeeper_metered_spans_total\{.*\} (\S+)$", text, re.M)
            )
            return bool(metered == sidecar.ledger()["acknowledged"])

        until(all_of_them, "every acknowledged span is counted", 30.0)

    def watch(self, sidecar: RunningSidecar) -> RunningPrometheus:
        """A Prometheus that has scraped the sidecar twice."""
        if self._past:
            self._prometheuses.remember(_open_metrics(self._past))
        self.prometheus = self._prometheuses.start({sidecar.admin: LABELS}, [self._rules])
        seen = "min(count_over_time(tracekeeper_metering[5m]))"
        try:
            until(lambda: (self.prometheus.value(seen) or 0) >= 2, "two scrapes", 120.0)
        except AssertionError:
            targets = self.prometheus.get("targets")["activeTargets"]
            found = self.prometheus.query("count_over_time(tracekeeper_metering[5m])")
            raise AssertionError(f"not scraped twice: {targets}; {found}; {sidecar.logged('.')}") from None
        return self.prometheus

    def work(self, turn: Turn, *, calls: int, answered: int = 400) -> None:
        """One request to an agent, from its beginning to its end."""
        assert self.sidecar.send(turn.calls(calls, answered=answered)) == 200
        assert self.sidecar.send(turn.end()) == 200

    def agents(self) -> set[str]:
        """Those that alerts are about."""
        return {alert.labels["agent"] for alert in self.prometheus.alerts() if "agent" in alert.labels}

    def names(self) -> set[str]:
        """Of all alerts there are."""
        return {alert.name for alert in self.prometheus.alerts()}

    def alert_value(self, name: str) -> float:
        """The value that an alert was last found with."""
        return next(alert.value for alert in self.prometheus.alerts() if alert.name == name)

    def until_value(self, expression: str, wanted: float) -> None:
        """Wait until an expression has this value, but for rounding."""

        def right() -> bool:
            value = self.prometheus.value(expression)
            return value is not None and abs(value - wanted) <= 1e-9 * max(1.0, abs(wanted))

        until(right, f"{expression} is {wanted}, not {self.prometheus.query(expression)}", 60.0)

    def until_exemplar(self, selector: str) -> str:
        """Wait for an exemplar of these series; its trace id."""

        def found() -> str | None:
            now = time.time()
            series = self.prometheus.get("query_exemplars", query=selector, start=str(now - 600), end=str(now + 60))
            ids = [one["labels"]["trace_id"] for each in series for one in each["exemplars"]]
            return ids[-1] if ids else None

        return until(found, f"an exemplar of {selector}", 60.0)


def _open_metrics(scrapes: Sequence[tuple[float, str]]) -> str:
    """What several scrapes have found, with their times, series by series."""
    series: dict[str, list[str]] = {}
    own = ",".join(f'{name}="{value}"' for name, value in LABELS.items())
    for at, text in scrapes:
        for line in text.splitlines():
            if found := _SAMPLE.match(line):
                name, labels, value = found.groups()
                key = f'{name}{{{labels + "," if labels else ""}{own},job="tracekeeper-sidecars"}}'
                series.setdefault(key, []).append(f"{key} {value} {at:.3f}")
    return "".join(f"{line}\n" for lines in series.values() for line in lines) + "# EOF\n"
