-- Hooks that a revision took out of a run's score, with what they did: none does it again.
ALTER TABLE runs ADD COLUMN past_hooks TEXT NOT NULL DEFAULT '[]';
