"""Every name that the operator shares with the API server, the chart, the sidecar and people."""

from __future__ import annotations

GROUP = "tracekeeper.dev"
VERSION = "v1alpha1"
PLURAL = "tracingconfigs"
KIND = "TracingConfig"

FIELD_MANAGER = "tracekeeper"
"""Owner of every field that the operator writes by server-side apply."""

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "tracekeeper"

POLICY_SECRET = "tracekeeper-policy"
"""One in each namespace that has a TracingConfig; pods mount it as optional."""
POLICY_KEY = "policy.json"

TLS_SECRET = "tracekeeper-webhook-tls"
"""In the operator's own namespace: the certificate that the injector serves, and the authority that signed
it.
"""
CA_CONFIG_MAP = "tracekeeper-ca"
"""In the operator's own namespace, for people: where the control stream is, and the authority of its certificate."""
CA_KEY = "ca.crt"
ENDPOINT_KEY = "endpoint"
CONTROL_PORT = 9444
"""Of the control stream's Service, and of the controller where it is told nothing else."""

INJECT = "tracekeeper.dev/inject"
"""Opt-in: annotation on a pod, label on a namespace."""
OTLP_PROTOCOL = "tracekeeper.dev/otlp-protocol"
"""Annotation on a pod: `http/protobuf` (default) or `grpc`."""
INJECTED = "tracekeeper.dev/injected"
"""Label set on injected pods, `true`: by it they are found again, without a look at any other pod."""
SIDECAR_IMAGE = "tracekeeper.dev/sidecar-image"
"""Annotation set on injected pods: the image that the sidecar was given."""
SIDECAR_VERSION = "tracekeeper.dev/sidecar-version"
"""Annotation set on injected pods: the version of the operator that did it, and of the sidecar that came with it."""
RESOLVED_FROM = "tracekeeper.dev/resolved-from"
"""Set on injected pods: `namespace/name@generation` of the TracingConfig picked at admission, or `none`."""

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of the kubelet on its copy of a static pod in the API; changing the copy changes no container."""
NODE_OS = "kubernetes.io/os"
"""Label of every node; pods for Windows select by it."""

SIDECAR = "tracekeeper-sidecar"
BUFFER_VOLUME = "tracekeeper-buffer"
POLICY_VOLUME = "tracekeeper-policy"
POD_INFO_VOLUME = "tracekeeper-pod-info"
TOKEN_VOLUME = "tracekeeper-token"

BUFFER_PATH = "/var/lib/tracekeeper"
POD_UID = "TRACEKEEPER_POD_UID"
"""Variable of the sidecar, for the name of its own folder on the node."""
POLICY_PATH = "/etc/tracekeeper/policy"
POD_INFO_PATH = "/etc/tracekeeper/pod"
TOKEN_PATH = "/etc/tracekeeper/token"
TOKEN_FILE = "token"
CONTROL_AUDIENCE = "tracekeeper.dev/control"
"""For whom the sidecars' tokens are made: the control stream, and nothing else takes them."""

TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
