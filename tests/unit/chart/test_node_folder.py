"""Buffers on the node, as far as the chart goes: who hears of the folder, and what makes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chart_render import CHART, DEFAULT, Helm, Object, of_kind, pod_specs, render, restrictions_missing

SCRIPT = CHART / "files/node_folder.py"


def test_it_opens_the_folder_and_what_the_kubelet_made_in_it_and_stays_until_it_is_told_to_go(tmp_path: Path) -> None:
    config, buffer = tmp_path / "shop" / "agents", tmp_path / "shop" / "agents" / "uid"
    buffer.mkdir(parents=True)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "note.txt").touch()
    for folder in (tmp_path, config.parent, config, buffer, outside):
        folder.chmod(0o700)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(SCRIPT), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == f"{tmp_path} is ready for sidecars\n"
        ours = os.geteuid() == 0  # Folders that another user made are that user's to open.
        modes = [oct(folder.stat().st_mode & 0o7777) for folder in (tmp_path, config.parent, config, buffer, outside)]
        opened = "0o1777" if ours else "0o700"
        assert modes == ["0o1777", opened, opened, "0o700", "0o700"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.cluster  # For Helm.
def test_only_the_keeper_of_the_nodes_folder_is_root_and_only_where_it_is_asked_for(
    helm: Helm, default: list[Object]
) -> None:
    assert of_kind(default, "DaemonSet") == []
    objects = render(helm, "-f", DEFAULT, "--set", "sidecar.hostPath.prepare=true")
    (spec,) = pod_specs(of_kind(objects, "DaemonSet"))
    (container,) = spec["containers"]
    assert container["args"][0].strip() == (CHART / "files/node_folder.py").read_text().strip()
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["FOWNER"]}
    assert restrictions_missing(spec | {"securityContext": {}}) == [
        "seccompProfile",
        "runAsNonRoot",
        "volume folder",
        "node-folder: capabilities",
        "node-folder: runAsUser",
        "node-folder: seccompProfile",
    ]
    assert [volume["hostPath"]["path"] for volume in spec["volumes"]] == ["/var/lib/tracekeeper-spans"]


@pytest.mark.cluster  # For Helm.
def test_both_processes_hear_where_buffers_may_be_on_the_node(helm: Helm, default: list[Object]) -> None:
    def told(objects: list[Object], kind: str) -> list[str]:
        (found,) = [o for o in of_kind(objects, "Deployment") if o["metadata"]["name"].endswith(kind)]
        arguments = found["spec"]["template"]["spec"]["containers"][0]["args"]
        return [argument for argument in arguments if argument.startswith("--host-path")]

    full = render(helm, "-f", CHART / "ci/full-values.yaml")
    for kind in ("controller", "injector"):
        assert told(default, kind) == ["--host-path=/var/lib/tracekeeper-spans", "--host-path-namespaces="]
        assert told(full, kind) == ["--host-path=/mnt/spans", "--host-path-namespaces=shop,sandbox"]
