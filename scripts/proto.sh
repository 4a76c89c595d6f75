#!/usr/bin/env bash
# Generates Python and type stubs from the .proto files, in place. `scripts/proto.sh --check` fails when they differ.
set -euo pipefail
cd "$(dirname "$0")/../proto"
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
find tracekeeper_proto -name '*.proto' -print0 | xargs -0 ../.venv/bin/python -m grpc_tools.protoc -I. --python_out="$out" --pyi_out="$out"
if [ "${1:-}" = --check ]; then
  (cd "$out" && find . -type f) | while read -r file; do
    cmp -s "$out/$file" "$file" || { echo "proto/$file is not what the .proto file says: run make proto" >&2; exit 1; }
  done
else
  cp -r "$out/." .
fi
