-- The ledger of batches: who is owed a delivery, and who has had one that is not marked yet.

-- What a reservation is unique in: a batch until its rows are marked, or one fire of it.
CREATE TABLE ledger_scope (
  id        INTEGER PRIMARY KEY,
  batch     TEXT NOT NULL,
  kind      TEXT NOT NULL,     -- mark, fire
  trigger   TEXT NOT NULL,     -- of the only fire, or the newest; function/trigger
  fire_time INTEGER NOT NULL,  -- of the same; unix seconds
  state     TEXT NOT NULL,     -- running, stopped, failed, done: that fire's
  run       INTEGER NOT NULL,  -- counts the runs
  taken     INTEGER NOT NULL,  -- rows that the fire has taken so far
  cursor    TEXT,              -- key up to which rows are taken; NULL: none yet
  origin    TEXT,              -- cursor at the start of the fire; its pass ends there
  wrapped   INTEGER NOT NULL,  -- 1: the pass has gone on at the start of the table
  remaining INTEGER            -- rows to come in this sweep, if they were counted
);
CREATE INDEX ledger_scope_batch ON ledger_scope (batch, id);
CREATE UNIQUE INDEX ledger_scope_mark ON ledger_scope (batch) WHERE kind = 'mark';

-- One row a reservation. What is sent and marked leaves no row behind.
CREATE TABLE ledger_entry (
  scope       INTEGER NOT NULL,
  key         TEXT NOT NULL,     -- JSON array, one element a key column; [] stands for a whole page
  reservation TEXT NOT NULL,
  state       TEXT NOT NULL,     -- reserved; waiting, resend: for another try; held; sent, failed: to be marked; kept: failed
  epoch       INTEGER NOT NULL,  -- of the owner that reserved it
  run         INTEGER NOT NULL,  -- of the scope, that took it last
  attempts    INTEGER NOT NULL,  -- deliveries that were tried and came to nothing
  at          INTEGER NOT NULL,  -- unix milliseconds: waiting, resend: when it is due; else since when it is so
  detail      TEXT,              -- what the other side answered, or why it failed
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX ledger_due ON ledger_entry (scope, at) WHERE state IN ('waiting', 'resend');
