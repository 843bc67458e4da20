-- Skip rules that are being asked are no attempt of the number 0 any more, but have a table of their own: a
-- row goes with the answer. Where a daemon of before was stopped or killed meanwhile, they are asked again.

CREATE TABLE skips (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    sheet INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    model TEXT,
    started_at INTEGER NOT NULL,
    time_limit_at INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    PRIMARY KEY (run_id, uid)
) STRICT, WITHOUT ROWID;

INSERT INTO skips (
    run_id, uid, sheet, stage, instance, revision, instrument, model, started_at, time_limit_at, incarnation
)
SELECT run_id, uid, sheet, stage, instance, revision, instrument, model, started_at, time_limit_at, incarnation
FROM attempts
WHERE attempt = 0;

DELETE FROM attempts WHERE attempt = 0;
