#!/usr/bin/env bash
# Fuzzes what reads text: expressions, fire times (against looking at every second, `cron` and `croner`), configuration.
#
#   ./scripts/fuzz.sh                             a minute for each target, side by side
#   ./scripts/fuzz.sh --seconds 600 next          that long, that target only: parse, next or config
#   ./scripts/fuzz.sh --seed 1                    from fuzz/seeds alone, with this seed: the same start each time
#
# Needs g++ besides Rust, neither nightly nor cargo-fuzz. What was found interesting is kept in fuzz/corpus; an input that
# breaks something is written to fuzz/artifacts. To run it again: ./scripts/fuzz.sh TARGET FILE
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
seconds=60 seed= targets=() files=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?} && shift 2 ;;
    --seed) seed=${2:?} && shift 2 ;;
    parse|next|config) targets+=("$1") && shift ;;
    *) [ -f "$1" ] && [ ${#targets[@]} -eq 1 ] || usage
       files+=("$(realpath "$1")") && shift ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || targets=(parse next config)

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
  # shellcheck source=/dev/null
  . "$HOME/.cargo/env"
fi
command -v g++ >/dev/null || { echo 'g++ is missing: it compiles the fuzzer' >&2; exit 1; }

# What cargo-fuzz passes, as far as a stable compiler takes it. With --target build scripts are left alone.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage=(
  -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares
)
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
(
  cd fuzz
  RUSTFLAGS="--cfg fuzzing -D warnings ${coverage[*]}" \
    cargo build --locked --release --target "$host" --target-dir target "${bins[@]}"
)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

run() {
  local target=$1 corpus=fuzz/corpus/$1 options=()
  shift
  local program=fuzz/target/$host/release/$target
  mkdir -p "fuzz/artifacts/$target"
  if [ $# -gt 0 ]; then "$program" "$@"; return; fi
  if [ -n "$seed" ]; then
    corpus=$scratch/corpus-$target
    options+=("-seed=$seed")
  fi
  mkdir -p "$corpus"
  "$program" "$corpus" "fuzz/seeds/$target" "-max_total_time=$seconds" "-artifact_prefix=fuzz/artifacts/$target/" \
    -max_len=2048 -timeout=10 -print_final_stats=1 "${options[@]+"${options[@]}"}" >"$scratch/$target.log" 2>&1
}

if [ ${#files[@]} -gt 0 ]; then run "${targets[0]}" "${files[@]}"; exit; fi

pids=()
for target in "${targets[@]}"; do
  run "$target" &
  pids+=($!)
done
failed=0
for index in "${!targets[@]}"; do
  target=${targets[$index]}
  if wait "${pids[$index]}"; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$target.log")
    echo "fuzz $target: $runs inputs, nothing found"
  else
    failed=1
    tail -n 40 "$scratch/$target.log"
    echo "fuzz $target: failed; the input is in fuzz/artifacts/$target"
  fi
done
exit $failed
