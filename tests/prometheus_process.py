"""A real Prometheus on the loopback that scrapes sidecars every other second, and evaluates rules each second."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import promtool
from operator_process import free_port
from sidecar_process import until

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """One that Prometheus holds."""

    name: str
    state: str
    """`pending` or `firing`."""
    labels: Labels
    annotations: Labels
    value: float


class RunningPrometheus:
    """One process, Debian's 2.42."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}"

    @property
    def url(self) -> str:
        return self._url

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API."""
        address = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self) -> str:
        return (self._folder / "prometheus.log").read_text()

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What an expression is now, by the labels of each series."""
        found = self.get("query", query=expression)["result"]
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found}

    def value(self, expression: str) -> float | None:
        """The same of one that has one series, or none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def alerts(self) -> list[Alert]:
        return [
            Alert(
                one["labels"]["alertname"], one["state"], one["labels"], one.get("annotations", {}), float(one["value"])
            )
            for one in self.get("alerts")["alerts"]
        ]

    def alert(self, name: str, state: str = "firing", deadline: float = 60.0) -> Alert:
        """Wait for an alert of this name in this state; fails with what there is instead."""

        def found() -> Alert | None:
            return next((one for one in self.alerts() if (one.name, one.state) == (name, state)), None)

        try:
            return until(found, f"{name} {state}", deadline)
        except AssertionError:
            sick = [rule for group in self.get("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
            raise AssertionError(f"{name} is not {state}: {self.alerts()}; rules that fail: {sick}") from None

    def resolved(self, name: str, deadline: float = 60.0) -> None:
        """Wait until there is no such alert."""
        until(lambda: name not in {one.name for one in self.alerts()}, f"{name} resolved: {self.alerts()}", deadline)

    def evaluated(self, times: int = 2) -> None:
        """Wait until all groups have been evaluated as often from now on: what does not fire by then does not."""
        for _ in range(times):
            before = self._evaluations()

            def passed(before: Mapping[str, str] = before) -> bool:
                return all(at != before[name] for name, at in self._evaluations().items())

            until(passed, "rules evaluated")

    def _evaluations(self) -> dict[str, str]:
        return {group["name"]: group["lastEvaluation"] for group in self.get("rules")["groups"]}


class Prometheuses:
    """Starts them on one test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[RunningPrometheus] = []

    def remember(self, text: str) -> None:
        """Give those that are started from now on this past: OpenMetrics with times."""
        source = self.folder / "past.om"
        source.write_text(text)
        words = ("tsdb", "create-blocks-from", "openmetrics", source, self.folder / "tsdb")
        code, said = promtool.said(promtool.promtool(), *words)
        assert code == 0, said

    def start(self, targets: Mapping[int, Labels], rules: Iterable[str] = ()) -> RunningPrometheus:
        """Start one that scrapes these ports, and puts these labels onto what it finds there."""
        for place, text in enumerate(rules):
            (self.folder / f"rules-{place}.yaml").write_text(text)
        config = {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
            "rule_files": [str(self.folder / "rules-*.yaml")],
            "scrape_configs": [
                {
                    "job_name": "tracekeeper-sidecars",
                    "static_configs": [
                        {"targets": [f"127.0.0.1:{port}"], "labels": dict(labels)} for port, labels in targets.items()
                    ],
                }
            ],
        }
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        port = free_port()
        words: Sequence[str] = (
            str(promtool.prometheus()),
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        )
        with (self.folder / "prometheus.log").open("ab") as out:
            process = subprocess.Popen(words, stdout=out, stderr=out)
        running = RunningPrometheus(self.folder, process, port)
        self._running.append(running)
        until(running.ready, f"Prometheus is ready: {running.log()}", 60.0)
        return running

    def end(self) -> None:
        for running in self._running:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait(timeout=30)


@pytest.fixture
def prometheuses(tmp_path: Path) -> Iterator[Prometheuses]:
    """Prometheuses that are gone when the test ends."""
    found = Prometheuses(tmp_path)
    yield found
    found.end()
