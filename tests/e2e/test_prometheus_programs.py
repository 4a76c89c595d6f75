"""The programs that hold our rules and routes against the real thing do run, without being installed."""

import subprocess
from pathlib import Path

import promtool


def test_promtool_takes_a_rule_and_refuses_a_broken_one(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("groups: [{name: g, rules: [{alert: Silent, expr: 'rate(x[5m]) == 0'}]}]")
    assert promtool.said(promtool.promtool(), "check", "rules", rules)[0] == 0
    rules.write_text("groups: [{name: g, rules: [{alert: Silent, expr: 'rate(x[5m) == 0'}]}]")
    code, text = promtool.said(promtool.promtool(), "check", "rules", rules)
    assert code != 0
    assert "parse error" in text


def test_alertmanager_starts_with_its_own_templates(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text("{route: {receiver: none}, receivers: [{name: none}]}")
    options = [f"--config.file={config}", f"--storage.path={tmp_path}", "--web.listen-address=127.0.0.1:0"]
    command = [*promtool.alertmanager(), *options, "--cluster.listen-address="]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "Listening on" in line:
                break
        process.terminate()
    assert "Listening on" in said[-1], "".join(said)
