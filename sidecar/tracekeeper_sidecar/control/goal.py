"""What a link is to be attached to, and as whom."""

from __future__ import annotations

from dataclasses import dataclass

from tracekeeper_sidecar.control.source import Instruction
from tracekeeper_spec.policy import Control


@dataclass(frozen=True, slots=True)
class Goal:
    """As the policy in force says."""

    control: Control
    config_uid: str
    revision: int

    @classmethod
    def of(cls, instruction: Instruction) -> Goal | None:
        """None where there is nobody to attach to."""
        if instruction.control is None or not instruction.uid:
            return None
        return cls(instruction.control, instruction.uid, instruction.revision)
