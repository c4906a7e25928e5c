#!/usr/bin/env bash
# Kills the daemon in the middle of mailings, for as long as you like, and checks every row afterwards.
#
#   ./scripts/torture.sh                        one round: 100,000 rows, five kills, a random seed
#   ./scripts/torture.sh --rounds 20            as many as that, each with a seed of its own
#   ./scripts/torture.sh --seed 7               that round again
#   ./scripts/torture.sh --rows N --kills N
#   ./scripts/torture.sh --simulation           ten years of a thousand triggers, simulated; takes --rounds and --seed
#
# Needs what ./scripts/test.sh installs. Stops at the first breach of the promise and prints its seed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=1 rows=100000 kills=5 seed= simulation=
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2; shift 2 ;;
    --rows) rows=$2; shift 2 ;;
    --kills) kills=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --simulation) simulation=yes; shift ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
  # shellcheck source=/dev/null
  . "$HOME/.cargo/env"
fi

passed=0
if [ -n "$simulation" ]; then
  for round in $(seq "$rounds"); do
    this=${seed:-$((RANDOM * 32768 + RANDOM))}
    echo "== round $round of $rounds: seed $this"
    if GULOU_SIM_SEED=$this GULOU_SIM_TRIGGERS=1000 GULOU_SIM_DAYS=3650 \
      cargo test --locked --release --quiet --lib simulation -- --nocapture; then
      passed=$((passed + 1))
    else
      echo "failed; again with: $0 --simulation --seed $this"
      echo "$passed passed, 1 failed"
      exit 1
    fi
  done
  echo "$passed passed, 0 failed"
  exit 0
fi

cargo test --locked --release --test it --no-run
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
