-- The most memory that a process of the attempt had at a time, as its record says.
ALTER TABLE attempts ADD COLUMN max_rss_kib INTEGER;
ALTER TABLE hooks ADD COLUMN max_rss_kib INTEGER;
