-- When a run that failed is tried again, unix milliseconds; NULL: it is not, or the attempt is under way.
ALTER TABLE run ADD COLUMN retry_at INTEGER;
