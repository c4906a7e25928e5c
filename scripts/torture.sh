#!/usr/bin/env bash
# Kills, freezes and cuts off the daemon, the database and the receiver in the middle of mailings, for as long as you
# like, and checks every row afterwards. With --cron it is the expressions' turn: all clock changes of all zones, then
# the fuzz targets. With --simulation, the scheduler's. With --crashes, functions and commands crash. With --wechat, a great
# many messages go to a WeChat of our own.
#
#   ./scripts/torture.sh                        one round: 100,000 rows, 24 blows a mailing, a random seed
#   ./scripts/torture.sh --rounds 20            as many as that, each with a seed of its own
#   ./scripts/torture.sh --seed 7               that round again
#   ./scripts/torture.sh --rows N --kills N     (--kills: all blows; every eighth is a SIGKILL to the daemon)
#   ./scripts/torture.sh --database sqlite --on-uncertain hold   (or `postgres`, `mariadb`; `resend`; both default to all)
#   ./scripts/torture.sh --pause MS             how long the daemon is frozen and the database away: 31000, past every deadline
#   ./scripts/torture.sh --cron                 ten random expressions a clock change, ten minutes of fuzzing
#   ./scripts/torture.sh --cron --expressions N --seconds N   (N expressions: at most 32)
#   ./scripts/torture.sh --simulation           ten years of a thousand triggers, simulated; takes --rounds and --seed
#   ./scripts/torture.sh --crashes N            N runs of functions and commands that crash, and what is left of them
#   ./scripts/torture.sh --wechat N             N subscription messages: each user gets one (100000: about half a minute)
#
# Needs what ./scripts/test.sh installs. Stops at the first breach of the promise and prints its seed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=1 rows=100000 kills=24 pause=31000 database=all on_uncertain=both seed= cron=no simulation=no crashes= wechat= expressions=10 seconds=600
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2; shift 2 ;;
    --rows) rows=$2; shift 2 ;;
    --kills) kills=$2; shift 2 ;;
    --pause) pause=$2; shift 2 ;;
    --database) database=$2; shift 2 ;;
    --on-uncertain) on_uncertain=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --cron) cron=yes; shift ;;
    --simulation) simulation=yes; shift ;;
    --crashes) crashes=$2; shift 2 ;;
    --wechat) wechat=$2; shift 2 ;;
    --expressions) expressions=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    *) sed -n '2,21s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done

case "$database" in
  all) homes=(sqlite postgres mariadb) ;;
  sqlite | postgres | mariadb) homes=("$database") ;;
  *) echo "no such database: $database" >&2; exit 2 ;;
esac
case "$on_uncertain" in
  both) rules=(hold resend) ;;
  hold | resend) rules=("$on_uncertain") ;;
  *) echo "no such rule: $on_uncertain" >&2; exit 2 ;;
esac

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
  # shellcheck source=/dev/null
  . "$HOME/.cargo/env"
fi

# run_rounds WHAT OPTIONS SEED_VARIABLE COMMAND...: the command once a round, each with a seed of its own; OPTIONS are what
# replays a round beside its seed.
run_rounds() {
  local what=$1 options=$2 variable=$3 passed=0 round this
  shift 3
  for round in $(seq "$rounds"); do
    this=${seed:-$((RANDOM * 32768 + RANDOM))}
    echo "== round $round of $rounds: $what, seed $this"
    if ! env "$variable=$this" "$@"; then
      echo "failed; again with: $0 $options --seed $this"
      echo "$passed passed, 1 failed"
      exit 1
    fi
    passed=$((passed + 1))
  done
  echo "$passed passed, 0 failed"
}

tests=(cargo test --locked --release --quiet)
if [ -n "$crashes" ]; then
  exec env GULOU_TORTURE_CRASHES="$crashes" "${tests[@]}" --test it -- --nocapture --exact \
    target_crashes::crashing_nodejs_and_python_and_commands_leak_nothing
elif [ -n "$wechat" ]; then
  exec env GULOU_WECHAT_MESSAGES="$wechat" "${tests[@]}" --test it -- --nocapture --exact \
    batch_wechat::a_great_many_messages_reach_each_user_once
elif [ "$simulation" = yes ]; then
  run_rounds 'ten years of a thousand triggers' --simulation GULOU_SIM_SEED \
    env GULOU_SIM_TRIGGERS=1000 GULOU_SIM_DAYS=3650 "${tests[@]}" --lib simulation -- --nocapture
elif [ "$cron" = yes ]; then
  run_rounds "$expressions random expressions a clock change" "--cron --expressions $expressions" GULOU_TORTURE_SEED \
    env GULOU_TORTURE_EXPRESSIONS="$expressions" "${tests[@]}" --test it -- --nocapture cron_clock_changes
  exec ./scripts/fuzz.sh --seconds "$seconds"
else
  mailings=()
  for home in "${homes[@]}"; do
    for rule in "${rules[@]}"; do
      mailings+=("scenario_ordeal::${home}_$rule")
    done
  done
  what="--rows $rows --kills $kills --pause $pause --database $database --on-uncertain $on_uncertain"
  run_rounds "$rows rows, $kills blows a mailing" "$what" GULOU_TORTURE_SEED \
    env GULOU_TORTURE_ROWS="$rows" GULOU_TORTURE_KILLS="$kills" GULOU_TORTURE_PAUSE_MS="$pause" \
    "${tests[@]}" --test it -- --nocapture --test-threads 1 --exact "${mailings[@]}"
fi
