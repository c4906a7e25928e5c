# Lists the files in a folder that no row of `attachments` names; with --delete it deletes them.
#
#     sh orphaned-files.sh DATABASE FOLDER [--delete]
set -eu

if ! command -v python3 >/dev/null; then
  echo "python3 is not installed: sudo apt-get install python3" >&2
  exit 1
fi
exec python3 orphaned_files.py "$@"
