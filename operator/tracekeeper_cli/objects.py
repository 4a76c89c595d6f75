"""What is there in the cluster, as plain JSON: read once, judged elsewhere. Never a Secret's values."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

TIMEOUT = 30.0
"""Seconds that one call to the API server may take; lists of a whole cluster are long."""
PAGE = 500
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_OF_ALL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""The API server refuses the one where the other is meant."""
Object = Mapping[str, Any]
Asking = Callable[[str], AbstractContextManager[None]]
"""Turns what keeps the API server from an answer into a CLIError that begins with these words."""


class Objects:
    """Reads of kinds that the commands know. What the user may not read, and kinds that the cluster does not have, are
    as if they were not there: `unread` says so. Raises CLIError for everything else.
    """

    def __init__(self, api: client.ApiClient, asking: Asking) -> None:
        self._asking = asking
        self.unread: list[str] = []
        """What could not be looked at, and why, in order."""
        core, apps, batch = client.CoreV1Api(api), client.AppsV1Api(api), client.BatchV1Api(api)
        hooks, nets = client.AdmissionregistrationV1Api(api), client.NetworkingV1Api(api)
        bare = client.ApiClient(api.configuration)
        bare.set_default_header("Accept", METADATA)
        self._lists: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
            "pods": (core.list_pod_for_all_namespaces, core.list_namespaced_pod),
            "events": (core.list_event_for_all_namespaces, core.list_namespaced_event),
            "namespaces": (core.list_namespace, None),
            "deployments": (apps.list_deployment_for_all_namespaces, apps.list_namespaced_deployment),
            "statefulsets": (apps.list_stateful_set_for_all_namespaces, apps.list_namespaced_stateful_set),
            "daemonsets": (apps.list_daemon_set_for_all_namespaces, apps.list_namespaced_daemon_set),
            "replicasets": (apps.list_replica_set_for_all_namespaces, apps.list_namespaced_replica_set),
            "jobs": (batch.list_job_for_all_namespaces, batch.list_namespaced_job),
            "cronjobs": (batch.list_cron_job_for_all_namespaces, batch.list_namespaced_cron_job),
            "mutatingwebhookconfigurations": (hooks.list_mutating_webhook_configuration, None),
            "validatingwebhookconfigurations": (hooks.list_validating_webhook_configuration, None),
            "networkpolicies": (nets.list_network_policy_for_all_namespaces, nets.list_namespaced_network_policy),
            "customresourcedefinitions": (client.ApiextensionsV1Api(api).list_custom_resource_definition, None),
        }
        bare_lists = client.ApiClient(api.configuration)
        bare_lists.set_default_header("Accept", METADATA_OF_ALL)
        values = client.CoreV1Api(bare_lists)
        self._lists["secrets"] = (values.list_secret_for_all_namespaces, values.list_namespaced_secret)
        self._lists["configmaps"] = (values.list_config_map_for_all_namespaces, values.list_namespaced_config_map)
        self._custom = client.CustomObjectsApi(api)
        self._config_map = core.read_namespaced_config_map
        self._pod, self._namespace = core.read_namespaced_pod, core.read_namespace
        self._secret = client.CoreV1Api(bare).read_namespaced_secret

    def all_of(self, plural: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Object]:
        """All of a kind, in one namespace or (None) in the whole cluster; of Secrets and ConfigMaps the metadata
        alone."""
        everywhere, within = self._lists[plural]
        scope = [] if namespace is None or within is None else [namespace]
        call = within if scope and within is not None else everywhere
        where = f" of namespace {namespace}" if scope else ""
        found: list[Object] = []
        for page in self._pages(f"cannot list {plural}{where}", call, scope, labels, fields):
            found += page
        return found

    def pod(self, namespace: str, name: str) -> Object | None:
        """None where there is none."""
        with self._asking(f"cannot read pod {namespace}/{name}"):
            try:
                answer = self._pod(name, namespace, _request_timeout=TIMEOUT, _preload_content=False)
            except ApiException as error:
                if error.status != 404:
                    raise
                return None
        return _body(answer)

    def namespace(self, name: str) -> Object | None:
        """None where there is none, or it may not be read."""
        return self._one(f"cannot read namespace {name}", self._namespace, name)

    def secret(self, namespace: str, name: str) -> Object | None:
        """Its metadata alone; None where there is none, or it may not be read."""
        return self._one(f"cannot read Secret {namespace}/{name}", self._secret, name, namespace)

    def config_map(self, namespace: str, name: str) -> Object | None:
        """None where there is none, or it may not be read."""
        return self._one(f"cannot read ConfigMap {namespace}/{name}", self._config_map, name, namespace)

    def pod_monitors(self) -> list[Object] | None:
        """Of the Prometheus operator; None where the cluster does not know them, or they may not be read."""
        return self.monitoring("podmonitors")

    def monitoring(self, plural: str, version: str = "v1", labels: str = "") -> list[Object] | None:
        """All of a kind of the Prometheus operator; None as above."""
        asked = ("monitoring.coreos.com", version, plural)
        listed = self._custom.list_cluster_custom_object
        call = functools.partial(listed, label_selector=labels) if labels else listed
        found = self._one(f"cannot list {plural}", call, *asked)
        return None if found is None else list(found.get("items") or ())

    def _one(self, failure: str, call: Callable[..., Any], *path: str) -> Object | None:
        with self._asking(failure):
            try:
                answer = call(*path, _request_timeout=TIMEOUT, _preload_content=False)
            except ApiException as error:
                if error.status == 403:
                    self._note(failure, error)
                elif error.status != 404:
                    raise
                return None
        return _body(answer)

    def _pages(
        self, failure: str, call: Callable[..., Any], scope: list[str], labels: str, fields: str
    ) -> Iterator[list[Object]]:
        query: dict[str, Any] = {"limit": PAGE, "_request_timeout": TIMEOUT, "_preload_content": False}
        query |= {"label_selector": labels} if labels else {}
        query |= {"field_selector": fields} if fields else {}
        while True:
            with self._asking(failure):
                try:
                    answer = call(*scope, **query)
                except ApiException as error:
                    if error.status not in (403, 404):
                        raise
                    self._note(failure, error)
                    return
            body = _body(answer)
            yield list(body.get("items") or ())
            more = (body.get("metadata") or {}).get("continue")
            if not more:
                return
            query["_continue"] = more

    def _note(self, failure: str, error: ApiException) -> None:
        self.unread.append(f"{failure}: {reason(error)}")


def reason(error: ApiException) -> str:
    """What the API server said, as one line."""
    try:
        message: str = json.loads(error.body or "")["message"]
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
    return f"{error.status} {message}"


def _body(answer: Any) -> Object:
    found: Object = json.loads(answer.data)
    return found
