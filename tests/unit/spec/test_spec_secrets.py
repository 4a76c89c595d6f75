"""Which Secrets a config needs, and where their values come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from alert_channels import channels
from spec_cases import BACKEND, FULL
from tracekeeper_spec.config import ConfigSpec
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.secrets import (
    MAX_SECRET_BYTES,
    DirectorySecrets,
    DocumentSecrets,
    SecretUse,
    channel_uses,
    missing_secrets,
    secret_refs,
    secret_uses,
)

FULL_SPEC, _ = parse_spec(FULL)


def test_every_use_of_a_secret_is_found_with_its_field() -> None:
    otlp = "spec.backends[0].otlp"
    assert secret_uses(FULL_SPEC) == [
        SecretUse("creds", "token", f"{otlp}.headers[1].secretKeyRef"),
        SecretUse("creds", "token", f"{otlp}.auth.bearer.secretKeyRef"),
        SecretUse("tempo-ca", "ca.crt", f"{otlp}.tls.ca.secretKeyRef"),
        SecretUse("tempo-client", "tls.crt", f"{otlp}.tls.clientCertificate.secretName"),
        SecretUse("tempo-client", "tls.key", f"{otlp}.tls.clientCertificate.secretName"),
        SecretUse("dr", "password", "spec.backends[1].otlp.auth.basic.password.secretKeyRef"),
    ]
    assert secret_refs(FULL_SPEC) == {
        ("creds", "token"),
        ("tempo-ca", "ca.crt"),
        ("tempo-client", "tls.crt"),
        ("tempo-client", "tls.key"),
        ("dr", "password"),
    }


def test_a_config_without_secrets_needs_none() -> None:
    assert secret_refs(parse_spec({"backends": [BACKEND]})[0]) == set()
    assert secret_refs(ConfigSpec()) == set()


def test_what_is_missing_is_told_by_its_field() -> None:
    have = DocumentSecrets(
        {"creds": {"token": b"t"}, "tempo-ca": {"ca.crt": b""}, "tempo-client": {"tls.crt": b"", "other": b""}}
    )
    faults = missing_secrets(FULL_SPEC, have)
    assert [(fault.path, fault.problem) for fault in faults] == [
        (
            "spec.backends[0].otlp.tls.clientCertificate.secretName",
            "Secret 'tempo-client' has no key 'tls.key', or does not exist",
        ),
        (
            "spec.backends[1].otlp.auth.basic.password.secretKeyRef",
            "Secret 'dr' has no key 'password', or does not exist",
        ),
    ]


def test_a_directory_holds_a_folder_for_each_secret(tmp_path: Path) -> None:
    (tmp_path / "creds").mkdir()
    (tmp_path / "creds/token").write_bytes(b"s3cret\n")
    secrets = DirectorySecrets(tmp_path)
    assert secrets.get("creds", "token") == b"s3cret\n"
    (tmp_path / "creds/token").write_bytes(b"rotated")
    assert secrets.get("creds", "token") == b"rotated"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("creds", "none"),
        ("none", "token"),
        ("creds", "folder"),
        ("creds", "large"),
        ("..", "outside"),
        ("creds", "../a"),
    ],
)
def test_what_is_not_there_or_outside_is_missing(tmp_path: Path, name: str, key: str) -> None:
    root = tmp_path / "secrets"
    (root / "creds/folder").mkdir(parents=True)
    (root / "creds/large").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    (tmp_path / "outside").write_bytes(b"no")
    (root / "a").write_bytes(b"no")
    assert DirectorySecrets(root).get(name, key) is None


def test_secrets_of_channels_are_told_apart_from_those_that_sidecars_need() -> None:
    spec, faults = parse_spec({"alerts": {"channels": channels()}})
    assert faults == [] and secret_refs(spec) == set()
    at = "spec.alerts.channels"
    assert channel_uses(spec) == [
        SecretUse("pager", "key", f"{at}[0].pagerDuty.integrationKey.secretKeyRef"),
        SecretUse("slack", "key", f"{at}[1].slack.webhookURL.secretKeyRef"),
        SecretUse("post", "key", f"{at}[2].email.password.secretKeyRef"),
        SecretUse("hook", "key", f"{at}[4].webhook.secretKeyRef"),
        SecretUse("genie", "key", f"{at}[5].opsGenie.apiKey.secretKeyRef"),
        SecretUse("pager", "key", f"{at}[6].pagerDuty.serviceKey.secretKeyRef"),
    ]
    assert channel_uses(FULL_SPEC) == []
