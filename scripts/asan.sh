#!/usr/bin/env bash
# The scanner, the evaluator of conditions, what processors change, what folds and cuts for sampling, the log's codec and the glue to libnghttp2 under
# AddressSanitizer: compiled anew, run on the kept corpus, damaged requests and commits, and HTTP/2 that is right, wrong and out
# of order. Ends with 1 and a report at the first byte that is read or written where it should not be.
#
# Usage: scripts/asan.sh [--seconds 20] [--seed 1]        (options of tests/*_fuzz.py)
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
modules=(wire/{walker,meter,program,scan,match}.py wire/{attributes,drop,probability,slabs,traces,keys,fold,keep,shard,verdict}.py
  wire/{addresses,came,calls,component,detected,edits,labels,numbers,rows,splice,sums,tariffs,trace_costs}.py
  wire/{pricing,redact,remembered,table}.py
  wire/normalize{,_answers,_repeats,_span,_usage}.py wire/detect{,_calls,_handoffs,_known,_models,_span}.py
  log/{codec,tail}.py receive/h2/session.pyx)
for source in "${modules[@]}"; do
  (
    module=tracekeeper_sidecar/${source%.*} name=$(basename "${source%.*}")
    cython -3 --module-name "${module//\//.}" -I "$site" "$site/tracekeeper_sidecar/$source" -o "$work/c/$name.c" 2>"$work/c/$name.log"
    gcc -shared -fPIC -O0 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
      -fwrapv -w -I "$include" -I "$site/tracekeeper_sidecar/log" -I "$site/tracekeeper_sidecar/wire" \
      "$work/c/$name.c" -o "$site/$module$suffix" -lnghttp2
  ) &
done
for job in $(jobs -p); do
  wait "$job" || { cat "$work"/c/*.log >&2; exit 1; }
done

# Python's own allocator would hide what happens between its small blocks; and Python keeps what it has until it ends.
sanitized() {
  LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so) \
    PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
    PYTHONPATH=$site:tests python -P "$@"
}
sanitized tests/wire_fuzz.py "$@"
sanitized tests/log_fuzz.py "$@"
sanitized tests/h2_fuzz.py "$@"
