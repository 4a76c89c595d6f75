#!/usr/bin/env bash
# Runs the tests in two halves: what needs no cluster, and the cluster's, which waits for Kubernetes most of the time. They
# run side by side, which takes two thirds of the time: the output of the second follows that of the first. Without root
# the second half cannot run; it says so loudly, and with CI=true that is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
if [ "$(id -u)" -ne 0 ]; then
  $python -m pytest -m "not cluster" "$@"
  status=$?
  printf '\n%s\n' '######################################################################' \
    'NOT RUN: the cluster tests. They start a real Kubernetes and need root:' \
    '  sudo make test' \
    '######################################################################' >&2
  [ "${CI:-}" = true ] && { echo 'In CI that is a failure.' >&2; exit 1; }
  exit $status
fi

told=$(mktemp)
cluster=
finish() {
  # pytest ends what it has started when it is interrupted, the cluster too; SIGTERM would leave it behind.
  [ -n "$cluster" ] && kill -INT "$cluster" 2>/dev/null && wait "$cluster"
  rm -f "$told"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The shell has commands in the background ignore SIGINT, and Python would go on doing so.
setsid "$python" -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); os.execv(sys.argv[1], sys.argv[1:])' \
  "$(command -v $python)" -m pytest -m cluster "$@" >"$told" 2>&1 &
cluster=$!
$python -m pytest -m "not cluster" "$@"
status=$?
if [ $status -ne 0 ]; then
  echo 'The other half failed, so the cluster tests end here. What they have said:'
  cat "$told"
  exit $status
fi
echo 'The cluster tests, from their beginning:'
tail -n +1 -f --pid="$cluster" "$told"
wait "$cluster"
status=$?
cluster=
exit $status
