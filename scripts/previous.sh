#!/usr/bin/env bash
# Keeps the sources of a version in tests/neighbours/previous.tar.xz, for the tests that let it work with this one.
# `scripts/previous.sh COMMIT` after a release, with the commit that was released; so that the next version is tested
# beside it. The same commit gives the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "${1:?usage: scripts/previous.sh COMMIT}^{commit}")
git archive --prefix=previous/ "$commit" sidecar operator proto setup.py pyproject.toml README.md LICENSE \
  | xz -9 > tests/neighbours/previous.tar.xz
echo "tests/neighbours/previous.tar.xz: commit $commit, $(stat -c %s tests/neighbours/previous.tar.xz) bytes"
