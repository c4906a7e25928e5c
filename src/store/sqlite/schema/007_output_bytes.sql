-- How many bytes the output of all runs takes, so that nobody has to add them up: the oldest goes when it is too much.
-- A line counts 32 bytes beside its text.
INSERT INTO meta (name, value)
  SELECT 'output_bytes', ifnull(sum(length(CAST(line AS BLOB)) + 32), 0) FROM output;

CREATE TRIGGER output_comes AFTER INSERT ON output BEGIN
  UPDATE meta SET value = value + length(CAST(NEW.line AS BLOB)) + 32 WHERE name = 'output_bytes';
END;
CREATE TRIGGER output_goes AFTER DELETE ON output BEGIN
  UPDATE meta SET value = value - length(CAST(OLD.line AS BLOB)) - 32 WHERE name = 'output_bytes';
END;
