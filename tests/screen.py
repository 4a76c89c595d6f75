"""What a command line that runs in this process has printed, while it runs."""

from __future__ import annotations

import pytest

from waiting import until


class Screen:
    """What the command line has printed and nobody has read yet."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self._out, self._err = capsys, "", ""

    async def shows(self, text: str) -> None:
        """Wait until a line says this."""
        await until(lambda: any(text in part for part in self._look()), lambda: f"{text!r} is shown: {self._look()}")

    def read(self) -> tuple[str, str]:
        printed = self._look()
        self._out = self._err = ""
        return printed

    def _look(self) -> tuple[str, str]:
        out, err = self._capsys.readouterr()
        self._out, self._err = self._out + out, self._err + err
        return self._out, self._err
