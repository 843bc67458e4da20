"""Sheets that a revision takes out and a later one has again: what they have done is not done twice.

Source: docs/reference/score-format.md §7.3.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from graphlib import TopologicalSorter

import msgspec

from marianned.progress.deciding.draft import Draft
from marianned.progress.state.job import DONE, JobState
from marianned.rows import Deleted, PastSheetRow
from marianned.score.expanded import Expanded
from marianned.score.expanded import Sheet as Definition


def fingerprint(sheet: Definition, needs: Iterable[int | None]) -> str:
    """Return the hash of a sheet's definition; `needs` are uids, for numbers change (None: a new sheet)."""
    parts = (sorted(sheet.digests.items()), sorted(need or 0 for need in needs))
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def fingerprint_now(state: JobState, number: int) -> str:
    """Return the hash of what a sheet is under the revision in force."""
    definition = state.definition(number)
    return fingerprint(definition, (state.sheets[need].uid for need in definition.needs))


def remember(draft: Draft, uids: Collection[int]) -> None:
    """Note, of sheets that the next revision takes out, those that are done; they are still in force."""
    state = draft.state
    for row in [row for uid in uids if (row := state.sheet_of(uid)) is not None and row.status in DONE]:
        needs = [state.sheets[need].uid for need in state.definition(row.sheet).needs]
        done_as = row.definition or fingerprint_now(state, row.sheet)
        draft.put(PastSheetRow(run_id=row.run_id, uid=row.uid, definition=done_as, needs=needs, row=row))


def returning(state: JobState, new: Expanded, matched: Mapping[int, int]) -> dict[int, PastSheetRow]:
    """Return, by new number, what sheets of a score did that are none of the score in force, and come back.

    One comes back where its definition is the one that it was done under: the same text, and it needs the
    same sheets, which have come back before it. Of several those with the same number first, as where
    sheets are matched.
    """
    if not state.past_sheets:
        return {}
    known: defaultdict[str, list[PastSheetRow]] = defaultdict(list)
    for past in sorted(state.past_sheets.values(), key=lambda past: past.uid):
        known[past.definition].append(past)
    uids = {number: state.sheets[old].uid for number, old in matched.items()}
    free = {sheet.sheet: sheet for sheet in new.sheets if sheet.sheet not in matched}
    order = list(TopologicalSorter({n: [s for s in free[n].needs if s in free] for n in free}).static_order())
    found: dict[int, PastSheetRow] = {}
    for same_number in (True, False):
        for number in [number for number in order if number not in found]:
            definition = fingerprint(free[number], (uids.get(need) for need in free[number].needs))
            fit = [one for one in known[definition] if one.row.sheet == number or not same_number]
            if fit:
                known[definition].remove(fit[0])
                found[number] = fit[0]
                uids[number] = fit[0].uid
    return found


def forget(draft: Draft, again: Collection[int]) -> None:
    """Forget what depended on sheets (by uid) that run again: it would have run again with them."""
    state, gone = draft.state, set(again)
    while more := [past for past in state.past_sheets.values() if gone.intersection(past.needs)]:
        gone |= {past.uid for past in more}
        for past in more:
            draft.delete(Deleted(kind=PastSheetRow, run_id=past.run_id, key=past.uid))
