#!/usr/bin/env bash
# Formatting, lints, docs, all tests, and a little fuzzing.
#
#   ./scripts/test.sh           installs what the tests need (Postfix, Node.js, Python, g++, PostgreSQL, MariaDB),
#                               runs everything
#   ./scripts/test.sh --quick   installs nothing, and leaves out the fuzzing, the tests that start Postfix,
#                               its smtp-sink, database servers and whole daemons, and those that need Node.js or Python where there is none
#
# Nothing is left out in silence: the last lines name what did not run.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=no
case "${1-}" in
  '') ;;
  --quick) quick=yes ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

say() { printf '\n== %s\n' "$*"; }
left_out=()

# rustup writes this file; a shell that was open during the installation has not read it.
if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
  # shellcheck source=/dev/null
  . "$HOME/.cargo/env"
fi
command -v cargo >/dev/null || { echo 'cargo is missing: install Rust from https://rustup.rs' >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian keeps smtp-sink in /usr/sbin, which a user's PATH may lack.
export PATH="$PATH:/usr/sbin:/usr/local/sbin"

install_what_is_missing() {
  local packages=()
  command -v node >/dev/null || packages+=(nodejs)
  command -v python3 >/dev/null || packages+=(python3)
  # One package has smtp-sink and the mail server.
  { command -v smtp-sink && [ -x /usr/lib/postfix/sbin/master ]; } >/dev/null || packages+=(postfix)
  command -v g++ >/dev/null || packages+=(g++)
  # The tests start servers of their own, on free ports. Debian starts its services at the installation; they do
  # not get in the way, so this machine's settings are left alone. Stop them if you want none.
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages+=(postgresql)
  command -v mariadbd >/dev/null || packages+=(mariadb-server)
  command -v openssl >/dev/null || packages+=(openssl)
  [ ${#packages[@]} -eq 0 ] && return
  say "installing ${packages[*]}"
  command -v apt-get >/dev/null || {
    echo "install ${packages[*]} by hand: this is no Debian or Ubuntu" >&2
    exit 1
  }
  # The tests start a Postfix of their own. Without a configuration the system's does not start.
  echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

# What rustup's minimal profile leaves out.
need_component() {
  cargo "$1" --version >/dev/null 2>&1 || rustup component add "$2"
}

skipped=()
if [ "$quick" = no ]; then
  install_what_is_missing
  if [ "$(id -u)" != 0 ]; then
    skipped+=(postfix)
    left_out+=('tests that start Postfix: it runs as root only')
  fi
  # Debian's npm brings four hundred packages; it is used where it is, and reaches its registry.
  if ! command -v npm >/dev/null; then
    skipped+=(npm_)
    left_out+=("tests that install packages with npm: it is not installed (https://nodejs.org brings it)")
  elif ! timeout 60 npm view wx-server-sdk version >/dev/null 2>&1; then
    skipped+=(npm_)
    left_out+=('tests that install packages with npm: its registry cannot be reached')
  fi
else
  skipped+=(scenario_ smtp_sink postfix postgres mariadb npm_)
  left_out+=('tests that start Postfix, smtp-sink, PostgreSQL, MariaDB or whole daemons, or install packages (--quick)' 'fuzzing (--quick)')
  if ! command -v node >/dev/null; then
    # Tests with Node.js in their name, and modules whose tests run the function samples.
    skipped+=(nodejs target_function:: target_supervision:: dry_run::)
    left_out+=('tests that need Node.js (--quick, and it is not installed)')
  fi
  if ! command -v openssl >/dev/null; then
    skipped+=(mail_dkim::)
    left_out+=('tests of signed mails, whose keys OpenSSL makes (--quick, and it is not installed)')
  fi
  if ! command -v python3 >/dev/null; then
    skipped+=(python)
    left_out+=('tests that need Python (--quick, and it is not installed)')
  fi
fi
need_component fmt rustfmt
need_component clippy clippy

# One failing step does not hide what the others say; any of them fails the whole.
failed_steps=()
step() {
  local name=$1
  shift
  say "$name"
  "$@" || failed_steps+=("$name")
}

step 'cargo fmt' cargo fmt --check
step 'cargo fmt, fuzz targets' cargo fmt --check --manifest-path fuzz/Cargo.toml
step 'cargo clippy, warnings are errors' cargo clippy --locked --all-targets -- -D warnings
step 'cargo doc, warnings are errors' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
if cargo deny --version >/dev/null 2>&1; then
  step 'cargo deny' cargo deny --locked check
else
  left_out+=('cargo deny: not installed (cargo install --locked cargo-deny)')
fi

run_tests() {
  local name arguments=()
  for name in "${skipped[@]+"${skipped[@]}"}"; do
    arguments+=(--skip "$name")
  done
  cargo test --locked --no-fail-fast -- "${arguments[@]+"${arguments[@]}"}"
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
logged_tests() { run_tests 2>&1 | tee "$log"; }
step 'tests' logged_tests
if [ "$quick" = no ]; then
  step 'fuzzing, ten seconds a target' ./scripts/fuzz.sh --seconds 10 --seed 1
fi

say 'summary'
for item in "${left_out[@]+"${left_out[@]}"}"; do
  echo "did not run: $item"
done
for item in "${failed_steps[@]+"${failed_steps[@]}"}"; do
  echo "failed: $item"
done
awk '
  /^test result:/ { passed += $4; failed += $6; ignored += $8 }
  END {
    if (passed + failed == 0) print "no test ran: see above why"
    if (ignored) print "did not run: " ignored " tests marked #[ignore]"
    printf "%d passed, %d failed\n", passed, failed
  }' "$log"
[ ${#failed_steps[@]} -eq 0 ]
