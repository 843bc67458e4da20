-- What was for a cluster and was not seen to begin there, which each status of a job counts: few, or none.
CREATE INDEX attempts_unbegun ON attempts (run_id) WHERE executor <> 'local' AND cluster_job IS NULL AND outcome IS NOT NULL;
