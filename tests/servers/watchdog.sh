# The parent of a server: `sh -c SCRIPT watchdog USER SIGNAL`.
#
# Makes a temporary folder, prints it, and carries out one line of shell after the other from its stdin, answering each
# with its exit code and the process id in $server. Its stdin ends when the test process ends, however it ends; then the
# server gets SIGNAL, and the folder goes. A database server refuses to run as root, who lends it USER through $run.
# An answer that nobody reads any more, or a signal, is the end as well, and no reason to leave something behind.
trap : PIPE HUP INT TERM
folder=$(mktemp -d "${TMPDIR:-/tmp}/gulou-server-XXXXXX") && cd "$folder" || exit 1
run=
if [ "$(id -u)" = 0 ]; then
  chown "$1:" . || exit 1
  run="setpriv --reuid=$1 --regid=$1 --clear-groups"
fi
server=
echo "$folder"
while IFS= read -r order; do
  eval "$order" </dev/null >>log 2>&1
  echo "$? $server"
done
if [ -n "$server" ]; then
  kill -s "$2" "$server"
  # A server that was stopped on the way to its end would never take the signal.
  kill -s CONT "$server"
  wait "$server"
fi
cd / && rm -rf "$folder"
