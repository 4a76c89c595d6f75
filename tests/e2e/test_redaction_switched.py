"""Redaction that is switched on, changed, and given its key while requests come: none is lost, none is seen twice, and
from the first that is redacted on all are."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kept_wire import Wire
from otlp_requests import request
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

MAIL, STAFF = "grace.hopper@navy.example.org", "emp-471147"
SENDERS = 3
HASHED = {"action": "Hash", "hashKey": {"secretKeyRef": {"name": "redaction", "key": "hash"}}}


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def config(wire: Wire, redact: dict[str, Any] | None) -> dict[str, Any]:
    steps = [] if redact is None else [{"name": "redact", "type": "Redact", "redact": redact}]
    return manifest(otlp("sink", "HTTP", wire.port), processors=[{"name": "normalize", "type": "Normalize"}, *steps])


@dataclass
class Load:
    """Some senders, each of which sends one request after the other, until told to stop."""

    sidecar: RunningSidecar
    sent: list[list[str]] = field(default_factory=lambda: [[] for _ in range(SENDERS)])
    """Names of spans that were answered OK, by sender, in their order."""
    refused: set[str] = field(default_factory=set)

    def __enter__(self) -> Load:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(SENDERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, sender: int) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            name = f"{sender}.{number}"
            message = request(2, seed=sender * 1_000_000 + number, text=f"{MAIL} and {STAFF}")
            for span in message.resource_spans[0].scope_spans[0].spans:
                span.name = name
            if self.sidecar.send(message.SerializeToString()) == 200:
                self.sent[sender].append(name)
            else:
                self.refused.add(name)

    def seen(self, wire: Wire) -> dict[str, set[str]]:
        """The values of attributes that the backend has of each span, by its name; each span came once."""
        found: dict[str, set[str]] = {}
        spans = 0
        for body in list(wire.bodies):
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in group.scope_spans:
                    for span in scope.spans:
                        spans += 1
                        values = found.setdefault(span.name, set())
                        values.update(one.value.string_value for one in span.attributes)
        assert spans == 2 * len(found)
        return found

    def since(self, wire: Wire, clean: Callable[[str], bool]) -> bool:
        """Whether the last that has come of every sender's spans is `clean`; where one is, all are that were sent
        later."""
        seen = self.seen(wire)
        over = True
        for names in self.sent:
            arrived = [name for name in names if name in seen]
            states = [all(clean(value) for value in seen[name]) for name in arrived]
            assert states == sorted(states), "what was hidden once is hidden from then on"
            over = over and bool(states) and states[-1]
        return over

    def settle(self, wire: Wire) -> None:
        """All that was answered OK is there, once; nothing else is."""
        book = self.sidecar.settled()
        sent = {name for names in self.sent for name in names}
        until(lambda: len(self.seen(wire)) == len(sent), "all arrive")
        assert self.seen(wire).keys() == sent
        assert book["received"] == 2 * (len(sent) + len(self.refused))
        assert book["acknowledged"] == 2 * len(sent)


def hides(*values: str) -> Callable[[str], bool]:
    return lambda text: not any(value in text for value in values)


def test_switched_on_and_changed_under_load(sidecars: Sidecars, wire: Wire) -> None:
    sidecar = sidecars.start(config=config(wire, None))
    with Load(sidecar) as load:
        until(lambda: all(load.sent), "requests are taken")
        sidecars.write(config(wire, {}))
        until(lambda: load.since(wire, hides(MAIL)), "mail addresses are hidden")
        assert not load.since(wire, hides(STAFF)), "nobody has asked for that"
        sidecars.write(config(wire, {"patterns": [{"name": "staff", "pattern": r"emp-\d{6}"}]}))
        until(lambda: load.since(wire, hides(MAIL, STAFF)), "the pattern is in force")
    load.settle(wire)
    assert load.refused == set()
    assert sidecar.stop() == 0


def test_switched_off_under_load(sidecars: Sidecars, wire: Wire) -> None:
    sidecar = sidecars.start(config=config(wire, {}))
    with Load(sidecar) as load:
        until(lambda: load.since(wire, hides(MAIL)), "mail addresses are hidden")
        sidecars.write(config(wire, None))
        seen = until(lambda: [v for vs in load.seen(wire).values() for v in vs if MAIL in v], "it is off")
        assert seen
    load.settle(wire)
    assert load.refused == set()


def test_the_key_for_hashes_comes_later_and_changes(sidecars: Sidecars, wire: Wire) -> None:
    folder = sidecars.folder / "secrets" / "redaction"
    folder.mkdir(parents=True)
    sidecar = sidecars.start(f"--secrets-dir={folder.parent}", config=config(wire, None))
    with Load(sidecar) as load:
        until(lambda: all(load.sent), "requests are taken")
        sidecars.write(config(wire, HASHED))
        until(lambda: load.refused, "without its key nothing is stored")
        until(lambda: sidecar.health()["status"] == "unhealthy", "somebody is told")
        assert "spans are refused: processor redact: " in str(sidecar.health()["problems"])
        assert (sidecar.get("/health")[0], sidecar.get("/livez")[0]) == (503, 200), "no restart would help"
        (folder / "hash").write_bytes(b"k" * 32)
        until(lambda: load.since(wire, hides(MAIL)), "values are hashed")
        until(lambda: sidecar.health()["status"] != "unhealthy", "all is well again")
        first = hashes(load, wire)
        assert len(first) == 1, "one value has one hash"
        (folder / "hash").write_bytes(b"another key of 32 bytes and more")
        until(lambda: len(hashes(load, wire)) == 2, "the new key is in force")
        assert load.since(wire, hides(MAIL))
    load.settle(wire)


def hashes(load: Load, wire: Wire) -> set[str]:
    """What stands for the mail address."""
    values = {value for values in load.seen(wire).values() for value in values}
    return {value.partition(" and ")[0] for value in values if MAIL not in value and " and " in value}


def document(revision: int, wire: Wire, **sections: Any) -> str:
    spec = manifest(otlp("sink", "HTTP", wire.port), **sections)["spec"]
    entry = {"name": "agents", "namespace": "shop", "uid": "1", "generation": 1, "created": "2026-01-01T00:00:00Z"}
    configs = [entry | {"retired": False, "spec": spec}]
    return json.dumps({"formatVersion": 1, "revision": revision, "configs": configs, "secrets": {}})


def test_before_the_first_look_at_a_policy_without_a_config_for_the_pod_nothing_is_stored_unredacted(
    sidecars: Sidecars, wire: Wire
) -> None:
    file = sidecars.folder / "policy.json"
    file.write_text(document(1, wire, selector={"matchLabels": {"app": "another"}}))
    sidecar = sidecars.start(f"--policy={file}", "--storage-size=64Mi")
    assert sidecar.send(request(2, seed=1, text=MAIL).SerializeToString()) == 200
    new = file.with_suffix(".new")
    new.write_text(document(2, wire))
    new.replace(file)
    sidecar.settled()
    got = b"".join(wire.bodies)
    assert got and MAIL.encode() not in got


def test_a_first_policy_with_faults_that_speaks_of_processors_is_unhealthy_until_it_is_mended(
    sidecars: Sidecars, wire: Wire
) -> None:
    file = sidecars.folder / "policy.json"
    file.write_text(document(1, wire, processors="none"))
    sidecar = sidecars.start(f"--policy={file}", "--storage-size=64Mi")
    until(lambda: "spans are refused: the first policy" in str(sidecar.health()["problems"]), "somebody is told")
    assert sidecar.get("/health")[0] == 503 and "policy:" in str(sidecar.health()["warnings"])
    assert "no policy yet" not in str(sidecar.health()["warnings"])
    assert sidecar.get("/livez")[0] == 200, "no restart would help"
    replaced = file.with_suffix(".new")
    replaced.write_text(document(2, wire))
    replaced.replace(file)
    until(lambda: sidecar.health()["status"] == "healthy", "it is mended")
    assert sidecar.post(3, seed=1) == 200
