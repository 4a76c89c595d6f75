"""The plain alertmanager.yml: whatever the platform's own is, Alertmanager takes the outcome, and it still means what
it meant; every alert comes to its channels and to nobody else's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import promtool
from alert_channels import channels, put, secret, tenant, values
from tracekeeper_operator.alerts.alertmanager_file import (
    EMPTY_BASE,
    FILE,
    FOLDER,
    AlertmanagerFile,
    BaseError,
    Tenant,
    alertmanager_file,
    credential_key,
)
from tracekeeper_operator.alerts.channel_receiver import MAX_CREDENTIAL, is_plain

SHOP, ROOT = "shop/agents", "platform/default"

PLAIN = """
# The platform's.
route: {receiver: default, group_by: [job], routes: [{receiver: db, matchers: ['team="db"']}]}
receivers: [{name: default}, {name: db, webhook_configs: [{url: http://db.obs/hook}]}]
"""
ODD = """
global: &all
  smtp_smarthost: mail.obs:25
  smtp_from: "10:30@example.com"
  smtp_auth_username: 0777
  smtp_auth_password: 12:30
  http_config: {basic_auth: {username: on, password: ~x}, tls_config: {insecure_skip_verify: yes}}
route:
  <<: &times {group_wait: 1m, repeat_interval: 1d, group_interval: 2m}
  receiver: "yes"
  routes:
  - <<: *times
    match: {version: 010, colour: "no", when: 2001-01-01}
    continue: TRUE
receivers:
- name: !!str yes
  email_configs:
  - &mail {to: a@example.com, headers: {Subject: "{{ .GroupLabels.alertname }} \\u2028 \\"x\\""}}
- name: 'own'
  email_configs: [{<<: *mail, to: b@example.com, auth_username: me, auth_password: mine}]
inhibit_rules:
- {source_match: {a: "1"}, target_match: {b: "1_000"}, equal: [c]}
templates: [/etc/alertmanager/*.tmpl]
mute_time_intervals:
- name: night
  time_intervals: [{times: [{start_time: 22:00, end_time: 24:00}], weekdays: ['monday:friday']}]
"""
FLOW = (
    '{"route": {"receiver": "a"}, "receivers": [{"name": "a"}], "global": null, "inhibit_rules": [], "templates": null}'
)
BASES = {"none": EMPTY_BASE, "plain": PLAIN, "odd": ODD, "flow": FLOW}


def three() -> list[Tenant]:
    return [
        tenant(SHOP, channels(), values()),
        tenant("store/agents", channels()[:2], values()),
        tenant(ROOT, channels()[1:2], values(), root=True),
    ]


def checked(file: AlertmanagerFile, folder: Path) -> str:
    """What amtool says of it, when it takes it."""
    put(file, folder)
    code, said = promtool.said(promtool.amtool(), "check-config", folder / FILE)
    assert code == 0, f"{said}\n{file.data[FILE].decode()}"
    return said


def scalars(text: str) -> list[tuple[str, str]]:
    """Every scalar as it is written, and what it is taken for, in order."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    found: list[tuple[str, str]] = []

    def look(node: Any) -> None:
        if isinstance(node, yaml.ScalarNode):
            found.append((node.tag, node.value))
            return
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                look(part)

    look(node)
    return found


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_amtool_takes_the_file_whatever_the_platforms_own_is(base: str, tmp_path: Path) -> None:
    file = alertmanager_file(base, three(), str(tmp_path))
    assert file.faults == ()
    theirs = len(yaml.safe_load(base)["receivers"])
    # Seven channels, two and one, and the mark.
    assert f"{theirs + 11} receivers" in checked(file, tmp_path)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_the_platforms_own_part_means_what_it_meant(base: str, tmp_path: Path) -> None:
    before = yaml.safe_load(base)
    after = yaml.safe_load(alertmanager_file(base, three(), str(tmp_path)).data[FILE])
    after["receivers"] = [item for item in after["receivers"] if not item["name"].startswith("tracekeeper/")]
    routes = [route for route in after["route"].pop("routes") if "tracekeeper/" not in str(route.get("receiver"))]
    assert routes == before["route"].pop("routes", [])
    for part in ("route", "mute_time_intervals"):
        assert after.get(part) == before.get(part)
    assert after["inhibit_rules"][: len(before.get("inhibit_rules") or [])] == (before.get("inhibit_rules") or [])
    assert after["templates"][:-1] == (before.get("templates") or [])
    if base != ODD:
        assert after["receivers"] == before["receivers"] and after.get("global") == before.get("global")
        return
    # Who the platform is for mail servers is said where mail is sent now, and only where it was not said before.
    general = {"smtp_auth_username": 0o777, "smtp_auth_password": 12 * 60 + 30}
    assert after["global"] == {key: value for key, value in before["global"].items() if key not in general}
    own = [item["email_configs"][0] for item in after["receivers"]]
    assert own[0]["auth_username"] == 0o777 and own[0]["auth_password"] == 750
    assert own[1] == before["receivers"][1]["email_configs"][0]


def test_scalars_of_the_platform_stay_the_texts_they_were(tmp_path: Path) -> None:
    after = scalars(alertmanager_file(ODD, [], str(tmp_path)).data[FILE].decode())
    for text in ("12:30", "0777", "010", "on", "~x", "TRUE", "22:00", "2001-01-01", "1_000", "yes"):
        (before,) = {found for found in scalars(ODD) if found[1] == text and found != ("tag:yaml.org,2002:str", "yes")}
        assert before in after


WRONG = {
    "": "it is not a mapping",
    "- a": "it is not a mapping",
    "route: {receiver: a\n": "line 2, column 1",
    "a: 1\n---\nb: 2\n": "line 2, column 1: but found another document",
    "a: *b\n": "undefined alias",
    "receivers: [{name: a}]": "it has no route",
    "route: a\nreceivers: [{name: a}]": "route is not a mapping",
    "route: {receiver: a}": "route.receiver is 'a', which is none of its receivers",
    "route: {receiver: a}\nreceivers: {name: a}": "receivers is not a list",
    "route: {receiver: a}\nreceivers: [a]": "receivers[0] is not a mapping",
    "route: {receiver: a}\nreceivers: [{name: a}]\nreceivers: []": "receivers is there twice",
    "route: {receiver: a, routes: {}}\nreceivers: [{name: a}]": "route.routes is not a list",
    "route: {receiver: a}\nreceivers: [{name: a}]\nglobal: x": "global is not a mapping",
    "route: {receiver: a}\nreceivers: [{name: a}, {name: tracekeeper/shop/agents/team}]": "are Tracekeeper's own",
    "route: {receiver: a}\nreceivers: &r [{<<: 1, name: a}]": "something else than a mapping",
    "a: &a {<<: *a}": "go round in circles",
    "[" * 1500: "recursion",
    "x" * 1048577: "more than 1048576 characters",
}


@pytest.mark.parametrize(("base", "problem"), WRONG.items(), ids=[problem[:30] for problem in WRONG.values()])
def test_a_platforms_file_that_cannot_be_used_is_refused(base: str, problem: str) -> None:
    with pytest.raises(BaseError, match=re.escape(problem)):
        alertmanager_file(base, three())


def test_merge_keys_that_grow_out_of_all_bounds_are_refused() -> None:
    keys = "\n".join(f"- &a{n} {{{', '.join(f'k{n}x{m}: 1' for m in range(100))}}}" for n in range(100))
    all_of_them = ", ".join(f"*a{n}" for n in range(100))
    base = f"x:\n{keys}\ny:\n" + "\n".join(f"- {{<<: [{all_of_them}]}}" for _ in range(20))
    with pytest.raises(BaseError, match="more than 100000 keys"):
        alertmanager_file(base, [])


ALL = ["oncall", "team", "post", "hook", "hidden", "genie", "old"]
OURS = {"tracekeeper_config": SHOP, "namespace": "shop"}
TO: list[tuple[dict[str, str], str, list[str]]] = [
    ({**OURS, "severity": "critical"}, SHOP, ["oncall", "team", "post", "hook", "hidden", "genie"]),
    ({**OURS, "severity": "warning"}, SHOP, ["team", "hook", "hidden"]),
    ({**OURS, "severity": "info"}, SHOP, ["post", "hook", "hidden", "old"]),
    # Nobody else's, though it says so.
    ({**OURS, "severity": "critical", "namespace": "mallory"}, SHOP, []),
    ({**OURS, "severity": "critical", "tracekeeper_config": "shop/agents.x"}, SHOP, []),
    ({"namespace": "shop", "severity": "critical"}, SHOP, []),
    ({"namespace": "store", "tracekeeper_config": "store/agents", "severity": "critical"}, "store/agents", ALL[:2]),
    # What no channel takes goes where the platform's own routes say.
    ({"namespace": "store", "tracekeeper_config": "store/agents", "severity": "info"}, "store/agents", []),
    # Alerts of a root config are of any namespace.
    ({"namespace": "any", "tracekeeper_config": ROOT, "severity": "warning"}, ROOT, ["team"]),
    # The platform's own routes see every alert.
    ({**OURS, "severity": "warning", "team": "db"}, SHOP, ["team", "hook", "hidden"]),
    *(({**OURS, "severity": "info", "tracekeeper_channel": name}, SHOP, [name]) for name in ("post", "hook", "old")),
    ({**OURS, "severity": "critical", "tracekeeper_channel": "oncall"}, SHOP, ["oncall"]),
    ({**OURS, "severity": "critical", "tracekeeper_channel": "gone"}, SHOP, []),
]


@pytest.mark.parametrize(("labels", "config", "names"), TO, ids=lambda value: str(value)[:60])
def test_alerts_come_to_their_channels_and_to_nobody_elses(
    labels: dict[str, str], config: str, names: list[str], tmp_path: Path
) -> None:
    put(alertmanager_file(PLAIN, three(), str(tmp_path)), tmp_path)
    words = [f"{name}={value}" for name, value in labels.items()]
    command = ["config", "routes", "test", f"--config.file={tmp_path / FILE}", *words]
    code, said = promtool.said(promtool.amtool(), *command)
    ours = [f"tracekeeper/{config}/{name}" for name in names]
    theirs = ["db"] if labels.get("team") == "db" else [] if ours else ["default"]
    assert (code, said.splitlines()[-1].split(",")) == (0, [*ours, *theirs])


def test_credentials_are_in_files_of_their_own(tmp_path: Path) -> None:
    file = alertmanager_file(EMPTY_BASE, three(), str(tmp_path))
    text = file.data[FILE].decode()
    assert "key-of-" not in text and "/slack" not in text
    # Alertmanager 0.25 reads the address of a webhook from nowhere else.
    assert "http://127.0.0.1:9/hidden" in text
    assert file.data["shop.agents.oncall"] == b"key-of-pager" and str(tmp_path / "shop.agents.oncall") in text
    assert file.data["platform.default.team"] == b"http://127.0.0.1:9/slack"
    assert FOLDER in alertmanager_file(EMPTY_BASE, three()).data[FILE].decode()


def test_no_two_credentials_have_one_key() -> None:
    long = "a." * 126 + "a"
    configs = ["shop/agents", "shop/agents.oncall", f"shop/{long}", f"shop/{long[:-1]}b", f"{'n' * 63}/{long}"]
    keys = {credential_key(config, channel) for config in configs for channel in ("oncall", "c" * 63)}
    assert len(keys) == 10 and max(map(len, keys)) <= 253 and all(key.count(".") >= 2 for key in keys)


BAD_URLS = [
    "http://a b/", "http://a/%zz", "http://a:99999/", "http://[::1/", "ftp://a/", "http:///x", "http://a/\n", "http://é/",
    "http://user:word@a/", "", "http://a/{{ .x }}", "http://a/<x>", "http://a#x",
]  # fmt: skip
GOOD_URLS = ["http://a", "https://a.b:1/c%20d?e=f&g=h", "http://[::1]:80/x", "http://10.0.0.1/", "https://a/T0/B0/x-_~"]


def test_addresses_that_alertmanager_may_refuse_are_not_written() -> None:
    assert [url for url in BAD_URLS if is_plain(url)] == [] and all(map(is_plain, GOOD_URLS))


def test_addresses_that_are_written_are_taken(tmp_path: Path) -> None:
    hooks = [{"name": f"n{n}", "type": "Webhook", "webhook": secret("hooks", f"k{n}")} for n in range(len(GOOD_URLS))]
    found = {"hooks": {f"k{n}": url.encode() for n, url in enumerate(GOOD_URLS)}}
    file = alertmanager_file(EMPTY_BASE, [tenant(SHOP, hooks, found)], str(tmp_path))
    assert file.faults == ()
    checked(file, tmp_path)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "Secret 'hook' has no key 'key', or does not exist (create it)"),
        (b"", "is not one line"),
        (b"http://a/\nhttp://b/", "is not one line"),
        (b"x" * (MAX_CREDENTIAL + 1), "is not one line"),
        (b"http://a/%zz", "webhook: is not an address that Alertmanager takes"),
        (b"\xff\xfe", "webhook: is not an address that Alertmanager takes"),
    ],
)
def test_a_channel_that_cannot_be_written_leaves_the_others(value: bytes | None, problem: str, tmp_path: Path) -> None:
    found = dict(values())
    del found["hook"]
    if value is not None:
        found["hook"] = {"key": value}
    file = alertmanager_file(PLAIN, [tenant(SHOP, channels(), found)], str(tmp_path))
    (fault,) = file.faults
    assert (fault.config, fault.channel) == (SHOP, "hidden") and problem in str(fault)
    assert "8 receivers" not in checked(file, tmp_path) and "9 receivers" in checked(file, tmp_path)
    assert "tracekeeper/shop/agents/hidden" not in file.data[FILE].decode()


def test_what_there_is_no_room_for_is_said(tmp_path: Path) -> None:
    many = [tenant(f"shop{n:03}/agents", channels(), values()) for n in range(200)]
    file = alertmanager_file(EMPTY_BASE, many, str(tmp_path))
    assert sum(map(len, file.data.values())) < 1_000_000
    first = file.faults[0]
    assert "is full" in first.problem and first.config > "shop040"
    checked(file, tmp_path)


def test_the_mark_is_that_of_the_content(tmp_path: Path) -> None:
    def marked(base: str, tenants: list[Tenant]) -> str:
        file = alertmanager_file(base, tenants)
        assert file.marker in file.data[FILE].decode()
        return file.marker

    assert marked(PLAIN, three()) == marked(PLAIN, three()[::-1])
    assert len({marked(PLAIN, three()), marked(PLAIN, three()[1:]), marked(EMPTY_BASE, three())}) == 3


def test_templates_that_are_looked_for_beside_the_file_are_remarked() -> None:
    base = PLAIN + "templates: ['*.tmpl', /etc/a.tmpl]\n"
    assert alertmanager_file(base, []).remarks == (
        "templates: '*.tmpl' is looked for in /etc/tracekeeper/alertmanager now: write the whole path",
    )
