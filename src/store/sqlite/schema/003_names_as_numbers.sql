-- A claim is the hot path of the scheduler: functions and triggers become numbers, so that a run is a
-- short row with one unique index, and the mark of a trigger moves only when its newest run goes.

CREATE TABLE function (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE trigger (
  id           INTEGER PRIMARY KEY,
  function     INTEGER NOT NULL,
  name         TEXT NOT NULL,
  -- Unix seconds: fire times up to here are accounted for, as are those up to the newest scheduled run.
  -- NULL: it was not part of the configuration; its fire times count from when it is again.
  mark         INTEGER,
  paused_since INTEGER,              -- unix milliseconds
  UNIQUE (function, name)
);

INSERT INTO function (name)
  SELECT function FROM run UNION SELECT function FROM high_water UNION SELECT function FROM skipped;
INSERT INTO trigger (function, name)
  SELECT function.id, named.trigger
  FROM (SELECT function, trigger FROM run UNION SELECT function, trigger FROM high_water
        UNION SELECT function, trigger FROM skipped) AS named
  JOIN function ON function.name = named.function;
UPDATE trigger SET mark = (
  SELECT fire_time FROM high_water JOIN function ON function.name = high_water.function
  WHERE function.id = trigger.function AND high_water.trigger = trigger.name);

ALTER TABLE run RENAME TO old_run;
CREATE TABLE run (
  id          INTEGER PRIMARY KEY,  -- grows, and is never given again: see last_run in meta
  request_id  BLOB NOT NULL,     -- a UUID
  function    INTEGER NOT NULL,
  trigger     INTEGER NOT NULL,
  fire_time   INTEGER NOT NULL,  -- unix seconds
  claim       INTEGER,           -- 1: timed or caught up, one a fire time; NULL: any number
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
INSERT INTO run
  SELECT old_run.id, unhex(replace(request_id, '-', '')), function.id, trigger.id, fire_time,
         CASE WHEN reason IN ('timed', 'catch-up') THEN 1 END, reason, attempt, missed, state, epoch,
         created_at, started_at, finished_at, message, result, idle, repeats
  FROM old_run
  JOIN function ON function.name = old_run.function
  JOIN trigger ON trigger.function = function.id AND trigger.name = old_run.trigger;
DROP TABLE old_run;
DROP TABLE high_water;
-- How many runs there are: counting them would cost each pruning a walk over all of them.
INSERT INTO meta (name, value) SELECT 'runs', count(*) FROM run;
-- The newest number. A run that is folded into an earlier one must not hand its own to the next.
INSERT INTO meta (name, value) SELECT 'last_run', ifnull(max(id), 0) FROM run;
CREATE UNIQUE INDEX run_claim ON run (trigger, fire_time, claim);
CREATE INDEX run_open ON run (function, id) WHERE state IN ('waiting', 'running');

ALTER TABLE skipped RENAME TO old_skipped;
-- Fire times that never became a run: one row a span.
CREATE TABLE skipped (
  id          INTEGER PRIMARY KEY,
  trigger     INTEGER NOT NULL,
  first       INTEGER NOT NULL,
  last        INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  reason      TEXT NOT NULL,     -- down, late, paused, overlap, catch-up-limit, removed
  recorded_at INTEGER NOT NULL
);
INSERT INTO skipped
  SELECT old_skipped.id, trigger.id, first, last, count, reason, recorded_at
  FROM old_skipped
  JOIN function ON function.name = old_skipped.function
  JOIN trigger ON trigger.function = function.id AND trigger.name = old_skipped.trigger;
DROP TABLE old_skipped;
CREATE INDEX skipped_trigger ON skipped (trigger, id);
