-- Labels, by which several jobs are paused, resumed, cancelled, listed or waited for at once.
ALTER TABLE runs ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN given_labels TEXT NOT NULL DEFAULT '[]';
