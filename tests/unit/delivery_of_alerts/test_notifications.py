"""What people are told, by a real Alertmanager that reads the plain file: of each kind of channel, what comes, and with
whose credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from alert_channels import channels, impatient, put, tenant, values
from alertmanager_rig import Alertmanager, Inbox, Mail, alertmanager, inbox, mail
from tracekeeper_operator.alerts import reload
from tracekeeper_operator.alerts.alertmanager_file import FILE, AlertmanagerFile, alertmanager_file
from tracekeeper_operator.alerts.templates import SHOWN
from tracekeeper_spec.alert.compile import PROMQL
from waiting import until

BASE = """
global:
  smtp_auth_username: platform
  smtp_auth_password: password-of-platform
  smtp_auth_identity: platform
  smtp_auth_secret: secret-of-platform
  smtp_smarthost: mail.obs:25
  smtp_from: platform@example.com
  opsgenie_api_key: genie-of-platform
  http_config: {authorization: {credentials: token-of-platform}}
route: {receiver: default}
receivers:
- name: default
  email_configs: [{to: platform@example.com}]
"""
CONFIG = "shop/agents"
TITLE = "[FIRING:2] HighErrorRate in shop (critical)"


@dataclass(frozen=True, slots=True)
class World:
    alertmanager: Alertmanager
    file: AlertmanagerFile
    inbox: Inbox
    mail: Mail
    folder: Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    folder = tmp_path / "etc"
    async with inbox() as box, mail() as letters:
        written = channels(box.url, f"localhost:{letters.port}")
        # The old interface has an address of PagerDuty's own, which nothing here may call.
        written = [channel for channel in written if channel["name"] != "old"]
        shop = impatient(tenant(CONFIG, written, values(box.url)))
        file = alertmanager_file(BASE, [shop], str(folder))
        assert file.faults == ()
        put(file, folder)
        async with alertmanager(folder / FILE, tmp_path / "data") as running:
            yield World(running, file, box, letters, folder)


def alert(agent: str, **more: str) -> dict[str, Any]:
    """It began long ago, so that Alertmanager tells it at once."""
    labels = {"alertname": "HighErrorRate", "namespace": "shop", "tracekeeper_config": CONFIG, "severity": "critical"}
    annotations = {
        "summary": f"Errors of {agent}",
        "description": "12 % of requests fail, more than 5 %",
        "top": "checkout 40, search 7",
        "trace_url": "https://traces.example.com/search?agent=x|y&since=1h",
        "runbook_url": "https://example.com/runbooks/HighErrorRate",
    }
    return {
        "labels": {**labels, "agent": agent, **more},
        "annotations": annotations,
        "startsAt": "2026-01-02T03:04:05+01:00",
    }


async def test_what_fired_where_how_bad_since_when_and_where_to_look(world: World) -> None:
    await world.alertmanager.post(alert("planner"), alert("<!channel> & <http://evil.example|me>"))
    box, mail = world.inbox, world.mail
    titled = ["/slack", "/pager/enqueue", "/genie/v2/alerts"]

    def complete() -> bool:
        """Whether everybody has been told of both: the second may come after the first was told."""
        hooks = all(any(len(body["alerts"]) == 2 for body in box.at(path)) for path in ("/hook", "/hidden"))
        said = all(any(TITLE in str(body) for body in box.at(path)) for path in titled)
        return hooks and said and any(letter["Subject"] == TITLE for letter in mail.took)

    await until(complete, lambda: str(box.took))
    _slack(box.at("/slack")[-1])
    _pager_duty(box.at("/pager/enqueue")[-1])
    genie = box.at("/genie/v2/alerts")[-1]
    assert (genie["message"], genie["priority"]) == (TITLE, "P1") and "12 % of requests fail" in genie["description"]
    assert box.headers("/genie/v2/alerts")["Authorization"] == "GenieKey key-of-genie"
    for hook in ("/hook", "/hidden"):
        assert {item["labels"]["alertname"] for item in box.at(hook)[-1]["alerts"]} == {"HighErrorRate"}
        assert "Authorization" not in box.headers(hook)
    letter = mail.took[-1]
    assert set(mail.logins) == {("alerts", "key-of-post")}
    assert (letter["Subject"], letter["To"]) == (TITLE, "team@example.com, boss@example.com")
    html = letter.get_body(("html",))
    text = letter.get_body(("plain",))
    assert html is not None and text is not None
    assert "&lt;!channel&gt;" in html.get_content() and 'href="https://example.com/runbooks' in html.get_content()
    assert "Since: 2026-01-02 02:04:05 UTC\nMost of it: checkout 40, search 7\n" in text.get_content().replace("\r", "")


def _slack(sent: Mapping[str, Any]) -> None:
    (part,) = sent["attachments"]
    assert sent["channel"] == "#alerts"
    assert (part["title"], part["color"], part["fallback"]) == (TITLE, "danger", TITLE)
    assert part["title_link"].startswith("https://traces.example.com/")
    # An application that calls an agent so must not call everybody in the channel, nor lead them elsewhere.
    assert "<!channel>" not in part["text"] and "<http://evil" not in part["text"]
    assert part["text"].startswith("*Errors of &lt;!channel&gt; &amp; &lt;http://evil.example|me&gt;*\n")
    assert part["text"].endswith(
        "*Errors of planner*\n12 % of requests fail, more than 5 %\n*Where:* namespace shop, agent planner\n"
        "*Severity:* critical\n*Since:* 2026-01-02 02:04:05 UTC\n*Most of it:* checkout 40, search 7\n"
        "<https://traces.example.com/search?agent=x%20y&since=1h|Traces> "
        "<https://example.com/runbooks/HighErrorRate|Runbook>\n\n"
    )


def _pager_duty(sent: Mapping[str, Any]) -> None:
    assert (sent["routing_key"], sent["event_action"]) == ("key-of-pager", "trigger")
    payload = sent["payload"]
    assert (payload["summary"], payload["severity"]) == (TITLE, "critical")
    details = payload["custom_details"]
    assert details["runbook"] == "https://example.com/runbooks/HighErrorRate"
    assert "namespace shop, agent planner; " in details["where"] and details["top"] == "checkout 40, search 7"


async def test_what_is_over_is_told_too(world: World) -> None:
    await world.alertmanager.post(alert("planner"))
    await until(lambda: world.inbox.at("/slack"), "Slack is told")
    await world.alertmanager.post({**alert("planner"), "endsAt": "2026-01-02T04:04:05+01:00"})
    await until(lambda: len(world.inbox.at("/slack")) > 1, "Slack is told that it is over")
    (part,) = world.inbox.at("/slack")[-1]["attachments"]
    assert (part["title"], part["color"]) == ("[RESOLVED] HighErrorRate in shop (critical)", "good")
    assert "*Since:* 2026-01-02 02:04:05 UTC until " in part["text"]


async def test_many_alerts_of_one_kind_are_counted(world: World) -> None:
    await world.alertmanager.post(*(alert(f"agent{n:02}") for n in range(SHOWN + 2)))
    await until(lambda: f"FIRING:{SHOWN + 2}" in str(world.inbox.at("/slack")), "Slack is told of all of them")
    (part,) = world.inbox.at("/slack")[-1]["attachments"]
    assert part["text"].count("*Where:*") == SHOWN
    assert part["text"].rstrip().startswith("*Errors") and f"The first {SHOWN} of {SHOWN + 2};" in part["text"]


async def test_a_test_comes_to_its_channel_alone(world: World) -> None:
    await world.alertmanager.post(alert("x", alertname="TracekeeperTest", severity="info", tracekeeper_channel="post"))
    await until(lambda: world.mail.took, "the letter comes")
    await world.alertmanager.post(alert("x", alertname="Afterwards", severity="info"))
    await until(
        lambda: len(world.mail.took) > 1 and len(world.inbox.took) > 1, "another alert comes to all that take it"
    )
    assert {body["commonLabels"]["alertname"] for _, _, body in world.inbox.took} == {"Afterwards"}


async def test_a_warning_of_what_is_critical_is_not_told(world: World) -> None:
    more, now = {"tracekeeper_metric": "error_rate"}, datetime.now(UTC).isoformat()
    raw = {"tracekeeper_metric": PROMQL}
    await world.alertmanager.post(
        alert("planner", **more), alert("planner", alertname="RawA", **raw), alert("planner", alertname="BareA")
    )
    critical = {"HighErrorRate", "RawA", "BareA"}

    def told() -> set[str]:
        return {body["groupLabels"]["alertname"] for body in world.inbox.at("/hook")}

    await until(lambda: told() >= critical, lambda: f"the critical ones are told: {told()}")
    # These begin now, and wait a moment before they are told.
    later = [
        alert("planner", alertname="Warning", severity="warning", **more),
        alert("other", alertname="Warning", severity="warning", **more),
        alert("planner", alertname="RawB", severity="warning", **raw),
        alert("planner", alertname="BareB", severity="warning"),
    ]
    await world.alertmanager.post(*({**item, "startsAt": now} for item in later))
    await until(lambda: told() >= {"Warning", "RawB", "BareB"}, lambda: f"the others are told: {told()}")
    warned = [item["labels"] for body in world.inbox.at("/hook") for item in body["alerts"]]
    assert {labels["agent"] for labels in warned if labels["alertname"] == "Warning"} == {"other"}


async def test_no_credential_of_the_platform_comes_into_a_receiver_of_ours(world: World) -> None:
    loaded = yaml.safe_load(await world.alertmanager.configuration())
    theirs, *ours = loaded["receivers"]
    assert len(ours) == 7 and "platform" not in str(ours)
    for item in ours:
        for config in item.get("webhook_configs", item.get("slack_configs", [])):
            assert "authorization" not in config["http_config"]
    (own,) = theirs["email_configs"]
    assert own["auth_username"] == "platform" and own["auth_identity"] == "platform" and own["auth_password"]


async def test_it_is_told_to_read_again_and_shows_that_it_has(world: World) -> None:
    running, session = world.alertmanager, world.alertmanager.session
    assert await reload.alertmanager_shows(session, running.url, world.file.marker) is True
    other = alertmanager_file(BASE, [], str(world.folder))
    put(other, world.folder)
    assert await reload.alertmanager_shows(session, running.url, other.marker) is False
    assert await reload.call(session, running.url + "/") == ""
    assert await reload.alertmanager_shows(session, running.url, other.marker) is True
    (world.folder / FILE).write_text("route: {}")
    assert "answers 500: failed to reload config" in await reload.call(session, running.url)


async def test_who_does_not_answer_is_said() -> None:
    async with aiohttp.ClientSession() as session:
        said = await reload.call(session, "http://127.0.0.1:1")
        assert said.startswith("http://127.0.0.1:1/-/reload does not answer: ")
        assert await reload.alertmanager_shows(session, "http://127.0.0.1:1", "x") is None
