-- A rate limit is of an account: the instrument, the model, and what the setting `env` of the sheet chooses.
CREATE TABLE limits_of_accounts (
    instrument TEXT NOT NULL,
    model TEXT NOT NULL,
    env TEXT NOT NULL DEFAULT '',
    until TEXT,
    since INTEGER NOT NULL,
    message TEXT,
    run_id INTEGER NOT NULL DEFAULT 0,
    said TEXT,
    PRIMARY KEY (instrument, model, env)
) STRICT, WITHOUT ROWID;
INSERT INTO limits_of_accounts (instrument, model, until, since, message, run_id, said)
SELECT instrument, model, until, since, message, run_id, said FROM limits;
DROP TABLE limits;
ALTER TABLE limits_of_accounts RENAME TO limits;
