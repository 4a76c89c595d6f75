"""Makes the corpus anew: `python tests/corpus/genai/make/make.py [--work FOLDER] [DIALECT ...]`.

For each dialect an environment of its own with the exact versions of `versions/`, one program, one local server. What
the program exported becomes `<dialect>/<case>.json`; what it was served, and the golden form,
`<dialect>/<case>.expected.json`.
Needs the network (package indexes of Python and Node.js), Node.js for `vercel`, and the project's own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import venv
from pathlib import Path
from typing import Any

import stable
from golden.forms import FORMS, told
from model_server import ModelServer
from prices import priced

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent
PYTHON = {path.stem: path for path in sorted((HERE / "versions").glob("*.txt"))}
NODE = {path.name.removesuffix(".package.json"): path for path in sorted((HERE / "versions").glob("*.package.json"))}
_QUIET = {"PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "1", "TRACELOOP_TELEMETRY": "false", "NO_COLOR": "1"}


def _python(dialect: str, work: Path) -> list[str]:
    folder = work / dialect
    python = folder / "bin" / "python"
    stamp = folder / "versions.txt"
    wanted = PYTHON[dialect].read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r", PYTHON[dialect]],
            check=True,
        )
        stamp.write_text(wanted)
    return [str(python), str(HERE / "programs" / f"with_{dialect}.py")]


def _node(dialect: str, work: Path) -> list[str]:
    folder = work / dialect
    folder.mkdir(parents=True, exist_ok=True)
    wanted = NODE[dialect].read_text()
    stamp = folder / "versions.json"
    if not stamp.exists() or stamp.read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--silent"], cwd=folder, check=True)
        stamp.write_text(wanted)
    for source in (HERE / "programs").glob("*.mjs"):
        (folder / source.name).write_text(source.read_text())
    return ["node", str(folder / f"with_{dialect}.mjs")]


def make(dialect: str, work: Path) -> bool:
    """Writes the fixtures of one dialect; false where the program failed, in whole or in one of its cases."""
    command = _node(dialect, work) if dialect in NODE else _python(dialect, work)
    server = ModelServer(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {**os.environ, **_QUIET, "CORPUS_SERVER": f"http://127.0.0.1:{server.server_port}"}
    done = subprocess.run(command, env=environment, timeout=600, check=False)
    server.shutdown()
    places = (str(HERE / "programs"), str(work / dialect), str(Path.home()))
    folder = CORPUS / dialect
    folder.mkdir(exist_ok=True)
    for name, case in server.cases.items():
        seed = f"{dialect}/{name}"
        body = stable.ingest(case.items, seed, places) if case.items else stable.otlp(case.exports, seed, places)
        if not body.get("data") and not body.get("resourceSpans"):
            print(f"{seed}: nothing was exported")
            continue
        (folder / f"{name}.json").write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
        expected(dialect, name, priced(case))
    print(f"{dialect}: {len(server.cases)} cases, exit status {done.returncode}")
    return done.returncode == 0


def expected(dialect: str, name: str, served: dict[str, Any] | None) -> None:
    """Writes the golden form of a case; what was served is kept from the last run where it is None."""
    place = CORPUS / dialect / f"{name}.expected.json"
    served = served or json.loads(place.read_text())["served"]
    spans = FORMS[dialect][name]
    whole = {"served": served, "told": told(spans), "spans": spans}
    place.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Makes the dialects named, or all."""
    parser = argparse.ArgumentParser(description="Makes the conformance corpus of GenAI spans anew.")
    parser.add_argument("--work", type=Path, default=HERE.parents[3] / "build" / "corpus", help="for environments")
    parser.add_argument("--golden", action="store_true", help="write the golden forms only, without running anything")
    parser.add_argument("dialects", nargs="*", help=f"of {', '.join(sorted({**PYTHON, **NODE}))}; all if none is named")
    asked = parser.parse_args()
    dialects = asked.dialects or sorted({**PYTHON, **NODE})
    if asked.golden:
        for dialect in dialects:
            for name in FORMS[dialect]:
                expected(dialect, name, None)
        return
    failed = [name for name in dialects if not make(name, asked.work.resolve())]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
