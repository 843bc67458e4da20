-- The values that a run is given for variables of its score (`--var`): each revision stands on those of its time.
ALTER TABLE revisions ADD COLUMN variables TEXT NOT NULL DEFAULT '{}';
