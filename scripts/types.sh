#!/usr/bin/env bash
# mypy --strict on all of our Python: the packages, then the programs and tests, which are no packages. `make check` runs it.
# The latter are found by their folders, as when they run; bench and demo each have a spans.py, hence three more runs.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH

# strict LABEL FOLDERS FILES…: the folders, separated by colons, are where imports are looked for besides the packages.
strict() {
  local label=$1 folders=$2
  shift 2
  printf '%s: ' "$label"
  MYPYPATH=$folders mypy --cache-dir ".mypy_cache/$label" "$@"
}

# Everything is read from disk, and not from git: an image's or an archive's copy has no .git.
python_in() { find "$@" -name '*.py' -not -path '*/.*' | sort; }

printf 'packages: '
mypy
mapfile -t files < <(python_in scripts tests | grep -v -e /test_bench_ -e /corpus/genai/)
strict tests scripts:tests "${files[@]}"
# Not its programs/: each needs the packages of its dialect, which are not installed here.
mapfile -t files < <(python_in tests/corpus/genai/make | grep -v /programs/)
strict corpus tests/corpus/genai/make "${files[@]}"
mapfile -t files < <(python_in bench tests/unit/demo/test_bench_*.py)
strict bench bench:tests "${files[@]}"
mapfile -t files < <(python_in examples charts | grep -v openai-agents)
strict examples examples/demo:examples/processors/team_from_route "${files[@]}"
mapfile -t files < <(python_in examples/openai-agents)
strict openai-agents examples/openai-agents "${files[@]}"
