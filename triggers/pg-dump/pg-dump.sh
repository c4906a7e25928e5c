# Dumps the database that PGDATABASE names into a folder, and keeps the newest dumps.
#
#     sh pg-dump.sh FOLDER KEEP
#
# PGHOST, PGUSER and so on say where it is; the password belongs into ~/.pgpass. A dump has its name only when it is
# whole; pg_restore reads it.
set -eu

folder=$1
keep=$2

if ! command -v pg_dump >/dev/null; then
  echo "pg_dump is not installed: sudo apt-get install postgresql-client" >&2
  exit 1
fi

mkdir -p "$folder"
# 2026-06-01T01:00:00Z without what file systems dislike; the fire time, so that a run that is repeated makes no second one.
name=$PGDATABASE-$(echo "$GULOU_FIRE_TIME" | tr -d ':-').dump
draft=$folder/.$name.part
trap 'rm -f "$draft"' EXIT
pg_dump --format=custom --file="$draft"
pg_restore --list "$draft" >/dev/null
sync "$draft"
mv "$draft" "$folder/$name"
echo "wrote $folder/$name, $(wc -c <"$folder/$name") bytes"

# Names have their time in them: the oldest come first.
count=$(find "$folder" -maxdepth 1 -name "$PGDATABASE-*T*Z.dump" | wc -l)
find "$folder" -maxdepth 1 -name "$PGDATABASE-*T*Z.dump" | sort | head -n "$((count > keep ? count - keep : 0))" |
  while read -r old; do
    rm -f "$old"
    echo "deleted $old"
  done
