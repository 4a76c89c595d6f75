"""Which format a scraper is answered in: RFC 9110 section 12.5.1, as far as scrapers use it."""

from __future__ import annotations

from tracekeeper_sidecar.admin.openmetrics import Form

_OPENMETRICS, _VERSIONS = "application/openmetrics-text", ("", "1.0.0", "0.0.1")
"""Without a version the newest is meant; 1.0.0 is what 0.0.1 became, and older scrapers ask by that name."""
_TEXT, _TEXT_VERSIONS = ("text/plain", "text/*", "*/*"), ("", "0.0.4")


def form_for(accept: str) -> Form:
    """The format that the field `Accept` prefers; plain text wherever that is as good, or nothing fits."""
    best = {Form.OPENMETRICS: 0.0, Form.TEXT: 0.0}
    for choice in accept.split(","):
        kind, *rest = (part.strip() for part in choice.lower().split(";"))
        said = dict(part.split("=", 1) for part in rest if "=" in part)
        version, weight = said.get("version", "").strip('"'), _weight(said.get("q", "1"))
        if kind == _OPENMETRICS and version in _VERSIONS:
            best[Form.OPENMETRICS] = max(best[Form.OPENMETRICS], weight)
        elif kind in _TEXT and version in _TEXT_VERSIONS:
            best[Form.TEXT] = max(best[Form.TEXT], weight)
    return Form.OPENMETRICS if best[Form.OPENMETRICS] > best[Form.TEXT] else Form.TEXT


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
