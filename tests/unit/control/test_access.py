"""The way to the API server, from a pod and from a kubeconfig."""

from __future__ import annotations

import base64
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracekeeper_operator import certs
from tracekeeper_operator.access import Access, find, from_kubeconfig, from_pod
from tracekeeper_operator.errors import AccessError

MATERIAL = certs.make(time.time(), ["localhost"], certs.Lives())


def kubeconfig(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def inline(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_from_a_pod(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(MATERIAL.ca)
    (tmp_path / "token").write_text("first\n")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    access = from_pod(environ, tmp_path)
    assert access.server == "https://[fd00::1]:6443"
    assert access.bearer() == "first"
    (tmp_path / "token").write_text("second")
    assert access.bearer() == "second"
    assert isinstance(access.tls(), ssl.SSLContext)


def test_a_pod_without_an_account(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="no service account"):
        from_pod({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


def test_a_token_that_went(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="token"):
        Access("https://x", token_file=tmp_path / "token").bearer()


def test_from_a_kubeconfig_with_inline_material(tmp_path: Path) -> None:
    cluster = {"server": "https://api:6443/", "certificate-authority-data": inline(MATERIAL.ca)}
    user = {"client-certificate-data": inline(MATERIAL.certificate), "client-key-data": inline(MATERIAL.key)}
    access = find({"KUBECONFIG": str(kubeconfig(tmp_path / "k", cluster, user))})
    assert access.server == "https://api:6443"
    assert access.bearer() is None
    assert isinstance(access.tls(), ssl.SSLContext)
    assert MATERIAL.key not in repr(access)


def test_from_a_kubeconfig_with_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(MATERIAL.ca)
    (tmp_path / "token").write_text("t")
    access = from_kubeconfig(
        kubeconfig(
            tmp_path / "k",
            {"server": "https://api", "certificate-authority": "ca.pem", "tls-server-name": "localhost"},
            {"tokenFile": "token"},
        )
    )
    assert (access.ca, access.bearer(), access.server_name) == (MATERIAL.ca, "t", "localhost")


@pytest.mark.parametrize(
    ("cluster", "user", "text"),
    [
        ({}, {}, "server is missing"),
        ({"server": "https://x"}, {"exec": {"command": "aws"}}, "calls a program"),
        ({"server": "https://x", "certificate-authority": "nowhere.pem"}, {}, "certificate-authority"),
        ({"server": "https://x", "certificate-authority-data": "%"}, {}, "certificate-authority"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], text: str) -> None:
    with pytest.raises(AccessError, match=text):
        from_kubeconfig(kubeconfig(tmp_path / "k", cluster, user))


@pytest.mark.parametrize("text", ["", "[]", "a: [", "current-context: c", "current-context: c\ncontexts: 1"])
def test_what_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    with pytest.raises(AccessError, match=str(tmp_path / "k")):
        from_kubeconfig(tmp_path / "k")


def test_nowhere_to_go() -> None:
    with pytest.raises(AccessError, match="KUBECONFIG"):
        find({})


def test_damaged_material_is_named() -> None:
    with pytest.raises(AccessError, match="https://x"):
        Access("https://x", ca="garbage").tls()
    with pytest.raises(AccessError, match="https://x"):
        Access("https://x", ca=MATERIAL.ca, certificate=MATERIAL.certificate, key=MATERIAL.ca_key).tls()
