"""Where instructions come from: manifests and policy documents as files, good and bad."""

import base64
import json
from pathlib import Path

import pytest

from tracekeeper_sidecar.control.goal import Goal
from tracekeeper_sidecar.control.source import ManifestSource, PolicySource, parse_downward_map, service_of
from tracekeeper_sidecar.errors import PolicyError
from tracekeeper_sidecar.model import Pod
from tracekeeper_spec.policy import Control, PolicyDocument

BACKEND = {"name": "a", "type": "OTLP", "otlp": {"protocol": "GRPC", "endpoint": "http://127.0.0.1:4317"}}
MANIFEST = """\
apiVersion: tracekeeper.dev/v1alpha1
kind: TracingConfig
metadata: {name: agents, namespace: shop}
spec:
  backends:
    - {name: a, type: OTLP, otlp: {protocol: GRPC, endpoint: "http://127.0.0.1:4317"}}
"""


def document(*configs: dict[str, object], revision: int = 7) -> str:
    secrets = {"tempo": {"token": base64.b64encode(b"s3cret").decode()}}
    return json.dumps({"formatVersion": 1, "revision": revision, "configs": configs, "secrets": secrets})


def config(name: str, **spec: object) -> dict[str, object]:
    return {
        "name": name,
        "namespace": "shop",
        "uid": name,
        "generation": 1,
        "created": "2026-01-01T00:00:00Z",
        "retired": False,
        "spec": {"backends": [BACKEND], **spec},
    }


def pod_info(tmp_path: Path, labels: str) -> str:
    (tmp_path / "labels").write_text(labels)
    (tmp_path / "annotations").write_text('tracekeeper.dev/inject="true"\n')
    return str(tmp_path)


def test_a_manifest_is_read_with_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(MANIFEST)
    (tmp_path / "s" / "tempo").mkdir(parents=True)
    (tmp_path / "s" / "tempo" / "token").write_bytes(b"s3cret")
    instruction = ManifestSource(str(tmp_path / "c.yaml"), str(tmp_path / "s")).read()
    assert instruction is not None
    assert instruction.config == "shop/agents"
    assert [backend.name for backend in instruction.spec.backends] == ["a"]
    assert instruction.secrets.get("tempo", "token") == b"s3cret"


def lent(tmp_path: Path, inject: str, **more: object) -> PolicySource:
    """A pod that asks for `inject`, where a config of another namespace is there for those that name it."""
    body = json.loads(document(config("own")))
    named = {**config("lent"), "namespace": "care", "uid": "lent", **more}
    (tmp_path / "policy.json").write_text(json.dumps({**body, "namespace": "shop", "named": [named]}))
    directory = pod_info(tmp_path, "")
    (tmp_path / "annotations").write_text(f'tracekeeper.dev/inject="{inject}"\n')
    return PolicySource(str(tmp_path / "policy.json"), directory)


@pytest.mark.parametrize(
    ("inject", "expected"),
    [("true", "shop/own"), ("own", "shop/own"), ("shop/own", "shop/own"), ("care/lent", "care/lent"), ("lent", None)],
)
def test_a_pod_gets_the_config_that_it_names_and_no_other(tmp_path: Path, inject: str, expected: str | None) -> None:
    instruction = lent(tmp_path, inject).read()
    assert (instruction.config if instruction is not None else None) == expected


def test_a_config_whose_consent_was_taken_back_stores_nothing_and_has_no_credentials(tmp_path: Path) -> None:
    auth = {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "gone", "key": "token"}}}
    otlp = {"protocol": "GRPC", "endpoint": "http://127.0.0.1:4317", "auth": auth}
    spec = {"backends": [{**BACKEND, "otlp": otlp}]}
    instruction = lent(tmp_path, "care/lent", retired=True, retiredAt=1, spec=spec).read()
    assert instruction is not None and instruction.spec.suspend
    assert instruction.secrets.get("gone", "token") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("{", "not valid YAML"),
        (MANIFEST.replace("GRPC", "SOAP"), "spec.backends[0].otlp.protocol"),
        (MANIFEST.split("spec:")[0] + "spec: {}\n", "spec.backends: is required"),
    ],
)
def test_each_fault_of_a_manifest_names_its_place(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(PolicyError) as caught:
        ManifestSource(str(tmp_path / "c.yaml"), None).read()
    assert any(expected in fault for fault in caught.value.faults), caught.value.faults


def test_a_manifest_that_is_no_text_says_where(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"spec: \xff")
    with pytest.raises(PolicyError, match="byte 6"):
        ManifestSource(str(tmp_path / "c.yaml"), None).read()


def test_a_missing_manifest_is_a_fault_and_a_missing_policy_is_not(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such file"):
        ManifestSource(str(tmp_path / "none.yaml"), None).read()
    assert PolicySource(str(tmp_path / "policy" / "policy.json"), None).read() is None


def test_a_pod_picks_its_config_by_its_labels(tmp_path: Path) -> None:
    chosen = config("special", selector={"matchLabels": {"app": "billing"}})
    (tmp_path / "policy.json").write_text(document(config("general"), chosen))
    billing = PolicySource(str(tmp_path / "policy.json"), pod_info(tmp_path, 'app="billing"\n')).read()
    assert billing is not None
    assert (billing.config, billing.revision) == ("shop/special", 7)
    assert billing.secrets.get("tempo", "token") == b"s3cret"
    other = PolicySource(str(tmp_path / "policy.json"), pod_info(tmp_path, 'app="search"\n')).read()
    assert other is not None
    assert other.config == "shop/general"


def test_no_config_for_this_pod_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(document(config("x", selector={"matchLabels": {"app": "billing"}})))
    assert PolicySource(str(tmp_path / "policy.json"), pod_info(tmp_path, "")).read() is None


def test_a_retired_config_drains_and_stores_nothing_new(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(document({**config("agents"), "retired": True}))
    instruction = PolicySource(str(tmp_path / "policy.json"), None).read()
    assert instruction is not None
    assert instruction.spec.suspend is True
    assert instruction.spec.backends


@pytest.mark.parametrize("text", ["", "{", "[]", '{"formatVersion": 99}', document(config("x", backends="none"))])
def test_a_policy_that_cannot_be_used_is_a_fault_and_nothing_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(PolicyError) as caught:
        PolicySource(str(tmp_path / "policy.json"), None).read()
    assert caught.value.faults


def test_the_fingerprint_changes_with_every_file_that_counts(tmp_path: Path) -> None:
    source = PolicySource(str(tmp_path / "policy.json"), pod_info(tmp_path, 'app="a"\n'))
    before = source.fingerprint()
    (tmp_path / "policy.json").write_text(document(config("x")))
    between = source.fingerprint()
    (tmp_path / "labels").write_text('app="other"\n')
    assert len({before, between, source.fingerprint()}) == 3


def test_the_downward_apis_quoting_is_undone() -> None:
    text = 'plain="x"\nquote="say \\"hi\\""\nslash="a\\\\b"\nlines="one\\ntwo"\nwide="\\u00e9\\U0001F600\\x41"\nodd\n'
    assert parse_downward_map(text) == {
        "plain": "x",
        "quote": 'say "hi"',
        "slash": "a\\b",
        "lines": "one\ntwo",
        "wide": "\N{LATIN SMALL LETTER E WITH ACUTE}\N{GRINNING FACE}A",
    }


def test_missing_backends_are_reported_beside_other_faults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(MANIFEST.split("spec:")[0] + "spec: {logLevel: Loud}\n")
    with pytest.raises(PolicyError) as caught:
        ManifestSource(str(tmp_path / "c.yaml"), None).read()
    assert "spec.logLevel" in str(caught.value)
    assert "spec.backends: is required" in str(caught.value)


def test_a_policy_says_whom_to_attach_to_and_as_whom(tmp_path: Path) -> None:
    policy = json.loads(document(config("agents"), revision=9))
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    source = PolicySource(str(tmp_path / "policy.json"), pod_info(tmp_path, ""))
    alone = source.read()
    assert alone is not None
    assert (alone.uid, alone.control) == ("agents", None)
    assert Goal.of(alone) is None
    control = {"endpoint": "tracekeeper-control.tracekeeper.svc:9444", "ca": "PEM"}
    (tmp_path / "policy.json").write_text(json.dumps({**policy, "control": control}))
    unsampled = source.read()
    assert unsampled is not None
    assert unsampled.control == Control(**control)
    assert Goal.of(unsampled) == Goal(Control(**control), "agents", 9)
    sampled = config("agents", sampling={"default": {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}})
    (tmp_path / "policy.json").write_text(json.dumps({**policy, "configs": [sampled], "control": control}))
    instruction = source.read()
    assert instruction is not None
    assert Goal.of(instruction) == Goal(Control(**control), "agents", 9)
    assert instruction.digest == PolicyDocument.from_json((tmp_path / "policy.json").read_text()).digest
    assert instruction.digest != unsampled.digest


PUSH = {"name": "jobs", "type": "Pushgateway", "pushgateway": {"endpoint": "http://pushgateway.obs:9091"}}


@pytest.mark.parametrize(
    ("metrics", "pushed"),
    [({"push": [PUSH]}, ["jobs"]), ({"push": [{**PUSH, "type": "Morse"}]}, []), ({"later": 1}, []), (None, [])],
    ids=["known", "of another version", "with an unknown field", "none"],
)
def test_a_policy_says_where_metrics_go_and_whose_they_are(tmp_path: Path, metrics: object, pushed: list[str]) -> None:
    beside = {} if metrics is None else {"beside": {"metrics": metrics}}
    (tmp_path / "policy.json").write_text(document({**config("agents"), **beside}))
    directory = pod_info(tmp_path, "")
    for name, value in (("name", "job-1"), ("namespace", "shop"), ("uid", "u-1")):
        (tmp_path / name).write_text(value)
    instruction = PolicySource(str(tmp_path / "policy.json"), directory).read()
    assert instruction is not None
    assert [push.name for push in instruction.pushes] == pushed
    assert instruction.pod == Pod("shop", "job-1", "u-1")
    assert [backend.name for backend in instruction.spec.backends] == ["a"], "spans go on whatever that says"


@pytest.mark.parametrize(
    ("annotations", "labels", "service"),
    [
        ('resource.opentelemetry.io/service.name="shop"\n', 'app.kubernetes.io/name="a"\napp="b"\n', "shop"),
        ('other="x"\n', 'app="b"\napp.kubernetes.io/name="a"\n', "a"),
        ("", 'app="b"\n', "b"),
        ("", 'app=""\n', ""),
        (None, None, ""),
    ],
)
def test_what_the_pod_says_that_its_service_is_called(
    tmp_path: Path, annotations: str | None, labels: str | None, service: str
) -> None:
    for name, text in (("annotations", annotations), ("labels", labels)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert service_of(str(tmp_path)) == service
    assert service_of(None) == ""
