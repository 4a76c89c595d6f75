"""Makes the part of docs/reference/processors/redact.md that says how well detectors do on the labelled corpus."""

from __future__ import annotations

from pathlib import Path

import redaction_corpus

PAGE = Path(__file__).parent.parent / "docs/reference/processors/redact.md"
_BEGIN, _END = "<!-- made from tests/corpus/redaction by scripts/generate_redaction.py -->\n", "<!-- end -->\n"


def render() -> str:
    """The page, with that part made anew. Raises ValueError if the page has lost its marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.index(_BEGIN) + len(_BEGIN), page.index(_END)
    return f"{page[:before]}\n{redaction_corpus.table(redaction_corpus.lines())}\n{page[after:]}"
