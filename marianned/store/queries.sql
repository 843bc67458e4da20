-- Statements by name. Those that put or delete a row are made from its Struct and its key, in sql.py; so is
-- what stands after a dollar sign: the columns of a row without those that are long.

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

-- name: last_used_incarnation
-- The one that started something last: of those after it nothing is known but their rows.
SELECT max(
    coalesce((SELECT incarnation FROM attempts ORDER BY rowid DESC LIMIT 1), 0),
    coalesce((SELECT max(incarnation) FROM skips), 0),
    coalesce((SELECT max(value) FROM hooks, json_each(hooks.incarnations)), 0)
)

-- name: forget_incarnations_after
DELETE FROM incarnations WHERE incarnation > :incarnation

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

-- name: listed
-- A page of the runs, and in each row how many there are; what is chosen is looked for once.
WITH chosen AS MATERIALIZED (
    SELECT run_id, updated_at FROM runs AS mine
    WHERE (:runs OR run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name))
    AND CASE
        WHEN :statuses <> '[]' THEN status IN (SELECT value FROM json_each(:statuses))
        ELSE :runs OR ended_at IS NULL OR ended_at > :since
    END
    AND updated_at >= :changed AND substr(job_name, 1, length(:prefix)) = :prefix
    AND (:labels = '[]' OR NOT EXISTS (
        SELECT value FROM json_each(:labels)
        EXCEPT SELECT value FROM json_each(iif(json_valid(mine.labels), mine.labels, '[]'))
    ))
),
page AS (
    SELECT run_id FROM chosen
    ORDER BY iif(:newest_first, -updated_at, updated_at), iif(:newest_first, -run_id, run_id)
    LIMIT :limit OFFSET :offset
)
SELECT
    (SELECT count(*) FROM chosen) AS total,
    run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name) AS newest,
    job,
    $brief_runs
FROM (SELECT NULL) LEFT JOIN (
    page CROSS JOIN runs AS mine ON mine.run_id = page.run_id
    LEFT JOIN summaries ON summaries.run_id = mine.run_id AND shape = :shape
)
ORDER BY
    iif(:newest_first, -mine.updated_at, mine.updated_at), iif(:newest_first, -mine.run_id, mine.run_id)

-- name: listed_counts
-- Of what `listed` may choose from, whatever its statuses.
SELECT status, count(*) FROM runs AS mine
WHERE (:runs OR run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name))
AND updated_at >= :changed AND substr(job_name, 1, length(:prefix)) = :prefix
AND (:labels = '[]' OR NOT EXISTS (
    SELECT value FROM json_each(:labels)
    EXCEPT SELECT value FROM json_each(iif(json_valid(mine.labels), mine.labels, '[]'))
))
GROUP BY status

-- name: run_counts
SELECT status, count(*) FROM runs AS mine
WHERE run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name)
GROUP BY status

-- name: newest_names
SELECT job_name, config_file FROM runs AS mine
WHERE run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name)
AND (:statuses = '[]' OR status IN (SELECT value FROM json_each(:statuses)))
ORDER BY updated_at, run_id

-- name: runs_in
SELECT * FROM runs AS mine
WHERE workspace = :workspace AND run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name)
ORDER BY updated_at, run_id

-- name: old_runs
-- Those that had ended at a moment, hooks of their failure too, but the newest so many of each job.
SELECT * FROM runs AS mine
WHERE ended_at <= :before AND NOT failing
AND :keep <= (SELECT count(*) FROM runs WHERE job_name = mine.job_name AND run > mine.run)
ORDER BY ended_at, run_id

-- name: run_names
SELECT job_name, run, status, run = (SELECT max(run) FROM runs WHERE job_name = mine.job_name), labels
FROM runs AS mine
ORDER BY updated_at, run_id

-- name: runs
SELECT * FROM runs WHERE job_name = :job_name ORDER BY run

-- name: run
SELECT * FROM runs
WHERE job_name = :job_name AND run = coalesce(:run, (SELECT max(run) FROM runs WHERE job_name = :job_name))

-- name: last_run
SELECT run FROM numbers WHERE job_name = :job_name

-- name: unfinished_runs
SELECT * FROM runs
WHERE ended IS NULL OR failing OR run_id IN (SELECT run_id FROM hooks WHERE status = 'running')
ORDER BY run_id

-- name: sheets
SELECT * FROM sheets WHERE run_id = :run_id ORDER BY sheet

-- name: open_attempts
SELECT * FROM attempts WHERE run_id = :run_id AND outcome IS NULL ORDER BY started_at, uid

-- name: skips
SELECT * FROM skips WHERE run_id = :run_id ORDER BY started_at, uid

-- name: attempts
SELECT $attempts_but_results
FROM attempts
WHERE run_id = :run_id AND uid BETWEEN coalesce(:uid, 0) AND coalesce(:uid, 9223372036854775807)
ORDER BY uid, attempt

-- name: attempts_since
-- Of one run, or of all; what is in flight counts as later than any time.
SELECT job_name, runs.run AS run, mine.*
FROM (
    SELECT $attempts_but_texts
    FROM attempts
    WHERE (:run_id IS NULL OR run_id = :run_id) AND (ended_at IS NULL OR ended_at >= :since)
    ORDER BY started_at, run_id, uid, attempt LIMIT :limit OFFSET :offset
) AS mine JOIN runs USING (run_id)
ORDER BY started_at, run_id, uid, attempt

-- name: attempts_counted
SELECT count(*) FROM attempts
WHERE (:run_id IS NULL OR run_id = :run_id) AND (ended_at IS NULL OR ended_at >= :since)

-- name: unbegun
SELECT count(*) FROM attempts
WHERE run_id = :run_id AND executor <> 'local' AND cluster_job IS NULL AND outcome IS NOT NULL
    AND (outcome IN ('interrupted', 'lost') OR error_category = 'refused')

-- name: round_results
SELECT uid, result FROM attempts AS mine
WHERE run_id = :run_id AND attempt = (
    SELECT max(attempt) FROM attempts
    WHERE run_id = mine.run_id AND uid = mine.uid AND round = :number AND outcome IN ('succeeded', 'failed')
)

-- name: last_result
-- Or of the last that failed: a sheet may be done all the same.
SELECT result FROM attempts
WHERE run_id = :run_id AND uid = :uid AND (outcome = 'succeeded' OR :even_failed AND outcome = 'failed')
ORDER BY attempt DESC LIMIT 1

-- name: costs
SELECT
    coalesce(sum(cost_usd), 0.0) AS usd,
    count(outcome) = count(CASE WHEN outcome IS NOT NULL THEN cost_usd END) AS known,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    count(*) AS attempts
FROM attempts
WHERE run_id = :run_id

-- name: hooks
SELECT * FROM hooks WHERE run_id = :run_id ORDER BY hook

-- name: holds
SELECT * FROM holds WHERE run_id = :run_id ORDER BY hold

-- name: past_sheets
SELECT * FROM past_sheets WHERE run_id = :run_id ORDER BY uid

-- name: left_scores
SELECT * FROM left_scores WHERE run_id = :run_id ORDER BY shape

-- name: loops
SELECT * FROM loops WHERE run_id = :run_id ORDER BY uid

-- name: breakpoints
SELECT * FROM breakpoints WHERE run_id = :run_id ORDER BY uid

-- name: revisions
SELECT $revisions_but_contents
FROM revisions
WHERE run_id = :run_id
ORDER BY revision

-- name: revision
SELECT * FROM revisions WHERE run_id = :run_id AND revision = :revision

-- name: worktree
SELECT * FROM worktrees WHERE run_id = :run_id

-- name: has_left
SELECT EXISTS (SELECT 1 FROM sheets WHERE run_id = :run_id AND status IN ('pending', 'waiting'))
    OR EXISTS (
        SELECT 1 FROM hooks
        WHERE run_id = :run_id AND status IN ('pending', 'waiting') AND NOT after_failure
    )

-- name: runs_with_worktrees
SELECT runs.* FROM runs JOIN worktrees USING (run_id)
WHERE ended IS NOT NULL AND NOT failing AND worktrees.status IN ('made', 'gone') ORDER BY run_id

-- name: archived
SELECT * FROM archived WHERE job_name = :job_name ORDER BY run_id

-- name: archives
SELECT * FROM archives ORDER BY run_id

-- name: limits
SELECT * FROM limits ORDER BY instrument, model, env

-- name: waiting_requests
SELECT * FROM requests WHERE run_id = :run_id AND reply IS NULL AND refusal IS NULL ORDER BY asked_at, request

-- name: request
SELECT * FROM requests WHERE uid = :uid AND method = :method AND key = :key

-- name: events
SELECT * FROM events WHERE event > :after AND event <= :told ORDER BY event LIMIT :limit

-- name: has_changed
SELECT EXISTS (
    SELECT 1 FROM events WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND event > :event
) OR EXISTS (SELECT 1 FROM events WHERE event > :event AND type LIKE 'limit.%')

-- name: oldest_event
SELECT min(event) FROM events

-- name: events_of_run
SELECT * FROM events WHERE run_id = :run_id AND event > :after AND event <= :told ORDER BY event LIMIT :limit

-- name: events_of_name
SELECT * FROM events WHERE job_name = :name AND event > :after AND event <= :told ORDER BY event LIMIT :limit

-- name: last_request
SELECT * FROM events
WHERE run_id = :run_id AND caller IS NOT NULL AND (type LIKE 'job.%' OR type IN ('hold.added', 'hold.released'))
AND event <= :told ORDER BY event DESC LIMIT 1

-- name: history
SELECT * FROM events WHERE run_id = :run_id AND recorded_at >= :since AND event <= :told ORDER BY event DESC LIMIT :limit OFFSET :offset

-- name: history_total
SELECT count(*) FROM events WHERE run_id = :run_id AND recorded_at >= :since AND event <= :told

-- name: history_of_sheets
SELECT * FROM events
WHERE run_id = :run_id AND sheet IN (SELECT value FROM json_each(:sheets)) AND recorded_at >= :since AND event <= :told
ORDER BY event DESC LIMIT :limit OFFSET :offset

-- name: history_of_sheets_total
SELECT count(*) FROM events
WHERE run_id = :run_id AND sheet IN (SELECT value FROM json_each(:sheets)) AND recorded_at >= :since AND event <= :told
