"""Sets `team` on spans by the longest beginning of their route that the config knows, and drops probes of health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekeeper_sidecar.kit import Processor, Span


class TeamFromRoute(Processor):
    """Config: `teams`, the team by the beginning of the route; `drop`, routes whose spans nobody wants."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        unknown = set(config) - {"teams", "drop"}
        if unknown:
            raise ValueError(f"config has {', '.join(sorted(unknown))}, but knows teams and drop alone")
        teams = config.get("teams", {})
        if not isinstance(teams, Mapping) or not all(isinstance(team, str) for team in teams.values()):
            raise ValueError("config.teams must be a mapping of routes to teams")
        # The longest first, so that the first one found is the right one.
        self._teams = sorted(teams.items(), key=lambda item: len(item[0]), reverse=True)
        self._drop = frozenset(config.get("drop", ()))

    def process(self, spans: Sequence[Span]) -> None:
        for span in spans:
            route = span.attributes.get("http.route")
            if not isinstance(route, str):
                continue
            if route in self._drop and span.status != "error":
                span.drop()
                continue
            team = next((team for prefix, team in self._teams if route.startswith(prefix)), None)
            if team is not None:
                span.attributes["team"] = team
