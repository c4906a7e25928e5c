"""What orphaned-files.sh does. Files younger than a day stay: their row may not be written yet."""

import pathlib
import sqlite3
import sys
import time

database, folder, *options = sys.argv[1:]
folder = pathlib.Path(folder)
if not folder.is_dir():
    print(f"no {folder} yet: nothing to do")
    sys.exit()
# Read-only: a clean-up that makes an empty database would take every file for an orphan.
connection = sqlite3.connect(pathlib.Path(database).resolve(strict=True).as_uri() + "?mode=ro", uri=True)
named = {name for (name,) in connection.execute("SELECT file FROM attachments")}
yesterday = time.time() - 86_400

orphans = [
    path
    for path in sorted(folder.iterdir())
    if path.is_file() and path.name not in named and path.stat().st_mtime < yesterday
]
for path in orphans:
    if "--delete" in options:
        path.unlink()
        print(f"deleted {path.name}")
    else:
        print(f"would delete {path.name}, {path.stat().st_size} bytes")
print(f"{len(orphans)} files without a row, {len(named)} rows")
