#!/usr/bin/env bash
# Kills the daemon in the middle of mailings, for as long as you like, and checks every row afterwards. With --cron it
# is the expressions' turn: all clock changes of all zones, then the fuzz targets.
#
#   ./scripts/torture.sh                        one round: 100,000 rows, five kills, a random seed
#   ./scripts/torture.sh --rounds 20            as many as that, each with a seed of its own
#   ./scripts/torture.sh --seed 7               that round again
#   ./scripts/torture.sh --rows N --kills N
#   ./scripts/torture.sh --cron                 ten random expressions a clock change, ten minutes of fuzzing
#   ./scripts/torture.sh --cron --expressions N --seconds N   (N expressions: at most 32)
#
# Needs what ./scripts/test.sh installs. Stops at the first breach of the promise and prints its seed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=1 rows=100000 kills=5 seed= cron=no expressions=10 seconds=600
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2; shift 2 ;;
    --rows) rows=$2; shift 2 ;;
    --kills) kills=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --cron) cron=yes; shift ;;
    --expressions) expressions=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
  # shellcheck source=/dev/null
  . "$HOME/.cargo/env"
fi

cargo test --locked --release --test it --no-run
passed=0
if [ "$cron" = yes ]; then
  for round in $(seq "$rounds"); do
    this=${seed:-$((RANDOM * 32768 + RANDOM))}
    echo "== round $round of $rounds: $expressions random expressions a clock change, seed $this"
    if GULOU_TORTURE_EXPRESSIONS=$expressions GULOU_TORTURE_SEED=$this \
      cargo test --locked --release --quiet --test it -- --nocapture cron_clock_changes; then
      passed=$((passed + 1))
    else
      echo "failed; again with: $0 --cron --expressions $expressions --seed $this"
      echo "$passed passed, 1 failed"
      exit 1
    fi
  done
  echo "$passed passed, 0 failed"
  exec ./scripts/fuzz.sh --seconds "$seconds"
fi
for round in $(seq "$rounds"); do
  this=${seed:-$((RANDOM * 32768 + RANDOM))}
  echo "== round $round of $rounds: $rows rows, $kills kills, seed $this"
  if GULOU_TORTURE_ROWS=$rows GULOU_TORTURE_KILLS=$kills GULOU_TORTURE_SEED=$this \
    cargo test --locked --release --quiet --test it -- --nocapture --test-threads 1 scenario_crash; then
    passed=$((passed + 1))
  else
    echo "failed; again with: $0 --rows $rows --kills $kills --seed $this"
    echo "$passed passed, 1 failed"
    exit 1
  fi
done
echo "$passed passed, 0 failed"
