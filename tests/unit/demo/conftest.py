"""Scripts and the bench are no packages: they are found by their folders, as when they run."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path += [str(ROOT / folder) for folder in ("scripts", "bench") if str(ROOT / folder) not in sys.path]
