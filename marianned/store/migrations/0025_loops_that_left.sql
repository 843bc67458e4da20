-- Loops whose last stage a revision took out before it was done: in which round they were, for the score that has them again.
ALTER TABLE loops ADD COLUMN needs TEXT NOT NULL DEFAULT '[]';
ALTER TABLE left_scores ADD COLUMN loops TEXT NOT NULL DEFAULT '{}';
