-- Revisions that came from an editor, not from their file; limits of silence of attempts, which a revision may raise.
ALTER TABLE revisions ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN silence_seconds REAL;
