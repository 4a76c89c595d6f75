"""On somebody else's cluster the demo refuses to take over what is there, and removes only what it made.

kubectl and helm are stand-ins here: programs that keep the objects of a "cluster" in a file and write down each call.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demo_cluster import OURS, RELEASE, SHOP, SYSTEM
from demo_current import DEFINITION, CurrentCluster
from demo_progress import DemoFailed, Progress

STAND_IN = """#!{python} -IS
import json, pathlib, sys
folder = pathlib.Path({folder!r})
tool, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(tool, *words, file=calls)
objects = json.loads((folder / "objects").read_text())
if tool == "helm":
    if words[0] == "list":
        print(json.dumps(objects.get("releases", [])))
elif words[0] == "get" and "--all-namespaces" in words:
    print(json.dumps({{"items": [v for k, v in objects.items() if k.startswith("tracingconfig/")]}}))
elif words[0] == "get":
    found = objects.get(words[1] + "/" + words[2])
    print(json.dumps(found) if found else "")
elif words[0] == "delete":
    del objects[words[1] + "/" + words[2]]
    (folder / "objects").write_text(json.dumps(objects))
"""


class Terminal(io.StringIO):
    """Something that a person could sit at."""

    def isatty(self) -> bool:
        return True


class Somebody:
    """A cluster of somebody else's, with these objects on it."""

    def __init__(self, folder: Path, objects: dict[str, Any]) -> None:
        self._folder = folder
        self.output = io.StringIO()
        (folder / "objects").write_text(json.dumps(objects))
        (folder / "calls").touch()
        for tool in ("kubectl", "helm"):
            program = folder / "bin" / tool
            program.parent.mkdir(exist_ok=True)
            program.write_text(STAND_IN.format(python=sys.executable, folder=str(folder)))
            program.chmod(0o755)

    def demo(self) -> CurrentCluster:
        return CurrentCluster(Progress(self.output))

    def left(self) -> set[str]:
        return set(json.loads((self._folder / "objects").read_text()))

    def changes(self) -> list[str]:
        """Every call that is no question."""
        calls = (self._folder / "calls").read_text().splitlines()
        return [call for call in calls if call.split()[1] not in ("get", "list", "config", "version")]


Make = Callable[..., Somebody]


@pytest.fixture
def somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("REGISTRY", "registry.example.com/you")
    monkeypatch.setenv("YES", "1")
    return lambda **objects: Somebody(tmp_path, objects)


def namespace(*, ours: bool) -> dict[str, Any]:
    key, _, value = OURS.partition("=")
    return {"metadata": {"labels": {key: value} if ours else {"team": "platform"}}}


def definition(where: str, release: str = RELEASE) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {"meta.helm.sh/release-namespace": where, "meta.helm.sh/release-name": release}}
    }


def config(where: str) -> dict[str, Any]:
    return {"metadata": {"namespace": where}}


OUR_SYSTEM, OUR_SHOP = {f"namespace/{SYSTEM}": namespace(ours=True)}, {f"namespace/{SHOP}": namespace(ours=True)}
CRD = f"crd/{DEFINITION}"


def test_an_empty_cluster_and_one_where_the_demo_ran_may_be_used(somebody: Make) -> None:
    for objects in ({}, {**OUR_SYSTEM, **OUR_SHOP, CRD: definition(SYSTEM)}):
        cluster = somebody(**objects)
        cluster.demo().prepare()
        assert cluster.changes() == []


@pytest.mark.parametrize("name", [SYSTEM, SHOP])
def test_a_namespace_that_somebody_else_made_is_not_taken_over(somebody: Make, name: str) -> None:
    cluster = somebody(**{f"namespace/{name}": namespace(ours=False)})
    with pytest.raises(DemoFailed, match=f"namespace {name} is there already"):
        cluster.demo().prepare()
    assert cluster.changes() == []


def test_a_definition_that_outlived_somebodys_tracekeeper_is_not_taken_over(somebody: Make) -> None:
    with pytest.raises(DemoFailed, match=f"CRD {DEFINITION} is there already") as caught:
        somebody(**{CRD: definition(SYSTEM)}).demo().prepare()
    assert any("kubectl get tracingconfigs" in line for line in caught.value.advice)


def test_somebodys_release_is_not_joined(somebody: Make) -> None:
    release = {"name": "tracing", "namespace": "platform", "chart": "tracekeeper-0.1.0"}
    with pytest.raises(DemoFailed, match="release tracing in platform"):
        somebody(releases=[release]).demo().prepare()


def test_where_nobody_can_be_asked_yes_has_to_be_said_first(somebody: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YES", "0")
    with pytest.raises(DemoFailed, match="no terminal") as caught:
        somebody().demo().prepare()
    assert "YES=1" in caught.value.advice[0]


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_at_a_terminal_the_answer_decides(
    somebody: Make, monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool
) -> None:
    monkeypatch.setenv("YES", "0")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    cluster = somebody()
    cluster.output = Terminal()
    if goes_on:
        cluster.demo().prepare()
    else:
        with pytest.raises(DemoFailed, match="nothing was done"):
            cluster.demo().prepare()


def test_all_that_the_demo_made_goes(somebody: Make) -> None:
    cluster = somebody(**OUR_SYSTEM, **OUR_SHOP, **{CRD: definition(SYSTEM)})
    cluster.demo().remove()
    assert cluster.left() == set()
    assert [call.split()[:4] for call in cluster.changes()] == [
        ["kubectl", "delete", "namespace", SHOP],
        ["helm", "uninstall", RELEASE, "-n"],
        ["kubectl", "delete", "crd", DEFINITION],
        ["kubectl", "delete", "namespace", SYSTEM],
    ]


def test_nothing_goes_that_somebody_else_made(somebody: Make) -> None:
    theirs = {f"namespace/{name}": namespace(ours=False) for name in (SYSTEM, SHOP)}
    cluster = somebody(**theirs, **{CRD: definition(SYSTEM)})
    cluster.demo().remove()
    assert cluster.changes() == []
    assert cluster.output.getvalue().count("left alone") == 2


@pytest.mark.parametrize("found", [definition("platform"), definition(SYSTEM, "tracing"), {"metadata": {}}])
def test_a_definition_of_another_release_stays(somebody: Make, found: dict[str, Any]) -> None:
    cluster = somebody(**OUR_SYSTEM, **OUR_SHOP, **{CRD: found})
    cluster.demo().remove()
    assert cluster.left() == {CRD}
    assert "did not make it" in cluster.output.getvalue()


def test_the_definition_stays_while_somebody_has_a_tracingconfig(somebody: Make) -> None:
    cluster = somebody(**OUR_SYSTEM, **OUR_SHOP, **{CRD: definition(SYSTEM), "tracingconfig/a": config("checkout")})
    cluster.demo().remove()
    assert cluster.left() == {CRD, "tracingconfig/a"}
    assert "are in checkout" in cluster.output.getvalue()
