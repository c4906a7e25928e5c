-- How many bytes the output of all runs takes, so that nobody has to add them up: the oldest goes when it is too much.
-- A line counts 32 bytes beside its text.
ALTER TABLE owner ADD COLUMN output_bytes bigint NOT NULL DEFAULT 0;
UPDATE owner SET output_bytes = (SELECT coalesce(sum(octet_length(line) + 32), 0) FROM output);

CREATE FUNCTION output_comes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE owner SET output_bytes = output_bytes + (SELECT coalesce(sum(octet_length(line) + 32), 0) FROM lines);
  RETURN NULL;
END $$;
CREATE FUNCTION output_goes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE owner SET output_bytes = output_bytes - (SELECT coalesce(sum(octet_length(line) + 32), 0) FROM lines);
  RETURN NULL;
END $$;
CREATE TRIGGER output_comes AFTER INSERT ON output
  REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION output_comes();
CREATE TRIGGER output_goes AFTER DELETE ON output
  REFERENCING OLD TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION output_goes();
