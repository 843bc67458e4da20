-- How long an attempt may take on its cluster at most, by the time limit of its executor.
ALTER TABLE attempts ADD COLUMN cluster_seconds REAL;
