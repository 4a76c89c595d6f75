"""What is wrong with Tracekeeper itself: pure."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Iterator

from tracekeeper_cli.findings import Finding, Severity
from tracekeeper_cli.world import COMPONENT, Object, World, labels, meta, name_of

SOON = 14 * 86400.0
"""Seconds before its end at which an authority should long have been renewed."""


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
        ends = _ends(bundle)
        if ends is None:
            yield Finding(
                Severity.ERROR,
                about,
                "NoAuthority",
                "it has no usable caBundle: the API server cannot ask the injector",
                f"the controller writes it within a minute; if it does not: {look}",
            )
        elif ends < now + SOON:
            days = (ends - now) / 86400
            when = f"ends in {days:.1f} days" if days > 0 else "has ended"
            yield Finding(
                Severity.WARNING if days > 0 else Severity.ERROR,
                about,
                "CertificateExpiry",
                f"the authority of the injector's certificate {when}; it should have been renewed by now",
                f"{look}; deleting Secret {world.operator}/tracekeeper-webhook-tls has all made anew",
            )


def _ends(bundle: str) -> float | None:
    """When the last of its authorities ends, Unix time; None if there is none in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=base64.b64decode(bundle).decode("ascii"))
    except (ssl.SSLError, ValueError, binascii.Error):
        return None
    return max((ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()), default=None)
