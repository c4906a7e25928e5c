-- Deliveries that were allowed to start, counted in slots of time, so that a quota holds through restarts.
-- `per`: length of the window; `slot`: begin of the part of it; both in milliseconds.
CREATE TABLE quota (
  name  TEXT NOT NULL,
  per   INTEGER NOT NULL,
  slot  INTEGER NOT NULL,
  taken INTEGER NOT NULL,
  PRIMARY KEY (name, per, slot)
) WITHOUT ROWID;
-- Until when nothing may start, because the other side said so; unix milliseconds.
CREATE TABLE quota_rest (
  name  TEXT NOT NULL PRIMARY KEY,
  until INTEGER NOT NULL
) WITHOUT ROWID;
