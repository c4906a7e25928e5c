-- What a function remembers from one run to the next: the validators of a page that it fetched, the entries it has seen.
CREATE TABLE memo (
  function TEXT NOT NULL,
  name     TEXT NOT NULL,
  value    TEXT NOT NULL,
  PRIMARY KEY (function, name)
) WITHOUT ROWID;
