"""Every series that Tracekeeper exposes, from the declarations that the reference page is made from."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from generate_metrics import declared as declared
from generate_metrics import labels_of_series as labels_of_series
