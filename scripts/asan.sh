#!/usr/bin/env bash
# The scanner and the evaluator of conditions under AddressSanitizer: compiled anew with gcc's, run on the kept corpus and on
# damaged requests. Ends with 1 and a report at the first byte that is read or written where it should not be.
#
# Usage: scripts/asan.sh [--seconds 20] [--seed 1]        (options of tests/wire_fuzz.py)
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH

work=${TRACEKEEPER_ASAN:-}
if [[ -z $work ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
site=$work/asan
mkdir -p "$site" "$work/c"
cp -r sidecar/tracekeeper_sidecar proto/tracekeeper_spec "$site"
find "$site" -name '*.so' -delete

include=$(python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
suffix=$(python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
wire=tracekeeper_sidecar/wire
for module in walker meter program scan match; do
  (
    cython -3 --module-name "tracekeeper_sidecar.wire.$module" -I "$site" "$site/$wire/$module.py" -o "$work/c/$module.c" 2>"$work/c/$module.log"
    gcc -shared -fPIC -O0 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
      -fwrapv -w -I "$include" "$work/c/$module.c" -o "$site/$wire/$module$suffix"
  ) &
done
for job in $(jobs -p); do
  wait "$job" || { cat "$work"/c/*.log >&2; exit 1; }
done

# Python's own allocator would hide what happens between its small blocks; and Python keeps what it has until it ends.
LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so) \
  PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
  PYTHONPATH=$site:tests python -P tests/wire_fuzz.py "$@"
