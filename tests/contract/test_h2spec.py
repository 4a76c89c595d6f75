"""h2spec asks the gRPC server for everything that RFC 7540 and RFC 7541 demand of one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from foreign_clients import H2SPEC
from receivers import serving

CASES = 145
NOT_APPLYING = {
    # A HEADERS frame on a stream below the newest one. Whether that stream was never opened or is closed since, nghttp2
    # does not tell once it has forgotten it; the frame may have crossed our RST_STREAM, and then ending the connection
    # would take all other calls with it. So it is ignored.
    "Sends stream identifier that is numerically smaller than previous",
}
"""What fails, and may."""
PATIENCE = 8
"""Seconds that each case waits for the server: a busy machine is not a fault."""


@pytest.mark.timeout(600)  # The first run on a machine that was not set up builds the program.
async def test_every_case_that_applies_passes(tmp_path: Path) -> None:
    program = H2SPEC.start(await asyncio.to_thread(H2SPEC.ensure))
    report = tmp_path / "report.xml"
    async with serving() as running:
        options = ("-h", "127.0.0.1", "-p", str(running.grpc_port), "-o", str(PATIENCE), "-j", str(report))
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*program, *options, stdout=quiet, stderr=quiet)
        await asyncio.wait_for(process.wait(), 300)
    # It quotes what frames hold, which may be what XML cannot.
    text = re.sub(r"[^\t\n\x20-\x7e]", "?", report.read_text("utf-8", "replace"))
    cases = ElementTree.fromstring(text).findall(".//testcase")
    failed = {
        f"{case.get('package')}: {case.get('classname')}: {found.text}"
        for case in cases
        for found in (*case.findall("failure"), *case.findall("error"))
    }
    unexpected = [each for each in sorted(failed) if not any(name in each for name in NOT_APPLYING)]
    print(f"{CASES - len(failed)} of {CASES} cases of h2spec pass")
    assert not unexpected
    assert len(cases) == CASES
