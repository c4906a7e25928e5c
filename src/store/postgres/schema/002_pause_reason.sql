-- Why a trigger is paused, when a run asked for it: one line for people.
ALTER TABLE trigger ADD COLUMN paused_because text;
