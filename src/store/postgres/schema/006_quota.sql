-- Deliveries that were allowed to start, counted in slots of time, so that a quota holds through restarts.
-- `per`: length of the window; `slot`: begin of the part of it; both in milliseconds.
CREATE TABLE quota (
  name  text COLLATE "C" NOT NULL,
  per   bigint NOT NULL,
  slot  bigint NOT NULL,
  taken bigint NOT NULL,
  PRIMARY KEY (name, per, slot)
);
-- Until when nothing may start, because the other side said so; unix milliseconds.
CREATE TABLE quota_rest (
  name  text COLLATE "C" NOT NULL PRIMARY KEY,
  until bigint NOT NULL
);
