"""How long to wait before trying again: exponential with full jitter, so that many callers spread out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """One caller's row of failures. `next()` after each, `reset()` after a success."""

    first: float = 0.5
    """Upper end of the first wait, seconds."""
    most: float = 30.0
    """Upper end of every later wait, seconds."""
    uniform: Callable[[float, float], float] = random.uniform
    failures: int = field(default=0)

    def next(self, wish: float | None = None) -> float:
        """Seconds to wait now; never less than a tenth of the ceiling, nor than the server's own `wish`."""
        ceiling = min(self.most, self.first * 2.0 ** min(self.failures, 16))
        self.failures += 1
        wait = self.uniform(ceiling / 10, ceiling)
        return max(wait, min(wish, self.most)) if wish is not None else wait

    def reset(self) -> None:
        self.failures = 0
