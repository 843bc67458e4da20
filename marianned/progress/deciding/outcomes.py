"""What the end of an attempt means for its sheet: done, tried again, run again, failed.

Source: docs/reference/score-format.md §15.2 and §15.3.
"""

from typing import Any, assert_never

import msgspec

from marianned.clock import Instant
from marianned.formatting import dollars, duration
from marianned.instruments import command_line
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.holds import fails_at_once, pause_after_stage, pause_for_failure
from marianned.progress.deciding.limits import warn_of_budget
from marianned.progress.deciding.past_sheets import done_as
from marianned.progress.deciding.rate_limits import lift_limit, record_limit, unknown_time_note
from marianned.progress.state.fresh import FRESH
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import AttemptEnded, AttemptParked, AttemptWarned, KeepersReported
from marianned.progress.views.job import hold_view
from marianned.progress.views.messages import sheet_name
from marianned.protocol import (
    AttemptKind,
    CheckResult,
    ErrorCategory,
    HoldCause,
    Outcome,
    SheetStatus,
    WaitingFor,
)
from marianned.rows import AttemptRow, SheetRow, facts_of_end
from marianned.score.expanded import RetryPolicy

LOST_MOST = 3
"""Lost attempts in a row after which the sheet fails."""
LOST_PAUSE_MILLISECONDS = 10_000
"""How long the next attempt waits once two in a row were lost."""
_AT_ONCE = frozenset({ErrorCategory.CONFIG, ErrorCategory.UNAVAILABLE, ErrorCategory.REFUSED})
"""Categories that no retry can mend."""
_BY_ITSELF = frozenset({ErrorCategory.EXIT, ErrorCategory.VALIDATION, ErrorCategory.NO_RESULT})
"""Categories of attempts that ended by themselves, and were judged by their exit code and checks."""
_MOVES_ON = frozenset({ErrorCategory.UNAVAILABLE, ErrorCategory.REFUSED, ErrorCategory.AUTH})
"""Categories that another instrument may mend, at once."""
_NO_SESSION = frozenset({ErrorCategory.EXIT, ErrorCategory.NO_RESULT})
"""Categories of attempts that may have failed because their tool's session is gone."""
_JITTER = 0.25


def attempt_ended(draft: DecisionDraft, ending: AttemptEnded) -> None:
    """Close the attempt and bring its sheet on; a record of a closed attempt is noted and ignored."""
    state = draft.state
    row = state.sheet_of(ending.uid)
    attempt = state.attempts.get(ending.uid)
    if row is None or attempt is None or attempt.attempt != ending.attempt:
        draft.note("attempt.ignored", f"a record of attempt {ending.attempt} came late; it is closed already")
        return
    if ending.cluster_job is not None:
        attempt = _record_place(draft, row, attempt, ending)
    ended = msgspec.structs.replace(
        attempt.overlaid(ending.exit),
        ended_at=draft.now.at if ending.ended_at is None else ending.ended_at,
        outcome=ending.outcome,
        error_category=ending.category,
        error_message=ending.message,
        validations=ending.validations,
    )
    draft.put(ended)
    draft.note_sheet(
        "attempt.ended",
        row.sheet,
        f"attempt {ending.attempt} {ending.outcome}{f', {ending.message}' if ending.message else ''}",
        attempt=ending.attempt,
        cause=ending.category,
        revision=attempt.revision,
        instrument=ended.instrument,
        model=ended.model,
        cost_usd=ended.cost_usd,
        input_tokens=ended.input_tokens,
        output_tokens=ended.output_tokens,
        error_category=ended.error_category,
        **facts_of_end(ended),
    )
    if ending.outcome is Outcome.SUCCEEDED or ending.category == ErrorCategory.VALIDATION:
        lift_limit(draft, row.sheet, attempt)
    for text in ending.warnings:
        draft.note_sheet("attempt.warned", row.sheet, text, attempt=ending.attempt)
    warnings = list(dict.fromkeys([*row.warnings, *ending.warnings]))
    row = msgspec.structs.replace(row, exit_code=ending.exit.exit_code, warnings=warnings)
    cost = ending.exit.cost_usd
    if cost is not None:
        row = msgspec.structs.replace(row, cost_usd=(row.cost_usd or 0.0) + cost)
    _advance_sheet(draft, row, attempt, ending)
    warn_of_budget(draft, cost or 0.0)
    pause = state.score.parallel.pause_between_sheets_seconds
    if pause and not state.sheet_flights:
        waited, staggered = draft.now.plus(round(pause * 1000)), state.run.not_before
        later = staggered is not None and draft.now.until(staggered) > draft.now.until(waited)
        draft.update_run(not_before=staggered if later else waited)


def attempt_parked(draft: DecisionDraft, parked: AttemptParked) -> None:
    """Let an attempt rest whose checks were ended: its process has succeeded, and is not thrown away."""
    row = draft.state.sheet_of(parked.uid)
    attempt = draft.state.attempts.get(parked.uid)
    if row is None or attempt is None or attempt.attempt != parked.attempt:
        return
    draft.put(msgspec.structs.replace(attempt, parked=True))
    draft.update_sheet(row, status=SheetStatus.PENDING)
    draft.note_sheet(
        "attempt.parked", row.sheet, f"the checks of attempt {attempt.attempt} were ended, they run again"
    )
    if parked.cancelled is not None:
        _hold_for_cluster(draft, row, parked.cancelled)


def keepers_reported(draft: DecisionDraft, reported: KeepersReported) -> None:
    """Note who looks after attempts that are still in flight."""
    for keeper in reported.keepers:
        attempt = draft.state.attempts.get(keeper.uid)
        if attempt is not None and attempt.attempt == keeper.attempt:
            draft.put(msgspec.structs.replace(attempt, pid=keeper.pid))


def attempt_warned(draft: DecisionDraft, warned: AttemptWarned) -> None:
    """Note what an attempt does without, once each, however often it is told."""
    row = draft.state.sheet_of(warned.uid)
    attempt = draft.state.attempts.get(warned.uid)
    if row is None or attempt is None or attempt.attempt != warned.attempt:
        return
    if warned.pid is not None:
        attempt = msgspec.structs.replace(attempt, pid=warned.pid)
        draft.put(attempt)
    if warned.cluster_job is not None:
        draft.put(_record_place(draft, row, attempt, warned))
    new = [text for text in warned.texts if text not in row.warnings]
    if new:
        draft.update_sheet(row, warnings=[*row.warnings, *new])
    for text in new:
        draft.note_sheet("attempt.warned", row.sheet, text, attempt=attempt.attempt)


def _record_place(
    draft: DecisionDraft, row: SheetRow, attempt: AttemptRow, told: AttemptWarned | AttemptEnded
) -> AttemptRow:
    """Note where an attempt has begun, and that its time counts from then on: it had waited in a queue.

    Where it was listed may not be where it has begun: its job can have been put back into the queue before.
    What its end says of its beginning is better than what was seen of that.
    """
    placed: dict[str, Any] = {"node": told.node or attempt.node, "cluster_job": told.cluster_job}
    first = attempt.cluster_job is None
    moved = not first and placed != {"node": attempt.node, "cluster_job": attempt.cluster_job}
    seen = first or (moved and not isinstance(told, AttemptEnded))
    began_at = draft.now.at if seen and told.began_at is None else told.began_at
    if began_at is not None and (first or moved or isinstance(told, AttemptEnded)):
        limit_at = attempt.time_limit_at + began_at - attempt.started_at
        placed |= {"started_at": began_at, "time_limit_at": limit_at}
    if first or moved:
        where = f" on {told.node}" if told.node else ""
        said = f"attempt {attempt.attempt} has begun{where}, as job {told.cluster_job}"
        draft.note_sheet("attempt.placed", row.sheet, said, attempt=attempt.attempt)
    return msgspec.structs.replace(attempt, **placed)


def _advance_sheet(draft: DecisionDraft, row: SheetRow, attempt: AttemptRow, ending: AttemptEnded) -> None:
    match ending.outcome:
        case Outcome.SUCCEEDED:
            _complete_sheet(draft, row, passed=True if ending.validations else None)
        case Outcome.INTERRUPTED:
            draft.update_sheet(
                row,
                status=SheetStatus.PENDING,
                lost=0,
                next_kind=_kind_after_interruption(draft, row, attempt, ending),
            )
            if ending.cancelled:
                _hold_for_cluster(draft, row, ending.message or "")
        case Outcome.LOST:
            _retry_lost(draft, row, attempt, ending)
        case Outcome.RATE_LIMITED:
            _handle_rate_limit(draft, row, attempt, ending)
        case Outcome.FAILED if _session_is_gone(attempt, ending):
            kind = AttemptKind.RETRY if row.tries else AttemptKind.FIRST
            draft.update_sheet(
                row, status=SheetStatus.PENDING, next_kind=kind
            )  # losses count on, or it has no end
        case Outcome.FAILED | Outcome.TIMED_OUT | Outcome.REFUSED:  # the last is of hooks, and never met here
            _handle_failure(draft, row, attempt, ending)
        case _:
            assert_never(ending.outcome)


def _kind_after_interruption(
    draft: DecisionDraft, row: SheetRow, attempt: AttemptRow, ending: AttemptEnded
) -> AttemptKind:
    """Return what follows an attempt that ended for no try: its tool's own session, where it told of one.

    What it has done there is paid for. A sheet that begins anew meanwhile, as under another definition or on
    another instrument, forgets it.
    """
    profile = draft.state.score.profiles.get(attempt.instrument)
    resumes = profile is not None and profile.cli is not None and profile.cli.command.resume_args
    return AttemptKind.RESUMED if resumes and ending.exit.session_id else row.next_kind


def _session_is_gone(attempt: AttemptRow, ending: AttemptEnded) -> bool:
    """Tell whether a tool may not have known its session any more: it begins anew, for no try."""
    return attempt.kind == AttemptKind.RESUMED and ending.category in _NO_SESSION


def _complete_sheet(draft: DecisionDraft, row: SheetRow, *, passed: bool | None) -> None:
    draft.update_sheet(
        row,
        status=SheetStatus.COMPLETED,
        validation_passed=passed,
        error_category=None,
        error_message=None,
        ended_at=draft.now.at,
        lost=0,
        **done_as(draft.state, row.sheet),
    )
    draft.note_sheet("sheet.completed", row.sheet, "ends its round" if passed is False else "completed")
    pause_after_stage(draft, row)


def _ends_its_round(state: RunState, row: SheetRow, ending: AttemptEnded) -> bool:
    """Tell whether an attempt that has failed ends the round of its loop: in the last stage, by itself."""
    one = state.loops.of(row.sheet)
    if one is None or not one.is_open or row.sheet not in one.loop.ends:
        return False
    return ending.outcome is Outcome.FAILED and ending.category in _BY_ITSELF


def _handle_rate_limit(
    draft: DecisionDraft, row: SheetRow, attempt: AttemptRow, ending: AttemptEnded
) -> None:
    limits = draft.state.score.rate_limit
    untimed = unknown_time_note(draft, draft.state.account(row.sheet), ending)
    until = record_limit(draft, row.sheet, attempt, ending)
    if move_to_fallback(draft, row, "rate limit"):
        return
    kind = _kind_after_interruption(draft, row, attempt, ending)
    if not draft.state.run.auto_resume:
        draft.update_sheet(row, status=SheetStatus.PENDING, next_kind=kind)
        _hold_once(draft, row, HoldCause.RATE_LIMIT, ending.message or "rate limit")
        return
    if row.waits >= (limits.max_quota_waits if ending.quota else limits.max_waits):
        fail_sheet(
            draft, row, ErrorCategory.RATE_LIMITED, f"still limited after {row.waits} waits", waits=row.waits
        )
        return
    _wait_for_next_attempt(
        draft, row, WaitingFor.RATE_LIMIT, until, ending, kind, untimed, waits=row.waits + 1, lost=0
    )


def hold_at_limit(draft: DecisionDraft, row: SheetRow) -> None:
    """Pause a run that does not wait for rate limits, where one that others have met keeps a sheet back."""
    met = draft.state.limit_holding_back(row.sheet)
    if met is not None and not draft.state.run.auto_resume:
        _hold_once(draft, row, HoldCause.RATE_LIMIT, met.message or f"rate limit of {met.account}")


def wait_for_limits(draft: DecisionDraft) -> None:
    """Let the sheets that a rate limit keeps back wait for its end: a person has let the job go on."""
    for account in sorted(draft.state.limited(draft.now)):
        limit = draft.state.limits[account]
        for row in draft.state.ready_of(account):
            if row.uid not in draft.state.parked:
                draft.update_sheet(
                    row, status=SheetStatus.WAITING, waiting_for=WaitingFor.RATE_LIMIT, until=limit.until
                )


def move_to_fallback(draft: DecisionDraft, row: SheetRow, why: str) -> bool:
    """Move a sheet to its next fallback, with fresh tries there; tell whether there was one.

    Source: docs/reference/score-format.md §8.4.
    """
    state = draft.state
    number = state.next_fallback(row.sheet, draft.now)
    if number is None:
        return False
    before = state.account(row.sheet)
    draft.update_sheet(row, **FRESH | {"fallback": number, "judged": row.judged})
    after = state.account(row.sheet)
    one_tool = after.instrument == before.instrument
    names = [str(who) if one_tool else who.instrument for who in (after, before)]
    draft.note_sheet("sheet.fallback", row.sheet, f"goes on with {names[0]} instead of {names[1]}: {why}")
    return True


def _retry_lost(draft: DecisionDraft, row: SheetRow, attempt: AttemptRow, ending: AttemptEnded) -> None:
    """Run it again, at once the first time, then after a pause: what takes attempts away has to pass."""
    kind = _kind_after_interruption(draft, row, attempt, ending)
    if row.lost == 0:
        draft.update_sheet(row, status=SheetStatus.PENDING, lost=row.lost + 1, next_kind=kind)
        return
    if row.lost + 1 < LOST_MOST:
        until = draft.now.plus(LOST_PAUSE_MILLISECONDS)
        _wait_for_next_attempt(draft, row, WaitingFor.RETRY, until, ending, kind, lost=row.lost + 1)
        return
    message = f"lost {LOST_MOST} times in a row"
    fail_sheet(draft, row, ErrorCategory.LOST, message, lost=row.lost + 1)


def _handle_failure(draft: DecisionDraft, row: SheetRow, attempt: AttemptRow, ending: AttemptEnded) -> None:
    """Bring a sheet on whose attempt has failed: a retry, another instrument, a hold, or its end.

    The first that applies. The end of the round, in the last stage of a loop, whatever its exit code and
    checks. Its end and a pause, where the score asks for it at its stage.
    Another instrument, where this one can't be used at all. A hold for refused
    credentials: every sheet would meet them. The end, over the sheet's own cost limit or where no retry can
    mend it. The rest of the work, where enough checks have passed: a completion attempt uses no try. A
    retry while there are tries. Then the next instrument of its chain with fresh tries, and at last the
    end.
    """
    retry = draft.state.score.retry_of(row.sheet)
    evidence = ending.evidence or ending.message
    failed: dict[str, Any] = {
        "lost": 0,
        "error_category": ending.category,
        "error_message": evidence,
        "validation_passed": False if ending.category == ErrorCategory.VALIDATION else row.validation_passed,
    }
    row = msgspec.structs.replace(row, **failed)
    if _ends_its_round(draft.state, row, ending):
        _complete_sheet(draft, row, passed=False)
        return
    if ending.category != ErrorCategory.AUTH and fails_at_once(draft.state, row):
        fail_sheet(draft, row, ending.category, evidence, tries=row.tries + 1)
        return
    if ending.category in _MOVES_ON and move_to_fallback(draft, row, ending.message or ending.category):
        return
    if ending.category == ErrorCategory.AUTH:
        draft.update_sheet(
            row, status=SheetStatus.PENDING, next_kind=_kind_after_interruption(draft, row, attempt, ending)
        )
        _hold_once(draft, row, HoldCause.AUTH, _describe_refusal(draft, attempt, ending))
    elif _is_over_sheet_budget(draft, row):
        fail_sheet(draft, row, ErrorCategory.BUDGET, _describe_sheet_cost(draft, row))
    elif ending.category in _AT_ONCE:
        fail_sheet(draft, row, ending.category, evidence)
    elif ending.category == ErrorCategory.VALIDATION and _may_complete(draft, row, ending):
        _wait_for_next_attempt(
            draft,
            row,
            WaitingFor.RETRY,
            draft.now.plus(round(retry.completion_delay_seconds * 1000)),
            ending,
            AttemptKind.COMPLETION,
            completions=row.completions + 1,
        )
    elif row.tries < retry.max_retries:
        until = draft.now.plus(round(retry_delay(retry, row.tries + 1, ending.chance) * 1000))
        _wait_for_next_attempt(
            draft, row, WaitingFor.RETRY, until, ending, AttemptKind.RETRY, tries=row.tries + 1, completions=0
        )
    elif not move_to_fallback(draft, row, f"its tries are used up: {evidence or ending.outcome}"):
        fail_sheet(draft, row, ending.category, evidence, tries=row.tries + 1)


def _describe_refusal(draft: DecisionDraft, attempt: AttemptRow, ending: AttemptEnded) -> str:
    """Say whose credentials are refused, and which: their variables, and what else logs in."""
    profile = draft.state.score.profiles[attempt.instrument]
    key = command_line.key_variable(profile, draft.state.definition(draft.state.number_of(attempt)).settings)
    names = [*profile.credentials, *([key] if key else [])]
    ways = [*names, *([f"'{profile.login}'"] if profile.login else [])]
    which = f" ({' or '.join(ways)})" if ways else ""
    said = f": {ending.message}" if ending.message else ""
    return f"{attempt.instrument} refuses its credentials{which}{said}"


def _sheet_cost_limit(draft: DecisionDraft) -> float | None:
    limits = draft.state.score.cost_limits
    return limits.max_cost_per_sheet if limits is not None else None


def _is_over_sheet_budget(draft: DecisionDraft, row: SheetRow) -> bool:
    most = _sheet_cost_limit(draft)
    return most is not None and (row.cost_usd or 0.0) - row.cost_before > most


def _describe_sheet_cost(draft: DecisionDraft, row: SheetRow) -> str:
    spent, most = (dollars(usd or 0.0, known=True) for usd in (row.cost_usd, _sheet_cost_limit(draft)))
    return f"cost {spent}, more than a sheet may ({most})"


def _may_complete(draft: DecisionDraft, row: SheetRow, ending: AttemptEnded) -> bool:
    definition = draft.state.definition(row.sheet)
    retry = draft.state.score.retry_of(row.sheet)
    if draft.state.score.profiles[definition.instrument].raw_prompt or not ending.validations:
        return False
    passed = sum(report.result == CheckResult.PASSED for report in ending.validations)
    rate = 100.0 * passed / len(ending.validations)
    return rate > retry.completion_threshold_percent and row.completions < retry.max_completion_attempts


def retry_delay(retry: RetryPolicy, number: int, chance: float) -> float:
    """Return the seconds before retry `number` (from 1); `chance` from 0 to 1 is the jitter's."""
    try:
        grown = retry.base_delay_seconds * retry.exponential_base ** (number - 1)
    except OverflowError:
        grown = retry.max_delay_seconds
    delay = min(retry.max_delay_seconds, grown)
    if retry.jitter:
        delay *= 1 - _JITTER + 2 * _JITTER * chance
    return min(retry.max_delay_seconds, delay)


def _wait_for_next_attempt(
    draft: DecisionDraft,
    row: SheetRow,
    waiting_for: WaitingFor,
    until: Instant,
    ending: AttemptEnded,
    kind: AttemptKind,
    said: str = "",
    **changed: Any,
) -> None:
    draft.update_sheet(
        row, status=SheetStatus.WAITING, waiting_for=waiting_for, until=until, next_kind=kind, **changed
    )
    waited = duration(max(0, round(draft.now.until(until) / 1000)))
    draft.note_sheet(
        "sheet.waiting",
        row.sheet,
        f"waits {waited} ({waiting_for}), then attempt {row.attempts + 1}{said}",
        cause=ending.category,
        waiting_for=waiting_for,
        until_at=until.at,
    )


def fail_sheet(
    draft: DecisionDraft, row: SheetRow, category: ErrorCategory | None, message: str | None, **changed: Any
) -> None:
    """Fail a sheet for good; `changed` are fields of its row."""
    draft.update_sheet(
        row,
        status=SheetStatus.FAILED,
        error_category=category,
        error_message=message,
        ended_at=draft.now.at,
        **changed,
    )
    draft.note_sheet("sheet.failed", row.sheet, message or "failed", cause=category)
    pause_for_failure(draft, row)


def _hold_for_cluster(draft: DecisionDraft, row: SheetRow, how: str) -> None:
    """Pause the job once: whoever has cancelled what ran of it does not want it to begin again at once."""
    _hold_once(draft, row, HoldCause.CLUSTER, f"{sheet_name(draft.state, row.sheet)}: {how}", how)


def _hold_once(
    draft: DecisionDraft, row: SheetRow, cause: HoldCause, why: str, of_sheet: str | None = None
) -> None:
    """Pause the job once, however many sheets find the same cause (docs/design/control.md §8).

    `of_sheet`: what is told beside the sheet's name, where `why` has that, too.
    """
    if all(hold.cause != cause for hold in draft.state.holds.values()):
        held = draft.add_hold(cause, None, why)
        draft.note_sheet("hold.added", row.sheet, of_sheet or why, cause=cause, hold=hold_view(held))
