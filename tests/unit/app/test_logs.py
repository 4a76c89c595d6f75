"""Log lines: one JSON object each, with what the caller added; the level changes while running."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tracekeeper_sidecar import logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_its_extras() -> None:
    stream = io.StringIO()
    logs.configure("Info", "json", stream)
    logging.getLogger("x").warning("two\nlines", extra={"backend": "a"})
    (line,) = stream.getvalue().splitlines()
    parsed = json.loads(line)
    assert (parsed["message"], parsed["level"], parsed["backend"]) == ("two\nlines", "warning", "a")


def test_an_exception_is_part_of_its_line() -> None:
    stream = io.StringIO()
    logs.configure("Info", "json", stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_the_level_changes_while_running() -> None:
    stream = io.StringIO()
    logs.configure("Error", "text", stream)
    logging.getLogger("x").info("unseen")
    logs.set_level("Debug")
    logging.getLogger("x").debug("seen", extra={"spans": 3})
    assert "unseen" not in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("DEBUG   seen spans=3")
