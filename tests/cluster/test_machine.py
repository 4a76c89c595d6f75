"""What can be said about the test cluster without starting one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster import binaries, components, golang, machine, paths
from cluster.commands import run
from cluster.errors import CommandFailed, DeadlinePassed, NotPrepared
from cluster.lock import locked
from cluster.process import Process
from cluster.wait import wait_for


def cluster_command(*words: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the cluster's command line; its exit code and what it complained of."""
    argv = [*before, sys.executable, "-m", "cluster", *words]
    everything = {"PYTHONPATH": str(paths.REPO / "tests"), "HOME": "/nonexistent", **(env or {})}
    done = subprocess.run(argv, env=everything, capture_output=True, text=True, timeout=50)
    return done.returncode, done.stderr


def test_without_root_it_says_that_it_needs_root() -> None:
    nobody = ("/usr/bin/unshare", "--user") if os.geteuid() == 0 else ()
    code, complaint = cluster_command("up", before=nobody, env={"PATH": "/usr/bin:/bin"})
    assert code == 1
    assert "needs root" in complaint and "sudo" in complaint


@pytest.mark.cluster
def test_without_the_packages_it_names_them_and_the_command(tmp_path: Path) -> None:
    code, complaint = cluster_command("up", env={"PATH": str(tmp_path)})
    assert code == 1
    assert "containerd" in complaint and "make setup" in complaint and "containernetworking-plugins" in complaint


def test_wait_for_returns_what_came_true() -> None:
    began = time.monotonic()
    assert wait_for(lambda: time.monotonic() - began > 0.05 and "yes", 5, "never said", interval=0.01) == "yes"


def test_wait_for_tries_at_least_once_and_shows_the_state_when_time_is_up() -> None:
    tried: list[int] = []
    with pytest.raises(DeadlinePassed, match=r"did not happen within 0 s: tried 1 times"):
        wait_for(lambda: tried.append(1), 0, lambda: f"tried {len(tried)} times")


def test_a_failed_command_shows_its_output() -> None:
    with pytest.raises(CommandFailed, match=r"failed with 3:\nout\nerr") as failure:
        run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert failure.value.code == 3
    with pytest.raises(CommandFailed, match=r"did not end within 0.2 s:\nbegun"):
        run(["sh", "-c", "echo begun; exec sleep 30"], timeout=0.2)
    with pytest.raises(NotPrepared, match="there is no command no-such-command"):
        run(["no-such-command"])


def test_a_process_is_known_by_its_start_too(tmp_path: Path) -> None:
    process = Process.this()
    process.save(tmp_path / "pid")
    assert Process.load(tmp_path / "pid") == process
    assert process.alive()
    assert not Process(process.pid, process.start + 1).alive()
    assert Process.load(tmp_path / "none") is None


def test_one_of_two_waits_for_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path, 0, "first"), pytest.raises(DeadlinePassed, match="second"), locked(tmp_path, 0, "second"):
        pass
    with locked(tmp_path, 0, "one reader", shared=True), locked(tmp_path, 0, "another", shared=True):
        pass


def test_programs_are_stamped_with_the_versions_in_go_mod() -> None:
    version = binaries.version("k8s.io/kubernetes")
    assert f"k8s.io/kubernetes {version}\n" in (binaries.MODULE / "go.mod").read_text()
    assert binaries.version("helm.sh/helm/v3").startswith("v3.")
    major, minor, _ = version.removeprefix("v").split(".")
    for stamp in (f"gitVersion={version}", f"gitMajor={major}", f"gitMinor={minor}"):
        assert f"k8s.io/component-base/version.{stamp} " in binaries.link_flags()


def test_a_change_of_the_tools_is_built_into_another_folder(tmp_path: Path) -> None:
    module = tmp_path / "tools"
    shutil.copytree(binaries.MODULE, module)
    assert binaries.folder(module) == binaries.folder()
    with (module / "coredns/main.go").open("a") as source:
        source.write("// changed\n")
    assert binaries.folder(module) != binaries.folder()


def test_go_versions_are_compared_as_numbers() -> None:
    assert golang.numbers("1.9.13") < golang.numbers("1.24.0") < golang.numbers("1.26.8")
    assert golang.numbers("devel +abc") == ()


def test_every_process_of_the_node_is_told_where_its_files_are(tmp_path: Path) -> None:
    planned = components.plan(tmp_path, Path("/tools"))
    assert {"etcd", "apiserver", "kubelet", "coredns"} <= {component.name for component in planned}
    files = components.files(tmp_path, "/pods", "overlayfs")
    assert str(tmp_path / "containerd.sock") in files["containerd.toml"]
    named = {Path(word).name for component in planned for word in component.argv}
    assert {"containerd.toml", "Corefile"} <= named <= named | set(files)


def test_the_packages_are_listed_by_name() -> None:
    assert {"containerd", "runc", "etcd-server"} <= set(machine.packages())
    assert all(" " not in name and name for name in machine.packages())
