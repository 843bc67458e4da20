-- Before which sheets (uids) a breakpoint has paused the job: none can be set there once more.
ALTER TABLE holds ADD COLUMN stands_before TEXT NOT NULL DEFAULT '[]';
