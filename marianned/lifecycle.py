"""What a job's status is, what a request does in each status, what settles: as data.

`status`, `may_start`, `may_start_hook`, `takes_time`, `settle` and `TABLE` alone decide; the docs' copy of
the table is generated from it. Nothing here knows what a sheet is. Source: docs/design/control.md §3.
"""

from enum import StrEnum

import msgspec

from marianned.protocol import JobStatus


class StatusFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The six facts that a job's status follows from, and one more that tells what it may start.

    `failing`: hooks of its failure run, or are still to; nothing else starts before they have ended.
    """

    ended: JobStatus | None = None
    cancelling: bool = False
    held: bool = False
    staged: bool = False
    in_flight: bool = False
    begun: bool = False
    failing: bool = False


def status(facts: StatusFacts) -> JobStatus:
    """Return the status: the first line that applies."""
    if facts.ended is not None:
        return facts.ended
    if facts.cancelling and facts.in_flight:
        return JobStatus.CANCELLING
    if (facts.held or facts.staged) and facts.in_flight:
        return JobStatus.PAUSING
    if facts.held:
        return JobStatus.PAUSED
    if not facts.in_flight and not facts.begun:
        return JobStatus.QUEUED
    return JobStatus.RUNNING


def may_start(facts: StatusFacts) -> bool:
    """Tell whether the job may start something of its sheets, given a slot."""
    return not (facts.ended or facts.failing) and _is_free(facts)


def may_start_hook(facts: StatusFacts) -> bool:
    """Tell whether the job may start a hook, given a slot; of one that has ended those of its failure may."""
    return (facts.failing or facts.ended is None) and _is_free(facts)


def _is_free(facts: StatusFacts) -> bool:
    return not (facts.cancelling or facts.held or facts.staged)


_COUNTED = (JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.CANCELLING)


def takes_time(facts: StatusFacts) -> bool:
    """Tell whether time counts for the run's limit: pausing has something in flight; a failure's hooks don't.

    Source: docs/reference/score-format.md §28.7.
    """
    return status(facts) in _COUNTED and not facts.failing


class Step(StrEnum):
    """What settling does next; after it, settling looks again."""

    CANCEL = "cancel"
    APPLY = "apply"
    COMPLETE = "complete"
    FAIL = "fail"
    HOLD_FAILURE = "hold failure"
    HOLD_BREAKPOINT = "hold breakpoint"


class SettlingContext(msgspec.Struct, frozen=True, kw_only=True):
    """What settling must know beside the facts.

    `could_start`: something could still start, now or after its wait, even without holds and breakpoints;
    `could_start_free`: one that stands behind no breakpoint; `failed`: something of the run has failed;
    `pause_on_failure`: it is to pause then instead of ending; `held_for_failure`: it has the hold of that
    pause already; `keeps`: it has a hold that no end overtakes. Of the commit that settles: `outcome`, it is
    that of something that was in flight; `could_start_before`, something was left before a revision came.
    """

    could_start: bool
    failed: bool
    could_start_free: bool = True
    pause_on_failure: bool = False
    held_for_failure: bool = False
    keeps: bool = False
    outcome: bool = False
    could_start_before: bool = False


def settle(facts: StatusFacts, settling_context: SettlingContext) -> Step | None:
    """Return the step that is due when nothing is in flight; None: the job rests or goes on as it is.

    It is asked in the transaction of every event after which nothing is in flight, until it says None.
    """
    if facts.in_flight:
        return None
    if facts.ended is not None:
        return Step.APPLY if facts.staged else None
    if facts.cancelling:
        return Step.CANCEL
    if facts.staged:
        return Step.APPLY
    if settling_context.could_start:
        return None if settling_context.could_start_free else Step.HOLD_BREAKPOINT
    return _end(facts, settling_context)


def _end(facts: StatusFacts, settling_context: SettlingContext) -> Step | None:
    if settling_context.failed and settling_context.pause_on_failure:
        return None if settling_context.held_for_failure else Step.HOLD_FAILURE
    if facts.held and not _overtakes_holds(settling_context):
        return None
    return Step.FAIL if settling_context.failed else Step.COMPLETE


def _overtakes_holds(settling_context: SettlingContext) -> bool:
    """Tell whether a held job may end: only by the outcome of the last that was in flight."""
    return settling_context.outcome and not settling_context.could_start_before and not settling_context.keeps


class Action(StrEnum):
    """A request, as the table knows it."""

    PAUSE = "pause"
    PAUSE_NOW = "pause --now"
    BREAK = "pause --before"
    RESUME = "resume"
    RESUME_FROM = "resume --from"
    RESUME_MARK = "resume --skip/--accept"
    MODIFY = "modify"
    MODIFY_RESUME = "modify -r"
    DISCARD = "modify --discard"
    CANCEL = "cancel"
    RETRY = "retry"


class Effect(StrEnum):
    """What an accepted request does, in this order.

    REVISE brings the revision in: at once when nothing is in flight (the table's `apply`), else it is
    staged. RESET makes failed, cancelled and interrupted sheets pending with fresh tries; it comes after
    REVISE, whose plan says of the failed ones that they run again. REWIND does so with the sheets that are
    named and all that depend on them; MARK takes a person's word that sheets are done, or not needed; SET
    sets or clears breakpoints. END_WAITS lets sheets that wait between two attempts wait no more; END_HOOKS
    ends the hooks of a failure.
    """

    UNDO = "undo"
    REVISE = "revise"
    REWIND = "rewind"
    MARK = "mark"
    RESET = "reset"
    SET = "set"
    HOLD = "hold"
    RELEASE = "release"
    INTERRUPT = "interrupt"
    CANCEL = "cancel"
    END_HOOKS = "end hooks"
    JOIN = "join"
    END_WAITS = "end waits"


class Guard(StrEnum):
    """A condition on an accepted request; where it does not hold, the request is refused."""

    HOLDS_END = "every hold ends by itself"
    STAGED = "a revision is staged"
    IN_LIMITS = "no limit, of cost or time, would hold it at once"
    WOULD_RUN = "something would run"
    WAITS = "a sheet waits for its next attempt, and every named sheet does"
    FAILING = "a hook of its failure runs, or is still to run"


class TransitionRule(msgspec.Struct, frozen=True):
    """The request is accepted: its effects, and the guards it stands under, looked at in this order."""

    effects: tuple[Effect, ...]
    guards: tuple[Guard, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """The request is refused with this code; nothing changes at all."""

    code: str = "E502"


Cell = TransitionRule | Refusal

_NO = Refusal()
_PAUSE = TransitionRule((Effect.HOLD,))
_CANCEL = TransitionRule((Effect.CANCEL,))
_LIMITED = (Guard.IN_LIMITS,)
_REOPENED = (Guard.WOULD_RUN, Guard.IN_LIMITS)
_RESTART = TransitionRule((Effect.RESET, Effect.RELEASE), _LIMITED)
_RELEASE = TransitionRule((Effect.RELEASE,), _LIMITED)
_TRY = TransitionRule((Effect.END_WAITS,), (Guard.WAITS,))
_END_HOOKS = TransitionRule((Effect.END_HOOKS,), (Guard.FAILING,))
_SET = TransitionRule((Effect.SET,))
_NOW = TransitionRule((Effect.HOLD, Effect.INTERRUPT))
_REWIND = TransitionRule((Effect.REWIND, Effect.RESET, Effect.RELEASE), _LIMITED)
_MARK = TransitionRule((Effect.MARK, Effect.RELEASE), _LIMITED)
_MARK_ENDED = TransitionRule((Effect.MARK, Effect.RESET, Effect.RELEASE), _LIMITED)
_REVISE = TransitionRule((Effect.REVISE,))
_REVISE_HELD = TransitionRule((Effect.REVISE, Effect.HOLD))
_REVISE_ON = TransitionRule((Effect.REVISE, Effect.RELEASE), _LIMITED)
_REVISE_ANEW = TransitionRule((Effect.REVISE, Effect.RESET), _LIMITED)

# In the order of JobStatus: queued running pausing paused cancelling completed failed cancelled.
_ROWS: dict[Action, tuple[Cell, ...]] = {
    Action.PAUSE: (
        _PAUSE,
        _PAUSE,
        _PAUSE,
        TransitionRule((Effect.HOLD,), (Guard.HOLDS_END,)),
        _NO,
        _NO,
        _NO,
        _NO,
    ),
    Action.PAUSE_NOW: (
        _PAUSE,
        _NOW,
        _NOW,
        TransitionRule((Effect.HOLD,), (Guard.HOLDS_END,)),
        _NO,
        _NO,
        _NO,
        _NO,
    ),
    Action.BREAK: (
        _SET,
        _SET,
        _SET,
        _SET,
        _NO,
        TransitionRule((Effect.SET,), (Guard.WOULD_RUN,)),
        _SET,
        _SET,
    ),
    Action.RESUME: (
        _NO,
        _NO,
        _RELEASE,
        _RELEASE,
        _NO,
        TransitionRule((Effect.RELEASE,), _REOPENED),
        _RESTART,
        _RESTART,
    ),
    Action.RESUME_FROM: (
        _NO,
        _NO,
        _NO,
        TransitionRule((Effect.REWIND, Effect.RELEASE), _LIMITED),
        _NO,
        _REWIND,
        _REWIND,
        _REWIND,
    ),
    Action.RESUME_MARK: (_NO, _NO, _MARK, _MARK, _NO, _NO, _MARK_ENDED, _MARK_ENDED),
    Action.MODIFY: (
        _REVISE_HELD,
        _REVISE_HELD,
        _REVISE_HELD,
        _REVISE_HELD,
        _NO,
        TransitionRule((Effect.REVISE,), (Guard.WOULD_RUN,)),
        _REVISE,
        _REVISE,
    ),
    Action.MODIFY_RESUME: (
        _REVISE,
        _REVISE,
        _REVISE_ON,
        _REVISE_ON,
        _NO,
        TransitionRule((Effect.REVISE, Effect.RELEASE), _REOPENED),
        _REVISE_ANEW,
        _REVISE_ANEW,
    ),
    Action.DISCARD: (_NO, _NO, TransitionRule((Effect.UNDO,), (Guard.STAGED,)), _NO, _NO, _NO, _NO, _NO),
    Action.CANCEL: (
        _CANCEL,
        _CANCEL,
        _CANCEL,
        _CANCEL,
        TransitionRule((Effect.JOIN,)),
        _NO,
        _END_HOOKS,
        _NO,
    ),
    Action.RETRY: (_TRY, _TRY, _TRY, _TRY, _NO, _NO, _NO, _NO),
}

TABLE: dict[tuple[Action, JobStatus], Cell] = {
    (action, job_status): cell
    for action, cells in _ROWS.items()
    for job_status, cell in zip(JobStatus, cells, strict=True)
}
"""Request by status, total."""
