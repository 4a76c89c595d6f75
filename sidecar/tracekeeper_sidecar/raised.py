"""Says of an exception what it was and where, and never what its text says.

The texts of Python's own exceptions repeat values (KeyError, ValueError), and values of spans have no place in a log,
in an answer or on a page: what is to be hidden of them may not be hidden yet.
"""

from __future__ import annotations

import os
from traceback import walk_tb
from typing import Final

MOST: Final = 8
"""Places that are named: of more, the innermost."""


def raised(error: BaseException, behind: str = "") -> str:
    """Its type, and the places that it came through, the innermost first: "KeyError in find (book.py:33), called by …".
    Places up to the outermost function named `behind` are left out, if there are any others."""
    places = [
        (frame.f_code.co_name, f"{os.path.basename(frame.f_code.co_filename)}:{line}")
        for frame, line in walk_tb(error.__traceback__)
    ]
    names = [name for name, _ in places]
    if behind in names[:-1]:
        places = places[names.index(behind) + 1 :]
    told = [f"{name} ({place})" for name, place in reversed(places[-MOST:])]
    return f"{type(error).__name__} in {', called by '.join(told)}" if told else type(error).__name__
