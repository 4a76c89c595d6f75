#!/usr/bin/env bash
# Runs the tests: first what needs no cluster, then the cluster's. Without root the second half cannot run; it says so
# loudly, and with CI=true that is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
$python -m pytest -m "not cluster" "$@"
status=$?
if [ "$(id -u)" -ne 0 ]; then
  printf '\n%s\n' '######################################################################' \
    'NOT RUN: the cluster tests. They start a real Kubernetes and need root:' \
    '  sudo make test' \
    '######################################################################' >&2
  [ "${CI:-}" = true ] && { echo 'In CI that is a failure.' >&2; exit 1; }
  exit $status
fi
[ $status -eq 0 ] || exit $status
exec $python -m pytest -m cluster "$@"
