# Outlives the process that holds the other end of standard input, and then kills every process that
# carries its mark ($1) in its environment. Leaves by itself when there is none.
PATH=/usr/local/bin:/usr/bin:/bin
trap '' HUP INT TERM
while read -r _; do :; done
round=0
while [ "$round" -lt 100 ]; do
    marked=$(grep -lsaF -- "$1" /proc/[0-9]*/environ)
    [ -n "$marked" ] || exit 0
    for file in $marked; do
        pid=${file#/proc/}
        kill -KILL "${pid%/environ}"
    done
    round=$((round + 1))
done
