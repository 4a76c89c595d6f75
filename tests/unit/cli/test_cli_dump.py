"""`tracekeeper dump` against the real control server over TLS, with pods that answer, hang, join and die."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from control_objects import backend, config
from people_world import ALICE, NAME, SAMPLING, TOKEN, World, world
from screen import Screen
from tracekeeper_cli.__main__ import main
from tracekeeper_operator.control import dumping
from waiting import until

Run = Callable[..., Awaitable[tuple[int, str, str]]]
WHERE = 'span.attributes["gen_ai.agent.name"] == "billing"'


def arguments(there: World, *more: str, to: str = "a", name: str = "agents") -> list[str]:
    return ["dump", name, f"--to={to}", f"--server={there.address}", f"--ca={there.directory}/ca.crt", *more]


@pytest.fixture
def run(there: World, screen: Screen) -> Run:
    async def command(*more: str, to: str = "a", name: str = "agents") -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, arguments(there, *more, to=to, name=name))
        return status, *screen.read()

    return command


def row(out: str, pod: str) -> list[str]:
    (found,) = (line for line in out.splitlines() if line.startswith(f"{pod} "))
    return found.split()[1:]


async def test_every_pod_is_asked_and_told_about(there: World, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tracekeeper_operator")
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run("--since=5m", f"--where={WHERE}", "--forgotten", "--timeout=1m"))
    command = await one.command()
    assert (command.where, command.backend, command.forgotten) == (WHERE, "a", True)
    assert (command.since_seconds, command.timeout_seconds) == (300, 60)
    await one.say(running=True, looked_at=10, sent=4, left=90)
    await two.say(looked_at=50, matched=20, sent=12, sent_before=3, not_known=5)
    await one.say(looked_at=100, matched=40, sent=30)
    status, out, err = await running
    assert status == 0, err
    assert row(out, "app-1") == ["done", "30", "100", "0", "0", "0", "0"]
    assert row(out, "app-2") == ["done", "12", "50", "3", "5", "0", "0"]
    assert "42 spans were sent to 'a' by 2 sidecars, of 150 that were looked at" in out
    assert "3 match, and sampling has kept them" in out and "5 match" in out and "--forgotten" in out
    assert "app-2: done: 12 spans sent" in err
    (asked,) = there.api.requests("POST", "/subjectaccessreviews")
    attributes = {
        "verb": "create",
        "group": "tracekeeper.dev",
        "version": "v1alpha1",
        "resource": "tracingconfigs",
        "subresource": "dump",
        "namespace": "shop",
        "name": "agents",
    }
    assert asked.body["spec"] == {
        "user": "alice",
        "uid": "uid-alice",
        "groups": ALICE["groups"],
        "extra": {"k": ["v"]},
        "resourceAttributes": attributes,
    }
    assert [review.body["spec"] for review in there.api.requests("POST", "/tokenreviews")] == [{"token": TOKEN}]
    begun, ended = (record.getMessage() for record in caplog.records if record.name.endswith("control.dump_calls"))
    assert "alice may, and asks for spans where" in begun and "of the last 300 s of shop/agents" in begun
    assert "of shop/agents has ended: 42 spans sent by 2 sidecars, of which 0 failed" in ended
    assert TOKEN not in caplog.text


async def test_a_pod_that_dies_and_one_that_joins(there: World, run: Run, screen: Screen) -> None:
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run())
    await one.say(running=True, sent=7, left=10)
    await two.command()
    (three,) = await there.attach("app-3")
    await three.say(sent=5)
    await one.leave()
    await until(lambda: "app-1" not in there.attached(), "app-1 is gone")
    await two.say(sent=1)
    await screen.shows("app-2: done")
    there.clock.mono += 1
    await until(lambda: one.name not in there.attached(), "the operator knows")
    there.clock.mono += dumping.AWAY
    status, out, _ = await running
    assert status == 1
    assert row(out, "app-1")[:2] == ["failed", "7"]
    assert row(out, "app-2")[:2] == ["done", "1"]
    assert row(out, "app-3")[:2] == ["done", "5"]
    assert f"app-1: {dumping.GONE}" in out


async def test_a_sidecar_that_never_answers_is_said_so_of(there: World, run: Run, screen: Screen) -> None:
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run())
    await one.command()
    await two.say(sent=1)
    await screen.shows("app-2: done")
    there.clock.mono += dumping.ANSWER
    status, out, err = await running
    assert status == 1
    assert f"app-1: {dumping.SILENT}" in out
    assert f"app-1: failed: {dumping.SILENT}" in err
    assert row(out, "app-2")[0] == "done"
    await until(lambda: one.stops, "it is told to stop")


async def test_what_a_sidecar_cannot_do_is_said(there: World, run: Run) -> None:
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run())
    await one.say(problem="a dump is under way: \x1b[2Jwait for its end, or stop it")
    await two.say(sent=9, not_taken=2)
    status, out, _ = await running
    assert status == 1
    assert "app-1: a dump is under way: ?[2Jwait" in out
    assert "app-2: 2 were refused by the backend" in out
    assert row(out, "app-2")[:2] == ["failed", "9"]


async def test_there_is_one_at_a_time_of_a_config(there: World, run: Run) -> None:
    there.put(config("other", sampling=SAMPLING))
    (one,) = await there.attach("app-1")
    (two,) = await there.attach("app-2", uid="uid-other")
    first = asyncio.ensure_future(run())
    await one.command()
    status, _, err = await run()
    assert status == 1
    assert "a dump of shop/agents is under way, asked for by alice: wait for its end" in err
    other = asyncio.ensure_future(run(name="other"))
    await two.say(sent=2)
    assert (await other)[0] == 0
    await one.say(sent=1)
    assert (await first)[0] == 0
    third = asyncio.ensure_future(run())
    await until(lambda: len(one.commands) == 2, "the next one begins")
    await one.say(sent=3)
    assert (await third)[0] == 0


async def test_where_somebody_may_not_nothing_is_learnt(
    there: World, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    made = config("agents", "bank", sampling=SAMPLING)
    made["metadata"]["uid"] = "uid-bank"
    there.put(made)
    (one,) = await there.attach("app-1", uid="uid-bank", namespace="bank")
    for name in ("agents", "nobody"):
        status, out, err = await run("-n", "bank", name=name)
        assert (status, out) == (1, "")
        what = f"create tracingconfigs/dump of tracekeeper.dev, named {name}, in namespace bank"
        assert f"alice may not {what}: no role says so" in err
        assert f"dump refused: alice may not {what}" in caplog.text
    assert not one.commands


async def test_a_token_that_is_refused(there: World, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    (one,) = await there.attach("app-1")
    file = there.directory / "token"
    file.write_text("stolen\n")
    status, _, err = await run(f"--token-file={file}")
    assert status == 1
    assert "the token is refused: invalid bearer token" in err and "kubectl auth whoami" in err
    assert "dump of shop/agents refused" in caplog.text and "stolen" not in caplog.text
    assert not there.api.requests("POST", "/subjectaccessreviews")
    assert not one.commands


@pytest.mark.parametrize(
    "name, to, said",
    [
        ("nobody", "a", "there is no TracingConfig 'nobody' in namespace 'shop'"),
        ("agents", "tempo", "no backend 'tempo'; there are a"),
        ("typed", "temp", "no backend 'temp'; did you mean tempo?"),
        ("whole", "a", "shop/whole has no sampling"),
        ("agents", "a", "no sidecar of shop/agents is attached to the operator"),
        ("Agents!", "a", "config: must be the name of a Kubernetes object"),
    ],
)
async def test_what_cannot_be_done_is_said_before_anybody_is_asked(
    there: World, run: Run, name: str, to: str, said: str
) -> None:
    there.put(config("whole"))
    there.put(config("typed", sampling=SAMPLING, backends=[backend("tempo")]))
    status, out, err = await run(name=name, to=to)
    assert (status, out) == (1, "")
    assert said in err


async def test_a_faulty_condition_is_shown_and_nothing_is_sent(there: World, run: Run) -> None:
    (one,) = await there.attach("app-1")
    status, out, err = await run("--where=span.nme == 1")
    assert (status, out) == (2, "")
    assert err == "--where: at character 6: span has no field nme (did you mean span.name?)\n"
    assert not there.api.seen and not one.commands


async def test_an_interrupt_ends_it_everywhere(there: World) -> None:
    one, two = await there.attach("app-1", "app-2")
    command = [sys.executable, "-m", "tracekeeper_cli", *arguments(there)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    assert process.stderr is not None
    await one.say(running=True, sent=3, left=50)
    await two.say(sent=4)
    assert await process.stderr.readline() == b"app-2: done: 4 spans sent\n"
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1, err
    assert row(out.decode(), "app-2")[:2] == ["done", "4"]
    assert row(out.decode(), "app-1")[0] == "failed"
    assert b"it ended early: it was stopped" in out and b"Traceback" not in err
    await until(lambda: one.stops == [one.commands[0].id], "the one at work is stopped")
    assert not two.stops


async def test_an_operator_that_ends_in_the_middle(there: World, run: Run, screen: Screen) -> None:
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run())
    await two.command()
    await one.say(sent=4)
    await screen.shows("app-1: done")
    await there.end()
    status, out, _ = await running
    assert status == 1
    assert row(out, "app-1")[:2] == ["done", "4"]
    assert row(out, "app-2")[0] == "failed"
    assert f"it ended early: the operator at {there.address}" in out


async def test_pods_that_the_operator_does_not_know_are_named(there: World, run: Run) -> None:
    spec = {"containers": [{"name": "app"}]}
    for name, picked in (("app-1", "shop/agents@3"), ("app-9", "shop/agents@1"), ("app-8", "shop/other@1")):
        meta = {"name": name, "namespace": "shop", "annotations": {"tracekeeper.dev/resolved-from": picked}}
        there.api.put("pods", {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(run())
    await one.say(sent=4)
    status, out, _ = await running
    assert status == 1
    assert row(out, "app-9")[:2] == ["not", "asked"]
    assert "app-9: it has a sidecar for this config that is not attached" in out
    assert "app-8" not in out
    there.api.fail("GET", "/pods", 403, '{"message": "pods is forbidden"}')
    again = asyncio.ensure_future(run())
    await until(lambda: len(one.commands) == 2, "it is asked again")
    await one.say(sent=4)
    status, _, err = await again
    assert status == 0
    assert "is not known: cannot list the pods of namespace shop: 403 pods is forbidden" in err


@pytest.mark.parametrize("answer", [500, 403, 0])
async def test_an_api_server_that_cannot_say_who_asks(there: World, run: Run, answer: int) -> None:
    await there.attach("app-1")
    there.api.fail("POST", "/subjectaccessreviews", answer, '{"message": "it is not well"}')
    status, out, err = await run()
    assert (status, out) == (1, "")
    assert "the operator cannot ask the API server whether you may: create subjectaccessreviews: " in err


async def test_a_client_certificate_is_not_enough_and_a_service_account_is(
    there: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = await there.attach("app-1")
    monkeypatch.setenv("KUBECONFIG", there.kubeconfig(username="admin", password="secret"))
    status, _, err = await run()
    assert status == 1
    assert "user has no token, and the operator knows people by tokens alone" in err
    pair = {"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"}
    monkeypatch.setenv("KUBECONFIG", there.kubeconfig("https://127.0.0.1:9", **pair))
    status, _, err = await run()
    assert status == 1
    assert "user has a client certificate" in err and "--service-account [NAMESPACE/]NAME" in err
    monkeypatch.setenv("KUBECONFIG", there.kubeconfig(username="admin", password="secret"))
    there.api.people["token-of-shop-oncall"] = ALICE
    running = asyncio.ensure_future(run("--service-account=oncall", "--timeout=1h"))
    await one.say(sent=1)
    assert (await running)[0] == 0
    (asked,) = there.api.requests("POST", "/serviceaccounts/oncall/token")
    assert asked.body["spec"]["expirationSeconds"] == 3900
    status, _, err = await run("--service-account=ops/oncall")
    assert status == 1 and "the token is refused" in err


async def test_whoever_is_not_the_operator_is_not_shown_a_token(there: World, run: Run, tmp_path: Path) -> None:
    async with world(tmp_path / "other") as other:
        (there.directory / "ca.crt").write_text(other.authority)
        status, _, err = await run()
    assert status == 1
    assert "is not the operator that the authority knows" in err
    assert not there.api.requests("POST")
    (there.directory / "ca.crt").write_text("nothing of the kind")
    status, _, err = await run()
    assert status == 1 and err.count("\n") == 1
    status, _, err = await run(f"--ca={there.directory}/nowhere")
    assert "--ca: " in err and "cannot be read" in err


async def test_nobody_there(run: Run) -> None:
    status, _, err = await run("--server=127.0.0.1:9")
    assert status == 1 and err.count("\n") == 1
    assert "tracekeeper: the operator at 127.0.0.1:9: " in err and "Connection refused" in err


KUBECTL = """#!{python}
import socket, sys, threading
where = sys.argv[1:]
if {broken!r}:
    sys.exit({broken!r})
assert where == {expected!r}, where
listener = socket.create_server(("127.0.0.1", 0))
print("Forwarding from 127.0.0.1:%d -> 9444" % listener.getsockname()[1], flush=True)
def pump(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
while True:
    one, two = listener.accept()[0], socket.create_connection(({host!r}, {port!r}))
    for pair in ((one, two), (two, one)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def kubectl(there: World, monkeypatch: pytest.MonkeyPatch, broken: str = "") -> None:
    """A program of this name on the PATH, as the tunnel calls it: the real one needs a cluster."""
    host, _, port = there.address.partition(":")
    expected = ["port-forward", "--address=127.0.0.1", "--namespace=tracekeeper-system", "service/tracekeeper-control"]
    text = KUBECTL.format(
        python=sys.executable, broken=broken, expected=[*expected, ":9444"], host=host, port=int(port)
    )
    folder = there.directory / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text(text)
    (folder / "kubectl").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_the_way_is_kubectls_unless_told(
    there: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(there, monkeypatch)
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")

    async def plain() -> int:
        return await asyncio.to_thread(main, ["dump", "agents", "--to=a"])

    assert await plain() == 1
    err = capsys.readouterr().err
    assert "there is no ConfigMap tracekeeper-system/tracekeeper-ca" in err and "--operator-namespace" in err
    meta = {"name": "tracekeeper-ca", "namespace": "tracekeeper-system"}
    there.api.put("configmaps", {"metadata": meta, "data": {}})
    assert await plain() == 1
    assert "has no ca.crt yet" in capsys.readouterr().err
    there.api.put("configmaps", {"metadata": meta, "data": {"ca.crt": there.authority, "endpoint": f"{NAME}:9444"}})
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(plain())
    await one.say(sent=4)
    assert await running == 0, capsys.readouterr().err
    assert row(capsys.readouterr().out, "app-1")[:2] == ["done", "4"]


async def test_a_way_that_is_not_there(
    there: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["dump", "agents", "--to=a", f"--ca={there.directory}/ca.crt"]
    kubectl(there, monkeypatch, broken="error: services is forbidden")
    assert await asyncio.to_thread(main, command) == 1
    err = capsys.readouterr().err
    assert "says: error: services is forbidden" in err and "--server HOST:PORT" in err
    monkeypatch.setenv("PATH", str(there.directory))
    assert await asyncio.to_thread(main, command) == 1
    assert "kubectl is needed for the way to the operator (No such file or directory)" in capsys.readouterr().err


def test_a_duration_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("soon", "0s"):
        with pytest.raises(SystemExit):
            main(["dump", "agents", "--to=a", f"--since={text}"])
        assert "--since" in capsys.readouterr().err
