-- Every statement but the schema's, by name. Upserts, not REPLACE: that would delete the old row first,
-- and with a run all that hangs on it.

-- name: put_run
INSERT INTO runs (
    run_id, job_name, run, description, workspace, submit_directory, umask, env, config_file,
    created_at, started_at, updated_at, ended_at, status, status_since, paused_at, ended, cancelling,
    begun, revision, last_revision, staged_revision, staged_hold, rewind, not_before,
    auto_resume, over_budget, next_uid, next_hold, next_flight, depth, variables,
    past_hooks
) VALUES (
    :run_id, :job_name, :run, :description, :workspace, :submit_directory, :umask, :env,
    :config_file, :created_at, :started_at, :updated_at, :ended_at, :status, :status_since, :paused_at,
    :ended, :cancelling, :begun, :revision, :last_revision, :staged_revision, :staged_hold,
    :rewind, :not_before, :auto_resume, :over_budget, :next_uid, :next_hold, :next_flight, :depth, :variables,
    :past_hooks
)
ON CONFLICT (run_id) DO UPDATE SET
    job_name = excluded.job_name, run = excluded.run, description = excluded.description,
    workspace = excluded.workspace, submit_directory = excluded.submit_directory,
    umask = excluded.umask, env = excluded.env, config_file = excluded.config_file,
    created_at = excluded.created_at, started_at = excluded.started_at,
    updated_at = excluded.updated_at, ended_at = excluded.ended_at, status = excluded.status,
    status_since = excluded.status_since, paused_at = excluded.paused_at,
    ended = excluded.ended,
    cancelling = excluded.cancelling, begun = excluded.begun, revision = excluded.revision,
    last_revision = excluded.last_revision, staged_revision = excluded.staged_revision,
    staged_hold = excluded.staged_hold, rewind = excluded.rewind,
    not_before = excluded.not_before, auto_resume = excluded.auto_resume,
    over_budget = excluded.over_budget,
    next_uid = excluded.next_uid, next_hold = excluded.next_hold,
    next_flight = excluded.next_flight, depth = excluded.depth, variables = excluded.variables,
    past_hooks = excluded.past_hooks

-- name: put_sheet
INSERT INTO sheets (
    run_id, uid, sheet, status, waiting_for, until, attempts, tries, completions, lost, waits,
    fallback, next_kind, revision, validation_passed, error_category, error_message, started_at, ended_at,
    cost_usd, definition, warnings, judged, skip_reason, exit_code
) VALUES (
    :run_id, :uid, :sheet, :status, :waiting_for, :until, :attempts, :tries, :completions,
    :lost, :waits, :fallback, :next_kind, :revision, :validation_passed, :error_category, :error_message,
    :started_at, :ended_at, :cost_usd, :definition, :warnings, :judged, :skip_reason, :exit_code
)
ON CONFLICT (run_id, uid) DO UPDATE SET
    sheet = excluded.sheet, status = excluded.status, waiting_for = excluded.waiting_for,
    until = excluded.until, attempts = excluded.attempts, tries = excluded.tries,
    completions = excluded.completions, lost = excluded.lost, waits = excluded.waits,
    fallback = excluded.fallback, next_kind = excluded.next_kind,
    revision = excluded.revision, validation_passed = excluded.validation_passed,
    error_category = excluded.error_category, error_message = excluded.error_message,
    started_at = excluded.started_at, ended_at = excluded.ended_at, cost_usd = excluded.cost_usd,
    definition = excluded.definition, warnings = excluded.warnings, judged = excluded.judged,
    skip_reason = excluded.skip_reason, exit_code = excluded.exit_code

-- name: put_attempt
INSERT INTO attempts (
    run_id, uid, attempt, sheet, stage, instance, kind, revision, instrument, model, started_at,
    time_limit_at, ended_at, outcome, parked, error_category, error_message, exit_code, signal, pid,
    session_id, input_tokens, output_tokens, cached_tokens, cost_usd, stdout_bytes, stderr_bytes, validations,
    result, incarnation
) VALUES (
    :run_id, :uid, :attempt, :sheet, :stage, :instance, :kind, :revision, :instrument, :model,
    :started_at, :time_limit_at, :ended_at, :outcome, :parked, :error_category, :error_message,
    :exit_code, :signal, :pid, :session_id, :input_tokens, :output_tokens, :cached_tokens, :cost_usd,
    :stdout_bytes, :stderr_bytes, :validations, :result, :incarnation
)
ON CONFLICT (run_id, uid, attempt) DO UPDATE SET
    sheet = excluded.sheet, stage = excluded.stage, instance = excluded.instance,
    kind = excluded.kind, revision = excluded.revision, instrument = excluded.instrument,
    model = excluded.model, started_at = excluded.started_at,
    time_limit_at = excluded.time_limit_at, ended_at = excluded.ended_at,
    outcome = excluded.outcome, parked = excluded.parked, error_category = excluded.error_category,
    error_message = excluded.error_message, exit_code = excluded.exit_code,
    signal = excluded.signal, pid = excluded.pid, session_id = excluded.session_id,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    cached_tokens = excluded.cached_tokens,
    cost_usd = excluded.cost_usd, stdout_bytes = excluded.stdout_bytes,
    stderr_bytes = excluded.stderr_bytes, validations = excluded.validations,
    result = excluded.result, incarnation = excluded.incarnation

-- name: put_hook
INSERT INTO hooks (
    run_id, hook, status, waiting_for, until, flights, cooled, passed, told, outcome, error_message,
    exit_code, signal, pid, chained, revision, started_at, time_limit_at, ended_at, stdout_bytes,
    stderr_bytes, kept, incarnations
) VALUES (
    :run_id, :hook, :status, :waiting_for, :until, :flights, :cooled, :passed, :told, :outcome,
    :error_message, :exit_code, :signal, :pid, :chained, :revision, :started_at, :time_limit_at,
    :ended_at, :stdout_bytes, :stderr_bytes, :kept, :incarnations
)
ON CONFLICT (run_id, hook) DO UPDATE SET
    status = excluded.status, waiting_for = excluded.waiting_for, until = excluded.until, flights =
    excluded.flights, cooled = excluded.cooled, passed = excluded.passed, told = excluded.told,
    outcome = excluded.outcome, error_message = excluded.error_message, exit_code =
    excluded.exit_code, signal = excluded.signal, pid = excluded.pid, chained = excluded.chained,
    revision = excluded.revision, started_at = excluded.started_at, time_limit_at =
    excluded.time_limit_at, ended_at = excluded.ended_at, stdout_bytes = excluded.stdout_bytes,
    stderr_bytes = excluded.stderr_bytes, kept = excluded.kept,
    incarnations = excluded.incarnations

-- name: put_hold
INSERT INTO holds (
    run_id, hold, cause, owner, reason, held_at, ends, lasts, deadline
) VALUES (
    :run_id, :hold, :cause, :owner, :reason, :held_at, :ends, :lasts, :deadline
)
ON CONFLICT (run_id, hold) DO UPDATE SET
    cause = excluded.cause, owner = excluded.owner, reason = excluded.reason,
    held_at = excluded.held_at, ends = excluded.ends, lasts = excluded.lasts,
    deadline = excluded.deadline

-- name: put_revision
INSERT INTO revisions (
    run_id, revision, status, directory, config_file, sha256, caller, reason, created_at,
    applied_at, problems, plan, text, files, expanded
) VALUES (
    :run_id, :revision, :status, :directory, :config_file, :sha256, :caller, :reason,
    :created_at, :applied_at, :problems, :plan, :text, :files, :expanded
)
ON CONFLICT (run_id, revision) DO UPDATE SET
    status = excluded.status, directory = excluded.directory,
    config_file = excluded.config_file, sha256 = excluded.sha256, caller = excluded.caller,
    reason = excluded.reason, created_at = excluded.created_at,
    applied_at = excluded.applied_at, problems = excluded.problems, plan = excluded.plan, text = excluded.text,
    files = excluded.files, expanded = excluded.expanded

-- name: put_request
INSERT INTO requests (
    request, uid, method, key, params, run_id, wish, hold, revision, brought, caller, asked,
    reply, refusal, event
) VALUES (
    :request, :uid, :method, :key, :params, :run_id, :wish, :hold, :revision, :brought, :caller,
    :asked, :reply, :refusal, :event
)
ON CONFLICT (request) DO UPDATE SET
    uid = excluded.uid, method = excluded.method, key = excluded.key, params = excluded.params,
    run_id = excluded.run_id, wish = excluded.wish, hold = excluded.hold,
    revision = excluded.revision, brought = excluded.brought, caller = excluded.caller,
    asked = excluded.asked, reply = excluded.reply, refusal = excluded.refusal, event = excluded.event

-- name: put_limit
INSERT INTO limits (instrument, model, until, since, message, run_id, said)
VALUES (:instrument, :model, :until, :since, :message, :run_id, :said)
ON CONFLICT (instrument, model) DO UPDATE SET
    until = excluded.until, since = excluded.since, message = excluded.message,
    run_id = excluded.run_id, said = excluded.said

-- name: put_worktree
INSERT INTO worktrees (run_id, isolation, status, repository, path, branch, source)
VALUES (:run_id, :isolation, :status, :repository, :path, :branch, :source)
ON CONFLICT (run_id) DO UPDATE SET
    status = excluded.status, repository = excluded.repository, path = excluded.path,
    branch = excluded.branch, source = excluded.source

-- name: put_archive
INSERT INTO archives (run_id, workspace, directory, entries)
VALUES (:run_id, :workspace, :directory, :entries)

-- name: put_archived
INSERT INTO archived (run_id, job_name, workspace, directory)
VALUES (:run_id, :job_name, :workspace, :directory)

-- name: delete_archived
DELETE FROM archived WHERE run_id = :run_id AND :key IS NOT NULL

-- name: delete_archive
DELETE FROM archives WHERE run_id = :run_id AND :key IS NOT NULL

-- name: put_event
INSERT INTO events (
    recorded_at, type, run_id, job_name, run, sheet, stage, instance, hook, attempt, status, revision,
    caller, reason, cause, text
) VALUES (
    :recorded_at, :type, :run_id, :job_name, :run, :sheet, :stage, :instance, :hook, :attempt, :status,
    :revision, :caller, :reason, :cause, :text
)

-- name: delete_sheet
DELETE FROM sheets WHERE run_id = :run_id AND uid = :key

-- name: delete_skip
-- The skip rules of a sheet have been asked.
DELETE FROM attempts WHERE run_id = :run_id AND uid = :key AND attempt = 0

-- name: put_breakpoint
INSERT INTO breakpoints (run_id, uid) VALUES (:run_id, :uid) ON CONFLICT DO NOTHING

-- name: delete_breakpoint
DELETE FROM breakpoints WHERE run_id = :run_id AND uid = :key

-- name: delete_run
-- All that hangs on it goes with it; `key` is there because every deletion has one.
DELETE FROM runs WHERE run_id = :run_id AND :key IS NOT NULL

-- name: delete_hook
DELETE FROM hooks WHERE run_id = :run_id AND hook = :key

-- name: delete_hold
DELETE FROM holds WHERE run_id = :run_id AND hold = :key

-- name: forget_requests
-- A key counts for a day: what was answered longer ago makes room for a new request with the same one.
-- On the same boot its clock decides, else the UTC time, as in Instant.until.
DELETE FROM requests
WHERE (reply IS NOT NULL OR refusal IS NOT NULL) AND request IN (
    SELECT request FROM requests WHERE asked_boot = :boot AND asked_boottime < :boottime - 86400000
    UNION ALL
    SELECT request FROM requests WHERE asked_at < :at - 86400000 AND asked_boot <> :boot
)

-- name: make_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING

-- name: meta
SELECT value FROM meta WHERE name = :name

-- name: set_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: last_incarnation
SELECT incarnation, token FROM incarnations ORDER BY incarnation DESC LIMIT 1

-- name: incarnations
SELECT incarnation, token, attempts FROM incarnations ORDER BY incarnation

-- name: put_incarnation
INSERT INTO incarnations (incarnation, token, attempts, began_at)
VALUES (:incarnation, :token, :attempts, :began_at)

-- name: forget_unused_incarnations
-- Those after the one that started last: of them nothing is known but their rows.
DELETE FROM incarnations
WHERE incarnation > max(
    coalesce((SELECT incarnation FROM attempts ORDER BY rowid DESC LIMIT 1), 0),
    coalesce((SELECT max(value) FROM hooks, json_each(hooks.incarnations)), 0)
)

-- name: unmark_copy
DELETE FROM meta WHERE name = 'copied'

-- name: forget_planned_worktrees
-- In a copy that was put back: what was planned then may have been made, and worked in, since.
UPDATE worktrees SET status = 'wanted' WHERE status = 'planned'

-- name: forget_archives
-- Likewise: what was being moved then may have been moved, for a run of that time, since.
DELETE FROM archives

-- name: take_room
-- What is to show that there is room again must want some: a change in place would not.
INSERT INTO meta (name, value) VALUES ('room', zeroblob(65536))
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: give_room
DELETE FROM meta WHERE name = 'room'

-- name: last_number
SELECT seq FROM sqlite_sequence WHERE name = :name

-- name: newest_runs
SELECT * FROM runs AS mine
WHERE run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name)
ORDER BY updated_at, run_id

-- name: runs
SELECT * FROM runs WHERE job_name = :job_name ORDER BY run

-- name: run
SELECT * FROM runs
WHERE job_name = :job_name AND run = coalesce(:run, (SELECT max(run) FROM runs WHERE job_name = :job_name))

-- name: last_run
SELECT run FROM numbers WHERE job_name = :job_name

-- name: unfinished_runs
SELECT * FROM runs WHERE ended IS NULL ORDER BY run_id

-- name: sheets
SELECT * FROM sheets WHERE run_id = :run_id ORDER BY sheet

-- name: open_attempts
SELECT * FROM attempts WHERE run_id = :run_id AND outcome IS NULL ORDER BY started_at, uid

-- name: attempts
SELECT
    run_id, uid, attempt, sheet, stage, instance, kind, revision, instrument, model, started_at,
    time_limit_at, ended_at, outcome, parked, error_category, error_message, exit_code, signal, pid,
    session_id, input_tokens, output_tokens, cached_tokens, cost_usd, stdout_bytes, stderr_bytes, validations,
    incarnation, NULL AS result
FROM attempts
WHERE run_id = :run_id AND uid BETWEEN coalesce(:uid, 0) AND coalesce(:uid, 9223372036854775807)
    AND attempt > 0
ORDER BY uid, attempt

-- name: last_result
SELECT result FROM attempts
WHERE run_id = :run_id AND uid = :uid AND outcome = 'succeeded'
ORDER BY attempt DESC LIMIT 1

-- name: costs
SELECT
    coalesce(sum(cost_usd), 0.0) AS usd,
    count(outcome) = count(CASE WHEN outcome IS NOT NULL THEN cost_usd END) AS known,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    count(*) AS attempts
FROM attempts
WHERE run_id = :run_id AND attempt > 0

-- name: hooks
SELECT * FROM hooks WHERE run_id = :run_id ORDER BY hook

-- name: holds
SELECT * FROM holds WHERE run_id = :run_id ORDER BY hold

-- name: breakpoints
SELECT * FROM breakpoints WHERE run_id = :run_id ORDER BY uid

-- name: revisions
SELECT
    run_id, revision, status, directory, config_file, sha256, caller, reason, created_at,
    applied_at, plan,
    '[]' AS problems, '' AS text, '{}' AS files, x'' AS expanded
FROM revisions
WHERE run_id = :run_id
ORDER BY revision

-- name: revision
SELECT * FROM revisions WHERE run_id = :run_id AND revision = :revision

-- name: worktree
SELECT * FROM worktrees WHERE run_id = :run_id

-- name: runs_with_worktrees
SELECT runs.* FROM runs JOIN worktrees USING (run_id)
WHERE ended IS NOT NULL AND worktrees.status = 'made' ORDER BY run_id

-- name: archived
SELECT * FROM archived WHERE job_name = :job_name ORDER BY run_id

-- name: archives
SELECT * FROM archives ORDER BY run_id

-- name: limits
SELECT * FROM limits ORDER BY instrument, model

-- name: waiting_requests
SELECT * FROM requests WHERE run_id = :run_id AND reply IS NULL AND refusal IS NULL ORDER BY asked_at, request

-- name: request
SELECT * FROM requests WHERE uid = :uid AND method = :method AND key = :key

-- name: events
SELECT * FROM events WHERE event > :after ORDER BY event LIMIT :limit

-- name: oldest_event
SELECT min(event) FROM events

-- name: events_of_run
SELECT * FROM events WHERE run_id = :run_id AND event > :after ORDER BY event LIMIT :limit

-- name: history
SELECT * FROM events WHERE run_id = :run_id AND recorded_at >= :since ORDER BY event DESC LIMIT :limit OFFSET :offset

-- name: history_total
SELECT count(*) FROM events WHERE run_id = :run_id AND recorded_at >= :since

-- name: history_of_sheets
SELECT * FROM events
WHERE run_id = :run_id AND sheet IN (SELECT value FROM json_each(:sheets)) AND recorded_at >= :since
ORDER BY event DESC LIMIT :limit OFFSET :offset

-- name: history_of_sheets_total
SELECT count(*) FROM events
WHERE run_id = :run_id AND sheet IN (SELECT value FROM json_each(:sheets)) AND recorded_at >= :since
