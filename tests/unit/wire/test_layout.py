"""The two halves of a layout say the same."""

from __future__ import annotations

import re
from pathlib import Path

from tracekeeper_sidecar.wire import layout


def test_compiled_and_plain_modules_have_the_same_layout() -> None:
    source = Path(layout.__file__).with_suffix(".pxd").read_text()
    compiled = {name: int(value) for name, value in re.findall(r"^    (\w+) = (\d+)$", source, re.MULTILINE)}
    plain = {name: value for name, value in vars(layout).items() if name.isupper()}
    assert compiled == plain
