"""The Grafana dashboards of the chart; scripts/generate.py writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import dashboard_agents
import dashboard_cost
import dashboard_operator
import dashboard_pipeline
from dashboard import Board, render

BOARDS = (dashboard_agents.BOARD, dashboard_cost.BOARD, dashboard_pipeline.BOARD, dashboard_operator.BOARD)


def text(board: Board) -> str:
    """The file's content."""
    return json.dumps(render(board), indent=2) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    f"charts/tracekeeper/dashboards/{board.name}.json": partial(text, board) for board in BOARDS
}
