"""The step itself: `wire.pricing` at work."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.process.price import metrics
from tracekeeper_sidecar.process.step import Plain, Request, Sample, Step
from tracekeeper_sidecar.wire.pricing import Pricer
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_spec.price import NO_PRICE, Price


class PriceStep(Plain):
    """Owned by the receivers' event loop. A request on which it fails goes on as it was: the meter prices it then."""

    def __init__(self, name: str, kind: str, price: Price = NO_PRICE) -> None:
        super().__init__(name, kind)
        self._pricer = Pricer(Tariffs(asking(Prices(price))), secrets.randbits(64))

    def run(self, request: Request) -> None:
        request.body = self._pricer.price(request.body, request.now)

    def keep(self, older: Step) -> None:
        """Sums of open traces and counts go on; prices are the new ones, for calls that come from now on."""
        assert isinstance(older, PriceStep)
        self._pricer.keep(older._pricer)

    def samples(self) -> Iterator[Sample]:
        pricer = self._pricer
        for source in ("own", "reported", "computed", "unknown", "before", "left"):
            yield Sample(metrics.CALLS, (self.name, source), getattr(pricer, source))
        yield Sample(metrics.IGNORED, (self.name,), pricer.ignored)
        yield Sample(metrics.TRACES, (self.name,), pricer.traces)
        yield Sample(metrics.FORGOTTEN, (self.name,), pricer.forgotten)
