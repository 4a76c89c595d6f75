"""The kinds of objects that the operator reads and writes, and how the API server addresses them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from . import names


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type of the API server."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The request path of one object, of a namespace's list, or of the whole cluster's."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/" + "/".join(quote(part, safe="") for part in parts)

    def target(self, namespace: str | None = None, name: str | None = None) -> str:
        """The object in words, as kubectl would print it: `secrets shop/tempo`."""
        place = "/".join(part for part in (namespace, name) if part is not None)
        if not place:
            return f"{self.plural} of all namespaces" if self.namespaced else self.plural
        return f"{self.plural} {place}"


TRACING_CONFIGS = Kind(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
SECRETS = Kind("", "v1", "secrets", "Secret")
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Kind("", "v1", "namespaces", "Namespace", False)
PODS = Kind("", "v1", "pods", "Pod")
LIMIT_RANGES = Kind("", "v1", "limitranges", "LimitRange")
RESOURCE_QUOTAS = Kind("", "v1", "resourcequotas", "ResourceQuota")
EVENTS = Kind("", "v1", "events", "Event")
ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
REPLICA_SETS = Kind("apps", "v1", "replicasets", "ReplicaSet")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
JOBS = Kind("batch", "v1", "jobs", "Job")
DEFINITIONS = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
MUTATING = Kind(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False
)
VALIDATING = Kind(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False
)
TOKEN_REVIEWS = Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False)
ACCESS_REVIEWS = Kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False)
