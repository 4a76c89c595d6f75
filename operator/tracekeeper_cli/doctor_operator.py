"""What is wrong with Tracekeeper itself: pure."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Iterator
from datetime import datetime

from tracekeeper_cli.findings import Finding, Severity
from tracekeeper_cli.world import COMPONENT, Object, World, labels, meta, name_of

SOON = 14 * 86400.0
"""Seconds before its end at which a certificate should long have been renewed,"""
LATE = 6
"""and this part of its life, if that is less. It is renewed when a third is left."""
BEGIN, END = "certificate-not-before", "certificate-not-after"
"""What ConfigMap `tracekeeper-ca` says of the serving certificate."""


def of_operator(world: World, now: float) -> Iterator[Finding]:
    """`now` is Unix time."""
    if world.parts:
        yield from _parts(world)
    elif not any("deployments" in text for text in world.unread):
        yield Finding(
            Severity.ERROR,
            f"namespace {world.operator}",
            "NotInstalled",
            "Tracekeeper is not there: it has no Deployment in this namespace",
            "helm list -A; say --operator-namespace if it is in another one",
        )
    if world.parts and not world.injecting and not any("mutating" in text for text in world.unread):
        yield Finding(
            Severity.ERROR,
            "the API server",
            "NoWebhook",
            "pods are not shown to the injector: its MutatingWebhookConfiguration is not there",
            f"helm status tracekeeper -n {world.operator}, and helm upgrade to have it made again",
        )
    for configuration in (*world.mutating, *world.validating):
        yield from _authorities(configuration, world, now)
    yield from _serving(world, now)


def _parts(world: World) -> Iterator[Finding]:
    for part in world.parts:
        component = labels(part).get(COMPONENT, "")
        wanted = (part.get("spec") or {}).get("replicas", 1)
        ready = (part.get("status") or {}).get("readyReplicas") or 0
        effect = {
            "injector": "new pods start without a sidecar, or not at all with webhook.failurePolicy=Fail",
            "controller": "changes reach no sidecar; those that run go on with what they have",
        }.get(component, "it does not do its work")
        if ready >= wanted or not component:
            continue
        yield Finding(
            Severity.WARNING if ready else Severity.ERROR,
            f"Deployment {name_of(part)}",
            f"{component.capitalize()}NotReady",
            f"{ready} of {wanted} are ready" + ("" if ready else f": {effect}"),
            f"kubectl logs -n {world.operator} deploy/{meta(part).get('name')}; kubectl get pods -n {world.operator}",
        )


def _authorities(configuration: Object, world: World, now: float) -> Iterator[Finding]:
    """Of the certificates that the API server trusts for our webhooks."""
    kind = "Mutating" if configuration in world.mutating else "Validating"
    about = f"{kind}WebhookConfiguration {name_of(configuration)}"
    look = f"kubectl logs -n {world.operator} -l {COMPONENT}=controller"
    bundles = dict.fromkeys(
        (hook.get("clientConfig") or {}).get("caBundle") or "" for hook in configuration["webhooks"]
    )
    for bundle in bundles:
        life = _life(bundle)
        if life is None:
            yield Finding(
                Severity.ERROR,
                about,
                "NoAuthority",
                "it has no usable caBundle: the API server cannot ask the injector",
                f"the controller writes it within a minute; if it does not: {look}",
            )
        else:
            yield from _late(about, "the authority of the injector's certificate", life, world, now)


def _serving(world: World, now: float) -> Iterator[Finding]:
    """The certificate itself, by which webhooks and control stream serve: in a Secret, which nobody has to read."""
    data = (world.stream or {}).get("data") or {}
    try:
        begin, end = (datetime.fromisoformat(data[key]).timestamp() for key in (BEGIN, END))
    except (KeyError, ValueError):
        return  # by an operator that does not say so yet
    about = f"Secret {world.operator}/tracekeeper-webhook-tls"
    yield from _late(about, "the certificate of the webhooks and of the control stream", (begin, end), world, now)


def _late(about: str, what: str, life: tuple[float, float], world: World, now: float) -> Iterator[Finding]:
    """If it should have been renewed by now."""
    begin, end = life
    left = end - now
    if left >= min(SOON, (end - begin) / LATE):
        return
    when = "has ended" if left <= 0 else f"ends in {left / 86400:.1f} days" if left >= 86400 else "ends within a day"
    look = f"kubectl logs -n {world.operator} -l {COMPONENT}=controller"
    yield Finding(
        Severity.WARNING if left > 0 else Severity.ERROR,
        about,
        "CertificateExpiry",
        f"{what} {when}; it should have been renewed by now",
        f"{look}; deleting the data of Secret {world.operator}/tracekeeper-webhook-tls has all made anew",
    )


def _life(bundle: str) -> tuple[float, float] | None:
    """When the one of its authorities that ends last begins and ends, Unix time; None if there is none in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=base64.b64decode(bundle).decode("ascii"))
    except (ssl.SSLError, ValueError, binascii.Error):
        return None
    seconds = ssl.cert_time_to_seconds
    lives = [(seconds(str(each["notBefore"])), seconds(str(each["notAfter"]))) for each in context.get_ca_certs()]
    return max(lives, key=lambda life: life[1], default=None)
