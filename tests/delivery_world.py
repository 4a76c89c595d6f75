"""What brings alerts to Prometheus, against an API server, with a Prometheus that takes what its operator would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web

from control_api import Api, serve
from control_objects import StoodClock, config
from tracekeeper_operator.access import Access
from tracekeeper_operator.alerts.options import AlertOptions
from tracekeeper_operator.alerts.service import AlertService
from tracekeeper_operator.book import Book
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.plan import Plan, assess
from tracekeeper_operator.status import Condition
from tracekeeper_operator.store import Store
from tracekeeper_spec.policy import PolicyDocument
from tracekeeper_spec.units import parse_duration

Object = dict[str, Any]

RULE: Object = {"name": "ManyErrors", "condition": "error_rate > 0.05", "severity": "critical"}
SLACK: Object = {
    "name": "team",
    "type": "Slack",
    "slack": {"webhookURL": {"secretKeyRef": {"name": "slack", "key": "url"}}},
}
V1, V1ALPHA1 = "/apis/monitoring.coreos.com/v1", "/apis/monitoring.coreos.com/v1alpha1"
KINDS = ("prometheusrules", "podmonitors", "prometheuses", "alertmanagers")


def alerting(name: str = "agents", namespace: str = "shop", *, generation: int = 1, **alerts: Any) -> Object:
    """A TracingConfig with one rule, unless `alerts` says otherwise."""
    section = {"builtIn": "None", "rules": [RULE], **alerts}
    made = config(name, namespace, generation=generation, alerts=section)
    made["metadata"]["uid"] = f"uid-{namespace}-{name}"
    return made


def prometheus(namespace: str = "monitoring", name: str = "k8s", created: str = "2026-01-01", **spec: Any) -> Object:
    """One that selects everything, unless `spec` says otherwise."""
    everything: Object = {
        "ruleSelector": {},
        "ruleNamespaceSelector": {},
        "podMonitorSelector": {},
        "podMonitorNamespaceSelector": {},
    }
    meta = {"namespace": namespace, "name": name, "creationTimestamp": f"{created}T00:00:00Z"}
    return {"metadata": meta, "spec": everything | spec}


def alertmanager(namespace: str = "monitoring", strategy: str | None = None, **spec: Any) -> Object:
    """The same."""
    everything: Object = {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}}
    if strategy is not None:
        everything["alertmanagerConfigMatcherStrategy"] = {"type": strategy}
    return {"metadata": {"namespace": namespace, "name": "main"}, "spec": everything | spec}


class FakePrometheus:
    """Answers as Prometheus does: with the rules of every PrometheusRule, in files that its operator would name so."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.url = ""
        self.asked = 0
        self.missing: set[str] = set()
        """Names of PrometheusRules that it does not take."""
        self.failing: dict[str, str] = {}
        """Names of rules that it cannot evaluate, and why."""
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        groups = [self._group(each, group) for each in self._taken() for group in each["spec"].get("groups", [])]
        body = json.dumps({"status": "success", "data": {"groups": groups}}, separators=(",", ":"))
        return web.Response(status=self.status, text=body, content_type="application/json")

    def _taken(self) -> Iterable[Object]:
        for (plural, _, name), found in sorted(self._api.objects.items()):
            if plural == "prometheusrules" and name not in self.missing:
                yield found

    def _group(self, found: Object, group: Object) -> Object:
        meta = found["metadata"]
        file = f"/etc/prometheus/rules/x/{meta['namespace']}-{meta['name']}-{meta['uid']}.yaml"
        return {"name": group["name"], "file": file, "rules": [self._rule(rule) for rule in group["rules"]]}

    def _rule(self, rule: Object) -> Object:
        name = rule.get("alert") or rule["record"]
        error = self.failing.get(name, "")
        return {
            "name": name,
            "query": rule["expr"],
            "duration": parse_duration(rule.get("for", "0s")),
            "labels": rule.get("labels", {}),
            "annotations": rule.get("annotations", {}),
            "health": "err" if error else "ok",
            "lastError": error,
            "alerts": [],
        }


class AlertWorld:
    """A service, and what it works on."""

    def __init__(self, api: Api, kube: Kube, prometheus: FakePrometheus, options: AlertOptions) -> None:
        self.api, self.prometheus, self.clock = api, prometheus, StoodClock()
        self.kube, self.options = kube, options
        self.store, self.namespaces, self.metrics = Store(), Namespaces(), ControllerMetrics()
        self.told: list[str] = []
        self.namespaces.replace([{"metadata": {"name": name}} for name in ("shop", "other", "monitoring", "obs", "tk")])
        self.book = Book(self.store, self.namespaces, options.root)
        self.restart()

    def restart(self) -> None:
        """Another controller leads from now on."""
        self.service = AlertService(
            self.kube,
            self.book,
            self.store.namespaces,
            self.options,
            self.told.append,
            self.clock,
            self.metrics,
            uniform=lambda low, high: 1.0,
        )
        for namespace in self.store.namespaces():
            self.planned(namespace)

    def put(self, manifest: Object) -> Object:
        """A TracingConfig is new or changed."""
        self.store.put(self.api.put("tracingconfigs", manifest))
        self.planned(manifest["metadata"]["namespace"])
        return manifest

    def remove(self, namespace: str, name: str) -> None:
        """One is gone."""
        self.store.remove(self.api.get("tracingconfigs", namespace, name))
        self.api.remove("tracingconfigs", namespace, name)
        self.planned(namespace)

    def planned(self, namespace: str) -> None:
        self.service.planned(Plan(namespace, (), PolicyDocument(1), write=False, delete=False))

    def install(self, *plurals: str) -> None:
        """These kinds of the Prometheus operator are there, and no others; without any, none is."""
        first = [{"name": plural} for plural in plurals if plural != "alertmanagerconfigs"]
        for path in (V1, V1ALPHA1):
            self.api.documents.pop(path, None)
        if first:
            self.api.documents[V1] = "application/json", {"resources": first}
        if "alertmanagerconfigs" in plurals:
            self.api.documents[V1ALPHA1] = "application/json", {"resources": [{"name": "alertmanagerconfigs"}]}

    async def later(self, seconds: float = 61.0) -> None:
        """One pass, so much later."""
        self.clock.mono += seconds
        await self.service.once()

    def condition(self, manifest: Object) -> Condition | None:
        """What the status says now."""
        (item,) = assess([manifest], None)
        section = self.service.teller.say(item, Plan("shop", (), PolicyDocument(1), write=False, delete=False))
        assert section is not None
        return section.conditions[0] if section.conditions else None

    def names(self, plural: str) -> list[str]:
        """Of the objects of a kind."""
        return sorted(f"{namespace}/{name}" for kind, namespace, name in self.api.objects if kind == plural)


@asynccontextmanager
async def delivery_world(**said: Any) -> AsyncIterator[AlertWorld]:
    """With every kind of the Prometheus operator, one Prometheus and one Alertmanager that select everything."""
    async with serve() as api, Kube(Access(api.url)) as kube:
        found = FakePrometheus(api)
        app = web.Application()
        app.router.add_get("/api/v1/rules", found.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        options = replace(AlertOptions("tk", "obs", prometheus_url=found.url, own_pods={"app": "tk"}), **said)
        world = AlertWorld(api, kube, found, options)
        world.install(*KINDS, "alertmanagerconfigs")
        api.put("prometheuses", prometheus())
        api.put("alertmanagers", alertmanager())
        try:
            yield world
        finally:
            await runner.cleanup()
