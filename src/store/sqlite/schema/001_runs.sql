CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

-- One row a run. For a timed or caught-up fire the row is the claim: see run_claim.
CREATE TABLE run (
  id          INTEGER PRIMARY KEY,
  request_id  TEXT NOT NULL UNIQUE,
  function    TEXT NOT NULL,
  trigger     TEXT NOT NULL,
  fire_time   INTEGER NOT NULL,  -- unix seconds
  reason      TEXT NOT NULL,     -- timed, catch-up, manual, retry, resume
  attempt     INTEGER NOT NULL,
  missed      INTEGER NOT NULL,
  state       TEXT NOT NULL,     -- waiting, running, or how it ended
  epoch       INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,  -- unix milliseconds, as the two below
  started_at  INTEGER,
  finished_at INTEGER,
  message     TEXT,
  result      TEXT,              -- JSON
  idle        INTEGER NOT NULL DEFAULT 0,  -- it found nothing to do
  repeats     INTEGER NOT NULL DEFAULT 0   -- later idle runs folded into this one
);
CREATE UNIQUE INDEX run_claim ON run (function, trigger, fire_time) WHERE reason IN ('timed', 'catch-up');
CREATE INDEX run_trigger ON run (function, trigger, id);
CREATE INDEX run_open ON run (function, id) WHERE state IN ('waiting', 'running');
CREATE INDEX run_finished ON run (finished_at) WHERE finished_at IS NOT NULL;

-- Up to here every fire time of the trigger is accounted for: claimed or skipped.
CREATE TABLE high_water (
  function  TEXT NOT NULL,
  trigger   TEXT NOT NULL,
  fire_time INTEGER NOT NULL,
  PRIMARY KEY (function, trigger)
) WITHOUT ROWID;

-- Fire times that never became a run: one row a span.
CREATE TABLE skipped (
  id          INTEGER PRIMARY KEY,
  function    TEXT NOT NULL,
  trigger     TEXT NOT NULL,
  first       INTEGER NOT NULL,
  last        INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  reason      TEXT NOT NULL,     -- down, late, overlap, catch-up-limit
  recorded_at INTEGER NOT NULL
);
CREATE INDEX skipped_trigger ON skipped (function, trigger, id);

CREATE TABLE output (
  run    INTEGER NOT NULL,
  seq    INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  stream TEXT NOT NULL,
  line   TEXT NOT NULL,
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;
