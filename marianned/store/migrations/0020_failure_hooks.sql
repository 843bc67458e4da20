-- Hooks of a failure (`on_failure`): whether some are still to run in a run that has ended failed.
ALTER TABLE runs ADD COLUMN failing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hooks ADD COLUMN after_failure INTEGER NOT NULL DEFAULT 0;
