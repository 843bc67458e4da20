-- The archives that were made, each by whose job: nobody else deletes them. They outlive their runs.
CREATE TABLE archived (
    run_id INTEGER PRIMARY KEY,
    job_name TEXT NOT NULL,
    workspace TEXT NOT NULL,
    directory TEXT NOT NULL
) STRICT;
