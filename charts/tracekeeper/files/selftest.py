"""What `helm test` runs in the operator's image: does the API server hand an annotated pod to the injector, and back?

Creates an annotated pod as a server-side dry run (admission runs in full, nothing is stored) and looks for the sidecar.
Only the standard library. Exit code 0: injected; 1: not injected, the reason and the next step on standard output.
"""

# ruff: noqa: INP001, T201  (a script that a pod runs by itself, and what it prints is its result)

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

ACCOUNT = os.environ.get("ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount")
HOST, PORT = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
NAMESPACE, RELEASE_NAMESPACE = os.environ["TEST_NAMESPACE"], os.environ["RELEASE_NAMESPACE"]
INJECTOR, IMAGE = os.environ["INJECTOR"], os.environ["IMAGE"]
DEADLINE = float(os.environ.get("DEADLINE_SECONDS", "60"))

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "tracekeeper-test-", "annotations": {"tracekeeper.dev/inject": "true"}},
    "spec": {"containers": [{"name": "app", "image": IMAGE, "securityContext": RESTRICTED}]},
}


def dry_run() -> dict[str, object]:
    """The pod as the API server would store it. Raises urllib.error.URLError, also for a refusal."""
    with open(f"{ACCOUNT}/token", encoding="ascii") as file:
        token = file.read().strip()
    host = f"[{HOST}]" if ":" in HOST else HOST
    request = urllib.request.Request(
        f"https://{host}:{PORT}/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All",
        data=json.dumps(POD).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with urllib.request.urlopen(request, timeout=15, context=context) as response:
        pod: dict[str, object] = json.load(response)
        return pod


def judge() -> tuple[bool, str]:
    """Whether the pod came back with the sidecar, and a sentence about it."""
    try:
        pod = dry_run()
    except urllib.error.HTTPError as error:
        return False, f"the API server refused the pod: {error.code} {error.read(2000).decode(errors='replace')}"
    except OSError as error:
        return False, f"the API server could not be reached: {error}"
    spec = pod["spec"]
    assert isinstance(spec, dict)
    for container in spec.get("initContainers", []):
        if container["name"] == "tracekeeper-sidecar":
            return True, f"the pod got the sidecar {container['image']}"
    return False, "the API server accepted the pod and nobody added a sidecar to it"


def main() -> int:
    """Tries until the deadline, because an injector that has just started may not be known to the API server yet."""
    deadline = time.monotonic() + DEADLINE
    while True:
        injected, finding = judge()
        if injected:
            print(f"Passed: in namespace {NAMESPACE}, as a dry run, {finding}.")
            return 0
        if time.monotonic() >= deadline:
            break
        time.sleep(2)
    print(f"Failed: in namespace {NAMESPACE}, as a dry run, {finding}.")
    print("Look at the injector, and whether its certificate is in the webhook configuration:")
    print(f"  kubectl -n {RELEASE_NAMESPACE} get pods; kubectl -n {RELEASE_NAMESPACE} logs deploy/{INJECTOR}")
    print(f"  kubectl get mutatingwebhookconfiguration {INJECTOR} -o yaml")
    return 1


if __name__ == "__main__":
    sys.exit(main())
