"""What the commands read from the cluster, through the official client and the user's own credentials."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.objects import Objects, reason

GROUP, VERSION, PLURAL = "tracekeeper.dev", "v1alpha1", "tracingconfigs"
CONTAINER = "tracekeeper-sidecar"
AUTHORITY = "tracekeeper-ca"
RESOLVED_FROM = "tracekeeper.dev/resolved-from"
TIMEOUT = 15.0
"""Seconds that one call to the API server may take."""
DAMAGED = (yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError)
"""What the client lets out for a kubeconfig that is not one, besides its own ConfigException."""


class Cluster:
    """The current kube context. Raises CLIError, whose text names what was asked and what the cluster said."""

    def __init__(self, context: str | None = None) -> None:
        file = os.environ.get("KUBECONFIG") or "~/.kube/config"
        settings = client.Configuration()
        try:
            config.load_kube_config(file, context=context, client_configuration=settings)
            self.namespace = _context_namespace(file, context)
        except config.ConfigException as error:
            raise _unusable(file, str(error)) from None
        except DAMAGED as error:
            raise _unusable(file, f"it cannot be read as a kubeconfig: {' '.join(str(error).split())}") from None
        # A person is waiting: one clear answer now is better than urllib3's three retries, each with a warning.
        settings.retries = False
        self._server = settings.host
        self._settings, self._context = settings, context
        self._api = api = client.ApiClient(settings)
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)

    def tracing_configs(self, namespace: str | None) -> list[Mapping[str, Any]]:
        """All TracingConfigs of `namespace`, or of every namespace."""
        with self._asking("cannot list TracingConfigs"):
            try:
                answer = self._list(namespace)
            except ApiException as error:
                if error.status != 404:
                    raise
                raise CLIError("this cluster has no TracingConfigs: is the chart installed? (`helm list -A`)") from None
        items: list[Mapping[str, Any]] = answer["items"]
        return items

    def tracing_config(self, namespace: str, name: str) -> Mapping[str, Any]:
        """One of them."""
        with self._asking(f"cannot read TracingConfig {namespace}/{name}"):
            answer: Any = self._custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURAL, name, _request_timeout=TIMEOUT
            )
        found: Mapping[str, Any] = answer
        return found

    def replace_tracing_config(self, manifest: dict[str, Any], *, dry_run: bool = False) -> None:
        """Write it in place of the version that its resourceVersion says."""
        meta = manifest["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        more: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        with self._asking(f"TracingConfig {namespace}/{name} is not changed"):
            self._custom.replace_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURAL, name, manifest, _request_timeout=TIMEOUT, **more
            )

    def _list(self, namespace: str | None) -> Any:
        if namespace is None:
            return self._custom.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=TIMEOUT)
        return self._custom.list_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, _request_timeout=TIMEOUT)

    def ledger(self, namespace: str, pod: str) -> str:
        """The JSON that the sidecar of `pod` answers at /ledger, through the API server's proxy."""
        port = self._metrics_port(namespace, pod)
        with self._asking(f"the sidecar of {namespace}/{pod} does not answer"):
            answer: Any = self._core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:{port}", namespace, "ledger", _request_timeout=TIMEOUT, _preload_content=False
            )
            text: str = answer.data.decode(errors="replace")
        return text

    def token(self) -> str:
        """What the user of the kubeconfig shows the API server."""
        keys = self._settings.api_key
        # The client has called it by both names.
        shown: str = keys.get("BearerToken") or keys.get("authorization") or ""
        scheme, _, token = shown.partition(" ")
        # A password would be there as well.
        if scheme != "Bearer" or not token.strip():
            has = "a client certificate" if self._settings.cert_file else "no token"
            raise CLIError(
                f"the kubeconfig's user has {has}, and the operator knows people by tokens alone: name a service "
                "account that may do it (--service-account [NAMESPACE/]NAME), or a file with a token (--token-file)"
            )
        return token.strip()

    def service_account_token(self, namespace: str, name: str, seconds: float) -> str:
        """A token of its own for a service account, good for about so long."""
        # The API server makes none for less than ten minutes.
        spec = client.V1TokenRequestSpec(audiences=[], expiration_seconds=max(600, int(seconds)))
        body = client.AuthenticationV1TokenRequest(spec=spec)
        with self._asking(f"no token for service account {namespace}/{name} (create serviceaccounts/token)"):
            made: Any = self._core.create_namespaced_service_account_token(
                name, namespace, body, _request_timeout=TIMEOUT
            )
        token: str = made.status.token
        return token

    def authority(self, namespace: str) -> Mapping[str, str]:
        """What the operator, which runs in `namespace`, says of its control server: `ca.crt`, `endpoint`."""
        with self._asking(f"cannot read ConfigMap {namespace}/{AUTHORITY}"):
            try:
                found: Any = self._core.read_namespaced_config_map(AUTHORITY, namespace, _request_timeout=TIMEOUT)
            except ApiException as error:
                if error.status != 404:
                    raise
                raise CLIError(
                    f"there is no ConfigMap {namespace}/{AUTHORITY}: is the operator in another namespace (`helm list "
                    "-A`; then say --operator-namespace), older than this command line, or is its control server off?"
                ) from None
        data: Mapping[str, str] = found.data or {}
        if not data.get("ca.crt"):
            raise CLIError(f"ConfigMap {namespace}/{AUTHORITY} has no ca.crt yet: the operator writes it as it starts")
        return data

    def sidecar_pods(self, namespace: str, config: str) -> list[str]:
        """Running pods of `namespace` whose sidecar has been made for this TracingConfig."""
        with self._asking(f"cannot list the pods of namespace {namespace}"):
            found: Any = self._core.list_namespaced_pod(
                namespace, field_selector="status.phase=Running", _request_timeout=TIMEOUT
            )
        picked = f"{namespace}/{config}@"
        return [
            pod.metadata.name
            for pod in found.items
            if str((pod.metadata.annotations or {}).get(RESOLVED_FROM, "")).startswith(picked)
        ]

    def service(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """A Service as the API server has it; None where there is none, or none that the user may read."""
        with self._asking(f"cannot read Service {namespace}/{name}"):
            try:
                answer: Any = self._core.read_namespaced_service(
                    name, namespace, _request_timeout=TIMEOUT, _preload_content=False
                )
            except ApiException as error:
                if error.status not in (403, 404):
                    raise
                return None
        found: Mapping[str, Any] = json.loads(answer.data)
        return found

    def objects(self) -> Objects:
        """To look at whatever else is there."""
        return Objects(self._api, self._asking)

    def _metrics_port(self, namespace: str, name: str) -> int:
        with self._asking(f"cannot read pod {namespace}/{name}"):
            pod: Any = self._core.read_namespaced_pod(name, namespace, _request_timeout=TIMEOUT)
        for container in pod.spec.init_containers or []:
            if container.name == CONTAINER:
                return next((int(port.container_port) for port in container.ports or []), 14316)
        raise CLIError(
            f'pod {namespace}/{name} has no {CONTAINER}: annotate its template with tracekeeper.dev/inject: "true" '
            "and let the pod be created anew; `kubectl get events` says why if it was skipped"
        )

    @contextmanager
    def _asking(self, failure: str) -> Iterator[None]:
        """One question to the API server; what keeps it from an answer becomes a CLIError."""
        try:
            yield
        except ApiException as error:
            raise CLIError(f"{failure}: {reason(error)}") from None
        except HTTPError as error:
            raise CLIError(
                f"{failure}: the API server {self._server} does not answer ({error}). Is it up, and is this the right "
                "context? `kubectl cluster-info` asks it too"
            ) from None


def _unusable(file: str, problem: str) -> CLIError:
    return CLIError(f"no usable kubeconfig: {file}: {problem}. Set KUBECONFIG, or check `kubectl config get-contexts`")


def _context_namespace(file: str, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(file)
    chosen = next((c for c in contexts if c["name"] == context), active)
    namespace: str = (chosen or {}).get("context", {}).get("namespace") or "default"
    return namespace
