-- What a function remembers from one run to the next: the validators of a page that it fetched, the entries it has seen.
CREATE TABLE memo (
  function text COLLATE "C" NOT NULL,
  name     text COLLATE "C" NOT NULL,
  value    text NOT NULL,
  PRIMARY KEY (function, name)
);
