"""Asks the API server for annotated pods, one after the other, and counts: a program, until its standard input ends.

Every request is a dry run through the webhook. Prints `{"admitted": N, "failed": [reasons]}` as JSON; a pod without a
sidecar is a failure like any other.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import ssl
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

SIDECAR = "tracekeeper-sidecar"
PAUSE = 0.1
"""Seconds between two of them."""


def context(kubeconfig: dict[str, Any]) -> tuple[str, ssl.SSLContext]:
    """The server, and TLS as its administrator."""
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    found = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        for part in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(user[part]))
        pair.flush()
        found.load_cert_chain(pair.name)
    return str(cluster["server"]), found


def admitted(connection: http.client.HTTPConnection, namespace: str) -> str:
    """Empty when the API server would have made the pod with its sidecar, else why not."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "asked-", "annotations": {"tracekeeper.dev/inject": "true"}},
        "spec": {"containers": [{"name": "app", "image": "nowhere.invalid/app"}]},
    }
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    connection.request("POST", path, json.dumps(pod), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    if answer.status != 201:
        return f"{answer.status}: {document.get('message')}"
    names = [container["name"] for container in document["spec"].get("initContainers", [])]
    return "" if SIDECAR in names else f"no sidecar: {document['metadata'].get('annotations')}"


def main(namespace: str) -> None:
    """Ask until there is nobody any more who wants to know."""
    server, tls = context(yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text()))
    place = urllib.parse.urlsplit(server)
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, context=tls, timeout=30)
    count, failed = 0, []
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        if problem := admitted(connection, namespace):
            failed.append(problem)
        else:
            count += 1
    print(json.dumps({"admitted": count, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1])
