"""What must hold of the checkout itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        # The checkout may belong to somebody else, as in a CI's container.
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
PAGES = [path for path in TRACKED if path.suffix == ".md"]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def test_operator_is_a_folder_and_not_a_package() -> None:
    """With an __init__.py it would shadow the standard library's `operator`, and nothing would import any more."""
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_no_module_outgrows_five_hundred_lines() -> None:
    code = [path for path in TRACKED if path.suffix == ".py" and "_pb2" not in path.name]
    long = {str(path.relative_to(ROOT)) for path in code if len(path.read_text().splitlines()) > 500}
    assert long == set()


def test_test_modules_have_names_of_their_own() -> None:
    """Without packages among the tests, two modules of one name would hide each other."""
    names = [path.name for path in TRACKED if path.name.startswith("test_") and path.suffix == ".py"]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = [target for target in LINK.findall(text) if not (page.parent / target).exists()]
    assert broken == []


def test_pinned_requirements_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if "://" in line or line.startswith(("-i", "--index", "--extra-index"))]
        assert any("--hash=sha256:" in line for line in lines)


def test_every_make_target_that_pages_mention_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    mentioned = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert mentioned - targets == set()
