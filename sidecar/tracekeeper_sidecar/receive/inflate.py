"""Gunzip with a bound: a bomb is refused as soon as its output passes the limit, and never lies in memory whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from tracekeeper_sidecar.errors import WireError

STEP: Final = 1024 * 1024
"""Bytes of output made at a time: what one step may cost in memory and in time away from the event loop."""

GZIP: Final = 16 + zlib.MAX_WBITS
ZLIB: Final = zlib.MAX_WBITS
"""Formats, as zlib numbers them; HTTP and gRPC call the second one deflate."""


class Inflater:
    """One compressed stream, several gzip members in a row included, as RFC 1952 allows."""

    __slots__ = ("_fed", "_format", "_member")

    def __init__(self, form: int = GZIP) -> None:
        self._format = form
        self._member = zlib.decompressobj(form)
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The output that `data` adds, in pieces of at most `STEP` bytes; raises WireError when it is not gzip.

        Stop taking pieces whenever enough is enough: what was not taken was not made.
        """
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(self._format)
            self._fed = True
            try:
                piece = self._member.decompress(data, STEP)
            except zlib.error as error:
                raise WireError("body", f"not valid gzip ({error})") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        """Raises WireError unless the stream has ended where gzip says that it ends."""
        if self._fed and not self._member.eof:
            raise WireError("body", "the gzip stream is cut off")
