-- Columns of hooks, requests and runs say what they are.

ALTER TABLE hooks RENAME COLUMN flights TO attempt_ids;
ALTER TABLE hooks RENAME COLUMN cooled TO cooldown_done;
ALTER TABLE hooks RENAME COLUMN passed TO pause_passed;
ALTER TABLE hooks RENAME COLUMN told TO term_sent;
ALTER TABLE hooks RENAME COLUMN kept TO pending_revision;
ALTER TABLE requests RENAME COLUMN wish TO awaits;
ALTER TABLE requests RENAME COLUMN hold TO since_hold;
ALTER TABLE requests RENAME COLUMN brought TO created_revision;
ALTER TABLE runs RENAME COLUMN next_flight TO next_hook_attempt;

-- Rows of hooks lie in the runs, too, as JSON: there the names are keys. A quotation mark in a text has a
-- backslash before it, so a name between two bare ones with a colon behind is a key, wherever it stands.
UPDATE runs
SET past_hooks = replace(replace(replace(replace(replace(
    past_hooks,
    '"flights":', '"attempt_ids":'),
    '"cooled":', '"cooldown_done":'),
    '"passed":', '"pause_passed":'),
    '"told":', '"term_sent":'),
    '"kept":', '"pending_revision":')
WHERE past_hooks <> '[]';
