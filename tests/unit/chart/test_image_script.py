"""scripts/image.sh with a stand-in for each build tool, which writes down what it was asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NEEDED = ("bash", "cat", "dirname", "env", "mkdir", "rm", "sed")
STAND_IN = """#!/usr/bin/env bash
[ "$1" = info ] && exit {info}
[ "$1" = "{failing}" ] && exit 1
echo "{name} $*" >> "{log}"
"""


class Machine:
    """A PATH on which nothing is but what the script needs, and the tools that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.log = folder / "bin", folder / "log"
        self.bin.mkdir()
        self.log.touch()
        for name in NEEDED:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)

    def has(self, name: str, *, info: int = 0, failing: str = "nothing") -> None:
        tool = self.bin / name
        tool.write_text(STAND_IN.format(name=name, log=self.log, info=info, failing=failing))
        tool.chmod(0o755)

    def image(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts/image.sh"],
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("tool", "build", "push"),
    [
        ("docker", "docker build", "docker push {}"),
        ("podman", "podman build --layers", "podman push {}"),
        ("buildah", "buildah bud --layers", "buildah push {} docker://{}"),
    ],
)
def test_it_builds_and_pushes_both_images(machine: Machine, tool: str, build: str, push: str) -> None:
    machine.has(tool)
    done = machine.image(REGISTRY="registry.example.com/platform/", VERSION="1.2.3", PUSH="1")
    assert done.returncode == 0, done.stderr
    names = [f"registry.example.com/platform/tracekeeper-{image}:1.2.3" for image in ("operator", "sidecar")]
    targets = ("operator", "sidecar")
    assert machine.asked() == [
        *(f"{build} --target {t} --tag {n} --file Dockerfile ." for t, n in zip(targets, names, strict=True)),
        *(push.replace("{}", name) for name in names),
    ]
    assert "--set image.registry=registry.example.com/platform --set image.tag=1.2.3" in done.stdout


def test_docker_without_its_daemon_is_passed_over(machine: Machine) -> None:
    machine.has("docker", info=1)
    machine.has("buildah")
    assert machine.image().returncode == 0
    assert {line.split()[0] for line in machine.asked()} == {"buildah"}


def test_it_tags_with_the_projects_version_and_pushes_only_when_asked(machine: Machine) -> None:
    machine.has("podman")
    assert machine.image().returncode == 0
    version = next(
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version = ")
    ).split('"')[1]
    assert [line.split("--tag ")[1].split()[0] for line in machine.asked()] == [
        f"localhost/tracekeeper-operator:{version}",
        f"localhost/tracekeeper-sidecar:{version}",
    ]


def test_archives_are_written_for_nodes_without_a_registry(machine: Machine, tmp_path: Path) -> None:
    machine.has("buildah")
    done = machine.image(OUTPUT=str(tmp_path / "out"), TARGETS="sidecar", VERSION="1")
    assert done.returncode == 0, done.stderr
    name = "localhost/tracekeeper-sidecar:1"
    assert machine.asked()[-1] == f"buildah push {name} docker-archive:{tmp_path}/out/tracekeeper-sidecar.tar:{name}"


def test_without_a_tool_it_says_which_would_do(machine: Machine) -> None:
    done = machine.image()
    assert done.returncode == 1
    assert "apt-get install buildah" in done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PUSH": "1"}, "PUSH=1 needs REGISTRY=…"),
        ({"REGISTRY": "https://registry.example.com/x"}, "images have no scheme, write registry.example.com/x"),
        ({"TOOL": "podman"}, "TOOL=podman does not work here"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_built(
    machine: Machine, environment: dict[str, str], said: str
) -> None:
    machine.has("buildah")
    done = machine.image(**environment)
    assert done.returncode == 1
    assert said in done.stderr
    assert machine.asked() == []


def test_a_refused_push_says_what_to_check(machine: Machine) -> None:
    machine.has("podman", failing="push")
    done = machine.image(REGISTRY="registry.example.com/platform", PUSH="1")
    assert done.returncode == 1
    assert "are you logged in (podman login registry.example.com)" in done.stderr


def test_a_failed_build_pushes_nothing(machine: Machine) -> None:
    machine.has("podman", failing="build")
    assert machine.image(REGISTRY="registry.example.com/platform", PUSH="1").returncode != 0
    assert machine.asked() == []
