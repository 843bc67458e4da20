-- The highest number that a run of each job name ever had: a number stays with its run, also when that is
-- removed. The triggers keep it, so that no way of making or renumbering a run can forget to.

CREATE TABLE numbers (
    job_name TEXT PRIMARY KEY,
    run INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER number_given AFTER INSERT ON runs BEGIN
    INSERT INTO numbers (job_name, run) VALUES (new.job_name, new.run)
    ON CONFLICT (job_name) DO UPDATE SET run = max(run, excluded.run);
END;

-- What was removed before this is known from the journal alone.
INSERT INTO numbers (job_name, run)
SELECT job_name, max(run) FROM (
    SELECT job_name, run FROM runs
    UNION ALL SELECT job_name, run FROM events WHERE type = 'job.removed'
)
WHERE job_name IS NOT NULL AND run IS NOT NULL
GROUP BY job_name;
