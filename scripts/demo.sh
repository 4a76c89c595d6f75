#!/usr/bin/env bash
# `make demo` and `make demo-down`: says what will happen and how long it takes, prepares the machine, runs scripts/demo.py.
#   scripts/demo.sh up|down     CLUSTER=current REGISTRY=…   the current kube context instead of a cluster of its own
set -euo pipefail
cd "$(dirname "$0")/.."
action=${1:-up}
own() { [ "${CLUSTER:-own}" = own ]; }

if [ "$action" = up ] && own; then
  if [ "$(id -u)" -ne 0 ]; then
    cat >&2 <<'TEXT'
make demo starts a real Kubernetes in namespaces of its own on this machine; that needs root:
  sudo make demo
Without root:
  make demo-local                                    the sidecar alone, under a minute
  make demo CLUSTER=current REGISTRY=registry/path   on the cluster that kubectl points to
TEXT
    exit 1
  fi
  cat <<'TEXT'
Tracekeeper's demo: the whole journey, on a real single-node Kubernetes that it starts on this machine.

  1. prepare     Debian packages, Kubernetes built from its Go modules, four images      first time 10–20 min
  2. cluster     start it, in network, process and mount namespaces of its own           20 s
  3. install     helm install charts/tracekeeper                                         20 s
  4. use         two trace backends, Prometheus, one TracingConfig, an annotated agent   30 s
  5. watch       spans arrive; one backend fails and comes back; nothing is missing      45 s
  6. be told     the agent goes wrong; an alert fires, comes to Slack, and ends          90 s

About 5 minutes when everything has been built before. Nothing of your own clusters, images or network is touched.
To remove it afterwards: make demo-down

TEXT
  scripts/setup.sh demo
fi

python=
for candidate in .venv/bin/python python3; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || { echo "demo: Python 3.11 or newer is needed: make setup-python, or install python3" >&2; exit 1; }
exec "$python" scripts/demo.py "$action"
