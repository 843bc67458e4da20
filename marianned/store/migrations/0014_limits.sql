-- The time that a run has taken while it ran (`max_wall_seconds`), and pauses after a stage (`triggers`), each once a run.
ALTER TABLE runs ADD COLUMN wall_milliseconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN counting_since TEXT;
ALTER TABLE sheets ADD COLUMN paused_after INTEGER NOT NULL DEFAULT 0;
