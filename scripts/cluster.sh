#!/usr/bin/env bash
# A real Kubernetes on this machine, for the tests and the demo: scripts/cluster.sh --help
# It needs Python 3.11 and nothing of the virtual environment.
set -euo pipefail
tests=$(cd "$(dirname "$(readlink -f "$0")")/../tests" && pwd)
python=python3
for candidate in python3 /usr/bin/python3 "$tests/../.venv/bin/python"; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
PYTHONPATH=$tests PYTHONDONTWRITEBYTECODE=1 exec "$python" -m cluster "$@"
