"""The last step of the journey: the agent goes wrong, somebody is told, and told again when it is over."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable
from typing import Any

from demo_progress import Progress

PROMETHEUS = "prometheus:9090/api/v1/alerts"
ALERTMANAGER = "alertmanager:9093/api/v2/alerts"
SLACK = "slack:80/messages"
LIMIT = 120.0
"""For each thing that is waited for."""
EVERY = 0.5
"""From one look to the next."""

Look = Callable[[list[str]], list[str | None]]
"""The bodies of some URLs, fetched in the cluster; None where nobody answers."""


class Alarm:
    """What Prometheus, Alertmanager and Slack say, one after the other."""

    def __init__(
        self,
        progress: Progress,
        look: Look,
        tell_agent: Callable[[str], object],
        detected: Callable[[], list[str]] = list,
        *,
        every: float = EVERY,
        limit: float = LIMIT,
    ) -> None:
        """`tell_agent` is called with `misbehave` and `behave`; `detected` says what detectors have written on spans.
        Times are seconds."""
        self._progress, self._look, self._tell_agent = progress, look, tell_agent
        self._detected = detected
        self._every, self._limit = every, limit
        self._states: dict[str, str] = {}
        """Of each rule, in Prometheus."""
        self._active: set[str] = set()
        """Rules of which Alertmanager has an alert."""
        self._messages: list[dict[str, Any]] = []
        self._fault = ""

    def run(self, rules: frozenset[str]) -> list[str]:
        """From the first bad request to the end of the alerts of `rules`; what did not happen."""
        self._ask()
        seen = len(self._messages)  # Of an earlier run of the demo.
        self._tell_agent("misbehave")
        self._progress.bad("the agent runs in a loop: 150 calls of a model a second, 10,000 tokens each")
        began = time.monotonic()
        steps: list[tuple[str, Callable[[], bool]]] = [
            ("pending in Prometheus", lambda: bool(self._states)),
            ("firing in Prometheus", lambda: self._firing() >= rules),
            ("in Alertmanager", lambda: self._active >= rules),
            ("told in Slack", lambda: rules <= self._told("FIRING", seen)),
        ]
        for what, reached in steps:
            if not self._until(what, reached):
                self._tell_agent("behave")
                return [self._fault]
            self._progress.bad(f"{what}, {time.monotonic() - began:.0f} s after it began")
        self._show(seen)
        for line in self._detected():
            self._progress.bad(line)
        self._tell_agent("behave")
        self._progress.good("the agent is itself again")
        for what, reached in [
            ("over in Prometheus", lambda: not self._firing()),
            ("told in Slack as resolved", lambda: rules <= self._told("RESOLVED", seen)),
        ]:
            if not self._until(what, reached):
                return [self._fault]
            self._progress.good(what)
        return []

    def _firing(self) -> set[str]:
        return {name for name, state in self._states.items() if state == "firing"}

    def _told(self, what: str, seen: int) -> set[str]:
        """Rules that a message of this kind is about, among those after the first `seen`."""
        titles = [str(_attachment(message)["title"]) for message in self._messages[seen:]]
        return {title.split("] ", 1)[1].split(" ", 1)[0] for title in titles if title.startswith(f"[{what}")}

    def _show(self, seen: int) -> None:
        """The messages, as a person reads them in Slack."""
        for message in self._messages[seen:]:
            attachment = _attachment(message)
            text = html.unescape(str(attachment["text"])).replace("*", "").strip()
            self._progress.say()
            self._progress.lines(["│ " + line for line in [str(attachment["title"]), *text.splitlines()]])
        self._progress.say()

    def _until(self, what: str, reached: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + self._limit
        while not reached():
            if time.monotonic() > deadline:
                self._fault = (
                    f"the alerts were not {what} within {self._limit:.0f} s; Prometheus: {self._states or 'nothing'}"
                )
                return False
            self._ask()
            self._progress.live(f"waiting until alerts are {what} │ Prometheus: {self._states or 'nothing'}")
            time.sleep(self._every)
        return True

    def _ask(self) -> None:
        prometheus, alertmanager, slack = self._look([PROMETHEUS, ALERTMANAGER, SLACK])
        if prometheus:
            alerts = json.loads(prometheus)["data"]["alerts"]
            self._states = {str(alert["labels"]["alertname"]): str(alert["state"]) for alert in alerts}
        if alertmanager:
            self._active = {str(alert["labels"]["alertname"]) for alert in json.loads(alertmanager)}
        if slack:
            self._messages = json.loads(slack)


def _attachment(message: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = message["message"]["attachments"][0]
    return found
