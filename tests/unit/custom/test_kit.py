"""The kit that authors test their steps with, on steps that keep to the contract and on steps that do not; and the
example, installed as a user does it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from custom_world import be_seen, install, step, through
from otlp_requests import body
from tracekeeper_sidecar.control.check import check_file
from tracekeeper_sidecar.kit.trial import Isolated, StepFailed, check, make_span, run, samples
from tracekeeper_sidecar.wire.scan import look

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "processors" / "team_from_route"

MODULE = """
    import itertools, os, time

    class Good:
        def __init__(self, config):
            self.value = config.get("value")
        def process(self, spans):
            for span in spans:
                span.attributes["value"] = self.value
                if span.status == "ok":
                    span.drop()

    class ChangesConfig(Good):
        def __init__(self, config):
            self.value = config.pop("value", None)

    class Forgetful(Good):
        count = itertools.count()
        def process(self, spans):
            for span in spans:
                span.attributes["number"] = next(self.count)

    class Raises(Good):
        def process(self, spans):
            spans[0].attributes["http.route"].lower()

    class Loses(Good):
        def process(self, spans):
            for span in spans:
                del span._scope.spans[:]

    class NoIds(Good):
        def process(self, spans):
            for span in spans:
                span.message.span_id = bytes(8)

    class Elsewhere(Good):
        home = os.getpid()
        def process(self, spans):
            for span in spans:
                span.attributes["pid"] = os.getpid()

    class Unmade:
        def __init__(self, config):
            raise ValueError("config.table is missing")

    class Slow(Good):
        def process(self, spans):
            time.sleep(3600)

    class Ends(Good):
        def process(self, spans):
            os._exit(1)
"""
CLASSES = ["Good", "ChangesConfig", "Forgetful", "Raises", "Loses", "NoIds", "Elsewhere", "Unmade", "Slow", "Ends"]
numbers = itertools.count()


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Entry points for the classes above, which are there while the test runs."""
    module = f"kit_parts_{next(numbers)}"
    install(tmp_path, {f"{module}-{name}": name for name in CLASSES}, MODULE, module)
    be_seen(tmp_path, monkeypatch)
    return {name: f"{module}-{name}" for name in CLASSES}


def test_a_good_class_has_no_problems_and_its_time_is_told(point: Mapping[str, str]) -> None:
    report = check(point["Good"], {"value": "x"}, [make_span("mine")])
    assert report.problems == [] and 0 < report.seconds_per_span < 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ChangesConfig", "it changes its config"),
        ("Forgetful", "two objects of one config do not do the same"),
        ("Raises", "it raises: IndexError"),
        ("Loses", "spans are lost or made"),
        ("NoIds", "what it makes of spans is not OTLP"),
        ("Elsewhere", "it does not do the same in a process of its own"),
        ("Unmade", "ValueError: config.table is missing"),
    ],
)
def test_what_does_not_keep_to_the_contract_is_named(point: Mapping[str, str], name: str, says: str) -> None:
    assert any(says in problem for problem in check(point[name], {"value": "x"}).problems)
    assert check("not-there").problems[0].startswith("no package that is installed has an entry point 'not-there'")


def test_a_config_that_json_does_not_have_is_named(point: Mapping[str, str]) -> None:
    report = check(point["Good"], {"value": ("a", "b")})
    assert any("becomes another one in a TracingConfig" in problem for problem in report.problems)


def test_a_process_that_stalls_or_ends_is_an_error_with_its_cause(point: Mapping[str, str]) -> None:
    with (
        Isolated(point["Slow"], timeout=2.0) as slow,
        pytest.raises(StepFailed, match="it took more than 2 s"),
    ):
        run(slow, samples())
    with Isolated(point["Ends"]) as ends, pytest.raises(StepFailed, match="its process has ended by itself"):
        run(ends, samples())
    with pytest.raises(StepFailed, match=r"config\.table is missing"), Isolated(point["Unmade"]):
        pass


def test_the_originals_stay_as_they_were(point: Mapping[str, str]) -> None:
    spans = samples()
    with Isolated(point["Good"], {"value": 7}) as good:
        result = run(good, spans)
    assert result.dropped == 1 and len(result.spans) == len(spans) - 1
    assert all(span.attributes["value"] == 7 for span in result.spans)
    assert not any("value" in span.attributes for span in spans)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as pip installs it, with nothing from a network."""
    source, target = tmp_path_factory.mktemp("source") / "package", tmp_path_factory.mktemp("target")
    shutil.copytree(EXAMPLE, source)
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)
    return target


def test_the_example_passes_its_own_tests(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_seen(installed, monkeypatch)
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(EXAMPLE))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(EXAMPLE / "tests")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


async def test_the_example_runs_as_a_step(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_seen(installed, monkeypatch)
    mine = step("team-from-route", {"teams": {"val": "blue"}})
    found = await through(mine, body(3).replace(b"key.0", b"key.1"), 3)
    assert found.error is None
    wanted: dict[str, Any] = {"key.0": "x", "http.route": "value/cards"}
    from tracekeeper_sidecar.kit.samples import body_of, spans_in

    found = await through(mine, body_of([make_span("GET", wanted)]), 1)
    assert found.error is None and look(found.request.body).spans == 1
    assert spans_in(found.request.body)[0].attributes["team"] == "blue"
    mine.close()
    await asyncio.wait_for(mine.gone(), 60)


MANIFEST = """
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {name: agents, namespace: shop}
spec:
  backends: [{name: tempo, type: OTLP, otlp: {protocol: GRPC, endpoint: "http://tempo.obs:4317"}}]
  processors:
    - {name: teams, type: Custom, custom: {entryPoint: team-from-route, config: {teams: {/pay: billing}}}}
    - {name: more, type: Custom, custom: {entryPoint: team-from-rout}}
"""


def test_check_names_an_entry_point_that_is_not_installed(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(MANIFEST)
    assert len(check_file(str(file))) == 2
    be_seen(installed, monkeypatch)
    [fault] = check_file(str(file))
    assert "spec.processors[1].custom.entryPoint: no package that is installed has an entry point" in fault
    assert "there are team-from-route" in fault
