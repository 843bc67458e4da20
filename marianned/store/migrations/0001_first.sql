-- The state as tables: one for each kind of row in rows.py, column for field, and the journal.
-- Nested values are JSON text, bytes are blobs, times are UTC milliseconds.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the number of a run that was removed is never used again.
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_name TEXT NOT NULL,
    run INTEGER NOT NULL,
    description TEXT,
    workspace TEXT NOT NULL,
    submit_directory TEXT NOT NULL,
    umask INTEGER NOT NULL,
    env TEXT NOT NULL,
    config_file TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    updated_at INTEGER NOT NULL,
    ended_at INTEGER,
    status TEXT NOT NULL,
    status_since INTEGER NOT NULL,
    paused_at TEXT,
    ended TEXT,
    cancelling INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    last_revision INTEGER NOT NULL,
    staged_revision INTEGER,
    staged_hold INTEGER,
    rewind TEXT NOT NULL,
    not_before TEXT,
    auto_resume INTEGER NOT NULL,
    over_budget REAL NOT NULL,
    next_uid INTEGER NOT NULL,
    next_hold INTEGER NOT NULL,
    next_flight INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    UNIQUE (job_name, run)
) STRICT;

CREATE TABLE sheets (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    sheet INTEGER NOT NULL,
    status TEXT NOT NULL,
    waiting_for TEXT,
    until TEXT,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    completions INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    waits INTEGER NOT NULL,
    fallback INTEGER NOT NULL,
    next_kind TEXT NOT NULL,
    revision INTEGER,
    validation_passed INTEGER,
    error_category TEXT,
    error_message TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    cost_usd REAL,
    definition TEXT,
    warnings TEXT NOT NULL,
    judged INTEGER NOT NULL,
    skip_reason TEXT,
    exit_code INTEGER,
    PRIMARY KEY (run_id, uid)
) STRICT, WITHOUT ROWID;

-- An attempt outlives its sheet's row: a sheet that a modify removes stays in history.
-- `result` comes last: it may be long, and what reads the other columns need not pass it.
CREATE TABLE attempts (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    sheet INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    kind TEXT NOT NULL,
    revision INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    model TEXT,
    started_at INTEGER NOT NULL,
    time_limit_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT,
    parked INTEGER NOT NULL,
    error_category TEXT,
    error_message TEXT,
    exit_code INTEGER,
    signal TEXT,
    pid INTEGER,
    session_id TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    stdout_bytes INTEGER NOT NULL,
    stderr_bytes INTEGER NOT NULL,
    validations TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (run_id, uid, attempt)
) STRICT;

CREATE INDEX attempts_open ON attempts (run_id) WHERE outcome IS NULL;

-- A hook that is pending and was never begun has no row.
CREATE TABLE hooks (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    hook INTEGER NOT NULL,
    status TEXT NOT NULL,
    waiting_for TEXT,
    until TEXT,
    flights TEXT NOT NULL,
    cooled INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    told INTEGER NOT NULL,
    outcome TEXT,
    error_message TEXT,
    exit_code INTEGER,
    signal TEXT,
    pid INTEGER,
    chained TEXT,
    revision INTEGER,
    started_at INTEGER,
    time_limit_at INTEGER,
    ended_at INTEGER,
    stdout_bytes INTEGER NOT NULL,
    stderr_bytes INTEGER NOT NULL,
    kept BLOB,
    PRIMARY KEY (run_id, hook)
) STRICT;

CREATE TABLE holds (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    hold INTEGER NOT NULL,
    cause TEXT NOT NULL,
    owner TEXT,
    reason TEXT,
    held_at INTEGER NOT NULL,
    ends TEXT,
    lasts INTEGER,
    deadline TEXT,
    PRIMARY KEY (run_id, hold)
) STRICT, WITHOUT ROWID;

CREATE TABLE breakpoints (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    PRIMARY KEY (run_id, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    directory TEXT NOT NULL,
    config_file TEXT,
    sha256 TEXT NOT NULL,
    caller TEXT,
    reason TEXT,
    created_at INTEGER NOT NULL,
    applied_at INTEGER,
    problems TEXT NOT NULL,
    plan BLOB NOT NULL,
    text TEXT NOT NULL,
    files TEXT NOT NULL,
    expanded BLOB NOT NULL,
    PRIMARY KEY (run_id, revision)
) STRICT;

CREATE TABLE requests (
    request TEXT PRIMARY KEY,
    uid INTEGER NOT NULL,
    method TEXT NOT NULL,
    key TEXT,
    params TEXT NOT NULL,
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    wish TEXT,
    hold INTEGER,
    revision INTEGER,
    brought INTEGER NOT NULL,
    caller TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    reply BLOB,
    refusal BLOB,
    event INTEGER
) STRICT;

CREATE UNIQUE INDEX requests_by_key ON requests (uid, method, key) WHERE key IS NOT NULL;
CREATE INDEX requests_waiting ON requests (asked_at) WHERE reply IS NULL AND refusal IS NULL;
CREATE INDEX requests_by_time ON requests (asked_at);
CREATE INDEX requests_by_run ON requests (run_id);

-- Rate limits are shared by all jobs: of each instrument and model (empty: the tool's own choice) one.
CREATE TABLE limits (
    instrument TEXT NOT NULL,
    model TEXT NOT NULL,
    until TEXT,
    since INTEGER NOT NULL,
    message TEXT,
    PRIMARY KEY (instrument, model)
) STRICT, WITHOUT ROWID;

-- The git worktree of an isolated run.
CREATE TABLE worktrees (
    run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    isolation BLOB NOT NULL,
    status TEXT NOT NULL,
    repository TEXT NOT NULL,
    path TEXT NOT NULL,
    branch TEXT NOT NULL,
    source TEXT NOT NULL
) STRICT;

-- What is being moved out of a workspace, for a run that is not there yet: it goes with that run's commit.
CREATE TABLE archives (
    run_id INTEGER PRIMARY KEY,
    workspace TEXT NOT NULL,
    directory TEXT NOT NULL,
    entries BLOB NOT NULL
) STRICT;

-- The journal. AUTOINCREMENT: a number names one event for ever.
CREATE TABLE events (
    event INTEGER PRIMARY KEY AUTOINCREMENT,
    recorded_at INTEGER NOT NULL,
    type TEXT NOT NULL,
    run_id INTEGER REFERENCES runs ON DELETE CASCADE,
    job_name TEXT,
    run INTEGER,
    sheet INTEGER,
    stage INTEGER,
    instance INTEGER,
    hook INTEGER,
    attempt INTEGER,
    status TEXT,
    revision INTEGER,
    caller TEXT,
    reason TEXT,
    cause TEXT,
    text TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_sheet ON events (run_id, sheet);
CREATE INDEX events_by_run ON events (run_id);
