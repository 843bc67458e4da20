-- What a limit was said to be, and by whom: others believe one run for an hour.
ALTER TABLE limits ADD COLUMN run_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE limits ADD COLUMN said TEXT;

-- Input tokens that were read from a cache have a price of their own.
ALTER TABLE attempts ADD COLUMN cached_tokens INTEGER;
