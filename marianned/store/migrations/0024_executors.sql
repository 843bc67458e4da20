-- Where attempts run: the executor, and on a cluster the node and the number of the job.
ALTER TABLE attempts ADD COLUMN executor TEXT NOT NULL DEFAULT 'local';
ALTER TABLE attempts ADD COLUMN node TEXT;
ALTER TABLE attempts ADD COLUMN cluster_job TEXT;
ALTER TABLE runs ADD COLUMN executor TEXT;
