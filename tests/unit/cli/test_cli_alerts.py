"""`tracekeeper alerts`, against a real Prometheus and a real Alertmanager, and an API server over HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alert_channels import channels, impatient, put, secret, tenant, values
from alertmanager_rig import Alertmanager, Inbox, alertmanager, inbox, mail
from control_api import Api
from control_objects import config
from prometheus_process import Prometheuses
from tracekeeper_cli.__main__ import main
from tracekeeper_cli.channel_test import Counts, leads_there, verdict
from tracekeeper_cli.monitoring import ALERTMANAGER, PROMETHEUS, Place, find, named
from tracekeeper_cli.world import World
from tracekeeper_operator.alerts.alertmanager_file import EMPTY_BASE, FILE, alertmanager_file
from tracekeeper_operator.alerts.plain_rules import rule_file
from tracekeeper_spec.alert.compiled import AlertRule
from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.channel import Channel, ChannelType, Webhook
from tracekeeper_spec.parse import parse_manifest

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def command(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["alerts", *arguments])
        return code, *capsys.readouterr()

    return command


@dataclass(frozen=True, slots=True)
class There:
    alertmanager: Alertmanager
    inbox: Inbox
    written: list[Any]


@pytest.fixture
async def there(tmp_path: Path, api: Api) -> AsyncIterator[There]:
    """Alertmanager has the channels of shop/agents, all but one: that of a config that has changed just now."""
    async with inbox() as box, mail() as letters:
        written = channels(box.url, f"localhost:{letters.port}")
        late = {"name": "late", "type": "Webhook", "webhook": {"url": f"{box.url}/late"}}
        deaf = {"name": "deaf", "type": "Slack", "slack": {"webhookURL": secret("deaf")}}
        found = {**values(box.url), "deaf": {"key": b"http://127.0.0.1:1/"}}
        shop = impatient(tenant("shop/agents", [*written, deaf], found))
        put(alertmanager_file(EMPTY_BASE, [shop], str(tmp_path / "etc")), tmp_path / "etc")
        api.put("tracingconfigs", config(alerts={"channels": [*written, deaf, late]}))
        async with alertmanager(tmp_path / "etc" / FILE, tmp_path / "data") as running:
            yield There(running, box, written)


async def test_a_test_is_sent_to_its_channel_and_to_no_other(there: There, run: Run) -> None:
    code, out, err = await run("test", "team", f"--alertmanager={there.alertmanager.url}")
    assert (code, out.splitlines()[0]) == (0, out.strip()), err
    assert out.startswith("sent by slack: +1, failed: +0. Look for it in the channel.")
    assert "routes it to tracekeeper/shop/agents/team\n" in err
    ((path, _, body),) = there.inbox.took
    (part,) = body["attachments"]
    assert path == "/slack" and part["title"] == "[FIRING:1] TracekeeperTest in shop (warning)"
    assert "This is a test of the channel team" in part["text"]


async def test_a_channel_that_does_not_answer_is_said(there: There, run: Run) -> None:
    code, out, _ = await run("test", "deaf", f"--alertmanager={there.alertmanager.url}")
    assert code == 1 and "calls by slack failed: Alertmanager's log says why" in out


async def test_a_channel_that_alertmanager_does_not_have_yet_is_said(there: There, run: Run) -> None:
    code, out, _ = await run("test", "late", f"--alertmanager={there.alertmanager.url}")
    assert code == 1 and out.startswith("Alertmanager routes it to nobody, and not to the channel")


async def test_what_cannot_be_tested_says_what_there_is(api: Api, run: Run) -> None:
    hook = [{"name": "team", "type": "Webhook", "webhook": {"url": "http://127.0.0.1:1"}}]
    api.put("tracingconfigs", config(alerts={"channels": hook}))
    other = config("other", alerts={"channels": [*hook, {**hook[0], "name": "more"}]})
    api.put("tracingconfigs", other)
    api.put("tracingconfigs", config("broken", alerts={"channels": [{"name": "x"}]}))
    assert (
        "channel team is in several TracingConfigs (agents, other): say which with --config"
        in (await run("test", "team"))[2]
    )
    code, _, err = await run("test", "none")
    assert code == 1 and "there are agents: team, other: more, other: team" in err
    assert "shop/broken has faults, and is left out: spec.alerts.channels[0].type: is required" in err
    assert "TracingConfig agents has no channel of this name" in (await run("test", "more", "--config=agents"))[2]
    assert "where Alertmanager is, is not known: set the chart's value" in (await run("test", "more"))[2]
    said = (await run("test", "more", "--alertmanager=http://127.0.0.1:1"))[2]
    assert "http://127.0.0.1:1/metrics does not answer" in said
    assert "write http://HOST:PORT, or NAMESPACE/SERVICE:PORT" in (await run("test", "more", "--alertmanager=x"))[2]


def part(*arguments: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"args": list(arguments)}]}}}}


def crd(namespace: str, created: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "main", "creationTimestamp": created}, "spec": spec}


OURS = Place("http://", "obs", "alertmanager", 9093)


@pytest.mark.parametrize(
    ("arguments", "servers", "place"),
    [
        (["--alertmanager-url=http://alertmanager.obs.svc:9093"], [crd("x", "1")], OURS),
        (["--alertmanager-url=http://alertmanager.obs.svc.cluster.local:9093/"], None, OURS),
        (["--alertmanager-url=https://am/p/"], None, Place("https:///p", "system", "am", 443)),
        (["--alertmanager-url=https://alerts.example.com/p"], None, Place("https://alerts.example.com/p")),
        (["--alertmanager-url=http://10.0.0.1:9093"], None, Place("http://10.0.0.1:9093")),
        (["--alertmanager-url="], [crd("b", "2"), crd("a", "1")], Place("http://", "a", "alertmanager-operated", 9093)),
        ([], [crd("a", "1", routePrefix="/am", serviceName="own")], Place("http:///am", "a", "own", 9093)),
        (["--prometheus-url=http://p.obs.svc:9090"], [], None),
        ([], None, None),
    ],
)
def test_it_is_found_where_the_operator_has_it(arguments: list[str], servers: Any, place: Place | None) -> None:
    world = World("system", parts=(part("--other"), part("run", *arguments)))
    assert find(ALERTMANAGER, world, servers) == place


def test_a_person_may_say_where_it_is() -> None:
    assert named(ALERTMANAGER, "obs/alertmanager") == OURS == named(ALERTMANAGER, "obs/alertmanager:9093")
    assert named(PROMETHEUS, "http://h:1/p/") == Place("http://h:1/p")
    assert str(OURS) == "Service obs/alertmanager:9093"


async def test_the_way_through_the_cluster_is_kubectls(
    there: There, run: Run, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of this name says what kubectl says, and leads there."""
    port = there.alertmanager.url.rpartition(":")[2]
    script = tmp_path / "bin" / "kubectl"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho "Forwarding from 127.0.0.1:{port} -> 9093"\nexec sleep 60\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    code, out, err = await run("test", "hook", "--alertmanager=obs/alertmanager")
    assert code == 0 and "through Service obs/alertmanager:9093" in err, out + err
    asked = (tmp_path / "asked").read_text()
    assert "port-forward --address=127.0.0.1 --namespace=obs service/alertmanager :9093" in asked
    script.write_text("#!/bin/sh\necho no rights\nexit 1\n")
    code, _, err = await run("test", "hook", "--alertmanager=obs/alertmanager")
    assert code == 1 and "there is no way to Alertmanager: " in err and "says: no rights. May you forward ports" in err


def test_a_call_that_failed_is_never_called_sent() -> None:
    hook = Channel("h", ChannelType.WEBHOOK, (Severity.INFO,), True, webhook=Webhook("http://x", None))
    before = Counts(5, 2)
    assert verdict(hook, before, before) is None
    good, bad = verdict(hook, before, Counts(6, 2)), verdict(hook, before, Counts(7, 3))
    assert good is not None and good[0] and bad is not None and not bad[0]


RULES = [
    {"name": "HighErrorRate", "condition": "error_rate > 0.05", "severity": "critical"},
    {"name": "Busy", "condition": "request_rate > 100"},
    {"name": "Slow", "condition": "p99_latency > 10s"},
    {"name": "Broken", "condition": "eror_rate > 0.05"},
]


async def test_rules_are_shown_as_compiled_loaded_and_firing(api: Api, run: Run, prometheuses: Prometheuses) -> None:
    told = {"type": "RulesLoaded", "status": "False", "reason": "NotYet", "message": "2 of 3 rules\x1b[2J"}
    manifest = config(alerts={"builtIn": "None", "rules": RULES})
    api.put("tracingconfigs", {**manifest, "status": {"observedGeneration": 1, "conditions": [told]}})
    api.put("tracingconfigs", config("without"))
    loaded = (
        AlertRule("HighErrorRate", "vector(7) > 5", labels={"severity": "critical"}),
        AlertRule("Busy", "vector(1) > 5", labels={"severity": "warning"}),
    )
    files = [rule_file("tracekeeper/shop/agents", loaded)]
    prometheus = await asyncio.to_thread(prometheuses.start, {}, files)
    await asyncio.to_thread(prometheus.alert, "HighErrorRate")
    code, out, err = await run("list", f"--prometheus={prometheus.url}")
    rows = {line.split()[1]: line.split()[2:] for line in out.splitlines()[1:5]}
    assert code == 1 and err == "", err
    assert rows == {
        "HighErrorRate": ["critical", "firing:", "1"],
        "Busy": ["warning", "inactive"],
        "Slow": ["warning", "not", "loaded"],
        "Broken": ["-", "left", "out"],
    }
    assert "shop/agents: rule Broken, character 1: " in out and "did you mean error_rate?" in out
    assert "shop/agents: RulesLoaded is False: 2 of 3 rules?[2J" in out


async def test_rules_are_shown_where_prometheus_is_not_known(api: Api, run: Run) -> None:
    api.put("tracingconfigs", config(alerts={"builtIn": "None", "rules": RULES[:1]}))
    code, out, err = await run("list", "-A")
    assert code == 0 and out.splitlines()[1].split() == ["shop/agents", "HighErrorRate", "critical", "unknown"]
    assert "the controller says nothing of these rules yet" in out
    assert "what Prometheus has loaded is not known: set the chart's value prometheus.url, or say --prometheus" in err
    code, out, err = await run("list", "agents", "--prometheus=http://127.0.0.1:1")
    assert code == 0 and "unknown" in out and "http://127.0.0.1:1/api/v1/rules does not answer" in err
    assert "`alerts: {}` gets it the rules that come with it" in (await run("list", "another"))[1]


@pytest.mark.parametrize(
    ("names", "leads"),
    [
        (["default", "tracekeeper/shop/agents/team"], True),
        (["shop/tracekeeper-agents/team"], True),
        (["monitoring/root.agents.tracekeeper.dev/team"], True),
        (["default"], False),
        (["tracekeeper/shop/other/team"], False),
        (["shop/tracekeeper-agents/other-team"], False),
        ([], False),
    ],
)
def test_receivers_are_known_however_they_were_written(names: list[str], leads: bool) -> None:
    hook = [{"name": "team", "type": "Webhook", "webhook": {"url": "http://127.0.0.1:1"}}]
    found, faults = parse_manifest(config(alerts={"channels": hook}))
    assert found is not None and faults == [] and found.spec.alerts is not None
    assert leads_there(names, found, found.spec.alerts.channels[0]) is leads
