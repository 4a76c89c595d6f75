"""Where what lies in the records of open traces, of conversations and of what is held; the compiled half is layout.pxd.

This module itself is never compiled: the .pxd files take the same names from layout.pxd instead.
"""

from __future__ import annotations

from typing import Final

# An open trace. Words 0 and 1 are its id.
START: Final = 2
END: Final = 3
WHO: Final = 4
"""Service, agent, workflow and flags, a byte each; then the low half of the last tool's span id."""
CHAIN: Final = 5
"""The first held record's number and one, and from bit 32 on how many there are. Of a conversation, what it has cost in
nanodollars."""
TIMES: Final = 6
"""The tick at which the oldest of these came; from bit 32 on that of the last span."""
CALLS: Final = 7
"""Calls of models and tools."""
REQUESTED: Final = 1
"""A flag: the trace's request has come."""
SEVERAL: Final = 2
"""A flag: more than one agent is named in the trace."""
CONVERSED: Final = 1
"""A flag of a conversation: it has been counted."""

# A held record. Word 0 is the next one's number and one.
KEY: Final = 1
"""Service, agent, kind, operation, provider, model, status and error type, a byte each."""
TOOK: Final = 2
"""Nanoseconds."""
TOKENS_1: Final = 3
"""Input, and from bit 32 on output."""
TOKENS_2: Final = 4
"""Read from the cache, and from bit 32 on written to it."""
TOKENS_3: Final = 5
"""Reasoning."""
MORE: Final = 6
"""Flags, tool, workflow and finish reason, a byte each."""
COST: Final = 7
"""Nanodollars; all bits set where nobody knows."""
SPAN: Final = 8
PARENT: Final = 9
ENDED: Final = 10
"""Unix time in nanoseconds."""
TALK: Final = 11
"""A hash of the conversation's id; 0 where there is none."""
WIDTH: Final = 12
IS_REQUEST: Final = 1
IS_CALL: Final = 2
IS_TOOL: Final = 4
IS_MCP: Final = 8
"""It is an MCP client's span."""
IS_TWICE: Final = 16
"""And the agent's span for the same call has come."""
