"""What the commands read from the cluster, through the official client and the user's own credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tracekeeper_cli.errors import CLIError

GROUP, VERSION, PLURAL = "tracekeeper.dev", "v1alpha1", "tracingconfigs"
CONTAINER = "tracekeeper-sidecar"
TIMEOUT = 15.0
"""Seconds that one call to the API server may take."""


class Cluster:
    """The current kube context. Raises CLIError, whose text names what was asked and what the cluster said."""

    def __init__(self, context: str | None = None) -> None:
        try:
            config.load_kube_config(context=context)
        except config.ConfigException as error:
            raise CLIError(
                f"no usable kubeconfig: {error}. Set KUBECONFIG, or check `kubectl config get-contexts`"
            ) from None
        self.namespace = _context_namespace(context)
        self._core = client.CoreV1Api()
        self._custom = client.CustomObjectsApi()

    def tracing_configs(self, namespace: str | None) -> list[Mapping[str, Any]]:
        """All TracingConfigs of `namespace`, or of every namespace."""
        try:
            if namespace is None:
                answer: Any = self._custom.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=TIMEOUT)
            else:
                answer = self._custom.list_namespaced_custom_object(
                    GROUP, VERSION, namespace, PLURAL, _request_timeout=TIMEOUT
                )
        except ApiException as error:
            if error.status == 404:
                raise CLIError("this cluster has no TracingConfigs: is the chart installed? (`helm list -A`)") from None
            raise CLIError(f"cannot list TracingConfigs: {_reason(error)}") from None
        items: list[Mapping[str, Any]] = answer["items"]
        return items

    def ledger(self, namespace: str, pod: str) -> str:
        """The JSON that the sidecar of `pod` answers at /ledger, through the API server's proxy."""
        port = self._metrics_port(namespace, pod)
        try:
            answer: Any = self._core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:{port}", namespace, "ledger", _request_timeout=TIMEOUT, _preload_content=False
            )
        except ApiException as error:
            raise CLIError(f"the sidecar of {namespace}/{pod} does not answer: {_reason(error)}") from None
        text: str = answer.data.decode()
        return text

    def _metrics_port(self, namespace: str, name: str) -> int:
        try:
            pod: Any = self._core.read_namespaced_pod(name, namespace, _request_timeout=TIMEOUT)
        except ApiException as error:
            raise CLIError(f"cannot read pod {namespace}/{name}: {_reason(error)}") from None
        for container in pod.spec.init_containers or []:
            if container.name == CONTAINER:
                return next((int(port.container_port) for port in container.ports or []), 14316)
        raise CLIError(
            f'pod {namespace}/{name} has no {CONTAINER}: annotate its template with tracekeeper.dev/inject: "true" '
            "and let the pod be created anew; `kubectl get events` says why if it was skipped"
        )


def _context_namespace(context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts()
    chosen = next((c for c in contexts if c["name"] == context), active)
    namespace: str = (chosen or {}).get("context", {}).get("namespace") or "default"
    return namespace


def _reason(error: ApiException) -> str:
    """What the API server said, as one line."""
    try:
        message: str = json.loads(error.body or "")["message"]
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
    return f"{error.status} {message}"
