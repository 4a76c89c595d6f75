"""Flags and variables of the two processes."""

from __future__ import annotations

import pytest

from tracekeeper_operator.alerts.options import AlertOptions
from tracekeeper_operator.certs import Lives
from tracekeeper_operator.errors import SettingsError
from tracekeeper_operator.lease import Terms
from tracekeeper_operator.pods.options import PodOptions
from tracekeeper_operator.settings import Address, ControllerSettings, InjectorSettings, parse, parse_address
from tracekeeper_spec.alert.compiled import Links


def test_controller_defaults() -> None:
    found = parse(["controller", "--namespace", "tk"], {})
    assert found == ControllerSettings(
        namespace="tk",
        service="tracekeeper-injector",
        mutating_webhook="tracekeeper-injector",
        validating_webhook="tracekeeper-validator",
        metrics_listen=Address("", 8080),
        resync_seconds=60.0,
        log_level="Info",
        root_namespace="tk",
        pods=PodOptions("tk"),
        alerts=AlertOptions("tk", "tk", links=Links(operator="tk"), lease="tracekeeper-controller"),
    )


def test_the_control_stream_is_off_unless_a_service_leads_to_it() -> None:
    found = parse(["controller", "--namespace", "tk"], {})
    assert isinstance(found, ControllerSettings)
    assert (found.control_service, found.control_listen) == ("", Address("", 9444))
    environ = {"TRACEKEEPER_CONTROL_SERVICE": "tk-control", "TRACEKEEPER_CONTROL_LISTEN": "127.0.0.1:0"}
    found = parse(["controller", "--namespace", "tk"], environ)
    assert isinstance(found, ControllerSettings)
    assert (found.control_service, found.control_listen) == ("tk-control", Address("127.0.0.1", 0))


def test_who_leads_and_for_how_long_certificates_live() -> None:
    flags = ["--lease=other", "--lease-duration=30s", "--pod=a", "--authority-life=1h", "--certificate-life=1m"]
    found = parse(["controller", "--namespace", "tk", *flags], {})
    assert isinstance(found, ControllerSettings)
    assert (found.lease, found.terms, found.pod) == ("other", Terms(30.0), "a")
    assert found.lives == Lives(authority=3600.0, serving=60.0, spread=300.0)


def test_injector_from_the_environment_and_flags() -> None:
    environ = {
        "TRACEKEEPER_NAMESPACE": "tk",
        "TRACEKEEPER_SIDECAR_IMAGE": "image:1",
        "TRACEKEEPER_SIDECAR_PULL_POLICY": "Never",
        "TRACEKEEPER_LISTEN": "127.0.0.1:1",
    }
    found = parse(["injector", "--listen", "[::]:9443", "--log-level=Debug"], environ)
    assert found == InjectorSettings(
        namespace="tk",
        sidecar_image="image:1",
        sidecar_pull_policy="Never",
        listen=Address("::", 9443),
        metrics_listen=Address("", 8080),
        root_namespace="tk",
        log_level="Debug",
    )
    assert str(found.listen) == "[::]:9443"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["controller"], "--namespace: is required (or set TRACEKEEPER_NAMESPACE)"),
        (["injector", "--namespace", "tk"], "--sidecar-image: is required (or set TRACEKEEPER_SIDECAR_IMAGE)"),
        (["controller", "--namespace", "tk", "--log-level", "loud"], "--log-level: 'loud' is none of Debug"),
        (["controller", "--namespace", "tk", "--metrics-listen", "x"], "--metrics-listen: 'x' is not host:port"),
        (
            ["controller", "--namespace", "tk", "--prometheus-operator", "x"],
            "--prometheus-operator: 'x' is none of Auto",
        ),
        (["controller", "--namespace", "tk", "--pod-monitors", "x"], "--pod-monitors: 'x' is none of true, false"),
        (
            ["controller", "--namespace", "tk", "--alert-labels", "a"],
            "--alert-labels: 'a' is not a label as name=value",
        ),
        (["controller", "--namespace", "tk", "--alert-labels", "a=b c"], "--alert-labels: 'a=b c' is not a label"),
        (["controller", "--namespace", "tk", "--prometheus-url", "x:90"], "--prometheus-url: 'x:90' is not a URL such"),
        (["controller", "--namespace", "tk", "--prometheus-url", "http://u:p@x"], "--prometheus-url: "),
        (["controller", "--namespace", "tk", "--alertmanager-url", "http://x:y"], "--alertmanager-url: "),
        (["controller", "--namespace", "tk", "--plain-namespace", "A"], "--plain-namespace: 'A' is no name of a"),
        (
            ["controller", "--namespace", "tk", "--plain-base", "Pod/x"],
            "--plain-base: 'Pod/x' is neither ConfigMap/NAME",
        ),
        (["controller", "--namespace", "tk", "--plain-base", "Secret/x"], "--plain-namespace: is required where"),
        (["controller", "--namespace", "tk", "--control-service", "a.b"], "--control-service: 'a.b' is no name of a"),
        (["controller", "--namespace", "tk", "--control-listen", "x"], "--control-listen: 'x' is not host:port"),
        (["controller", "--namespace", "tk", "--resync", "soon"], "--resync: "),
        (["controller", "--namespace", "tk", "--lease-duration", "1s"], "--lease-duration: 1s is not from 3s to 300s"),
        (["controller", "--namespace", "tk", "--certificate-life", "1s"], "--certificate-life: the certificate's life"),
        (["controller", "--namespace", "tk", "--authority-life", "99h"], "--certificate-life: the authority has to"),
        (["controller", "--namespace", "tk", "--authority-life", "long"], "--authority-life: "),
        (["controller", "--namespace", "tk", "--resync", "10ms"], "--resync: 10ms is too often"),
    ],
)
def test_names_the_flag(arguments: list[str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(arguments, {})
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("text", ["", "8080", "a:b", "a:70000", "a:"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_address(text)


def test_without_a_host_every_address_is_meant() -> None:
    assert parse_address(":8080") == Address("", 8080)
    assert str(Address("", 8080)) == ":8080"


def test_the_injector_listens_on_every_address_by_default() -> None:
    found = parse(["injector", "--namespace", "tk", "--sidecar-image", "image:1"], {})
    assert isinstance(found, InjectorSettings)
    assert (found.listen, found.metrics_listen) == (Address("", 9443), Address("", 8080))


def test_where_the_sidecars_image_may_come_from_and_by_which_secrets() -> None:
    own = ["injector", "--namespace", "tk", "--sidecar-image", "image:1"]
    found = parse([*own, "--image-registries", "a.example/x/, b.example", "--pull-secrets", "one, two"], {})
    assert isinstance(found, InjectorSettings)
    assert (found.image_registries, found.pull_secrets) == (("a.example/x", "b.example"), ("one", "two"))
    with pytest.raises(SettingsError, match="--pull-secrets: 'No_Secret' is no name of a Secret"):
        parse([*own, "--pull-secrets", "No_Secret"], {})
