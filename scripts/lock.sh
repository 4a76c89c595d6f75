#!/usr/bin/env bash
# Writes requirements/*.txt anew: current versions, hashes for every platform, no address of any index.
# Usage: scripts/lock.sh            (`make lock`; needs uv on the PATH or in .venv)
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .venv/bin/uv)
compile() { # output, then what to compile
  local out=$1; shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate "$@" -o "requirements/$out"
}
compile dev.txt pyproject.toml --all-extras --group dev --group build "${UPGRADE:---upgrade}"
for extra in sidecar operator cli; do
  compile "$extra.txt" pyproject.toml --extra "$extra" -c requirements/dev.txt
done
compile build.txt --group build -c requirements/dev.txt
for example in demo openai-agents; do
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
    "examples/$example/requirements.in" -c requirements/dev.txt -o "examples/$example/requirements.txt"
done
