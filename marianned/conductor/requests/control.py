"""The requests that control a job, which are `ControlParams`; each is one method.

A request is a single transition, made by the job's own task; here it is only made ready and handed over.
Source: docs/design/control.md §4-§6.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

import msgspec
from anyio import to_thread

from marianned import formatting, lifecycle, masks
from marianned.conductor.core import drift
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.hindrances import add_hindrances
from marianned.conductor.core.idempotency import recorded_answer
from marianned.conductor.core.job import JobActor
from marianned.conductor.core.loading import load_version
from marianned.conductor.core.messages import (
    ineffective_settings,
    source_changed,
    wait_timed_out,
    wrong_name_problem,
)
from marianned.conductor.core.waiters import Answer
from marianned.conductor.requests import new_run
from marianned.errors import BadRequest, InvalidScore, MarianneError, WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.run import RunState, ScoreVersion
from marianned.progress.state.triggers import JobRequest, Proposal
from marianned.progress.views.job import hold_views
from marianned.protocol import (
    Caller,
    Cancel,
    Cancelled,
    Drift,
    Hold,
    Modified,
    Modify,
    Pause,
    Paused,
    Resume,
    Resumed,
    Retried,
    Retry,
)
from marianned.protocol import Job as JobView
from marianned.rows import RequestRow, RevisionRow
from marianned.score.read.reader import ScoreSource

ControlParams = Pause | Cancel | Resume | Modify | Retry
R = TypeVar("R", bound=JobView)
PlannedReply = TypeVar("PlannedReply", Resumed, Modified)

_EDITS_MOST = 20
"""So many revisions back it is looked whether a score file is as it was."""


class ControlRequests:
    """Hands requests to the jobs of a conductor."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def pause(self, caller: Caller, params: Pause) -> Paused | Cancelled:
        """Pause a job at its next sheet boundary; with `force`, cancel it."""
        if params.force:
            return await self._hand_over(caller, params, Cancelled, JobRequest(action=Action.CANCEL))
        if params.before is not None or params.clear:
            if params.now or params.deadline is not None or params.for_ is not None:
                raise BadRequest("a breakpoint has neither 'now', 'deadline' nor 'for'")
            ask = JobRequest(action=Action.BREAK, sheets=params.before, clear=params.clear)
        else:
            ask = JobRequest(
                action=Action.PAUSE_NOW if params.now else Action.PAUSE,
                deadline=_milliseconds(params.deadline),
                lasts=_milliseconds(params.for_),
            )
        return await self._hand_over(caller, params, Paused, ask)

    async def cancel(self, caller: Caller, params: Cancel) -> Cancelled:
        """End a job now."""
        return await self._hand_over(caller, params, Cancelled, JobRequest(action=Action.CANCEL))

    async def retry(self, caller: Caller, params: Retry) -> Retried:
        """End waits between attempts."""
        return await self._hand_over(
            caller, params, Retried, JobRequest(action=Action.RETRY, sheets=params.sheets)
        )

    async def resume(self, caller: Caller, params: Resume) -> Resumed:
        """Go on with a paused, failed or cancelled job; some sheets again, or by a person's word not."""
        marks = params.skip is not None or params.accept is not None
        again = params.from_ if params.only is None else params.only
        if marks + (params.from_ is not None) + (params.only is not None) > 1:
            raise BadRequest("sheets are skipped or accepted, or run again ('from', 'only'): one at a time")
        action = Action.RESUME if again is None else Action.RESUME_FROM
        ask = JobRequest(
            action=Action.RESUME_MARK if marks else action,
            sheets=again,
            alone=params.only is not None,
            skip=params.skip,
            accept=params.accept,
            plan=params.plan,
            over_budget=params.over_budget,
            env=params.env,
        )

        seen: list[Drift | None] = []
        holds: list[Hold] = []

        async def look() -> JobRequest:
            """Look at the workspace before anything runs there again."""
            state = (await self._conductor.job(params.job_id)).state
            holds.extend(hold_views(state))
            seen.append(await drift.find_drift(self._conductor.services, state))
            if params.expect_clean:
                _check_clean(state, seen[-1])
            return ask

        async def complete(request: RequestRow, reply: Resumed) -> Resumed:
            """Say whether score file and workspace differ; a repeated key is told what the first was."""
            state = (await self._conductor.job(params.job_id)).state
            newest = state.newest.row
            changed = await _source_changed(self._conductor, newest)
            hint = f"mzt modify {state.run.job_name} -c {formatting.typed(newest.config_file)} -r"
            hints = [*reply.hints, hint] if changed else reply.hints
            told = {"drift": seen[-1] if seen else None, "released": holds}
            whole = msgspec.structs.replace(reply, hints=hints, source_changed=changed, **told)
            await self._conductor.keys.amend(request, whole)
            return whole

        return _with_page_of_plan(await self._hand_over(caller, params, Resumed, ask, look, complete), params)

    async def modify(self, caller: Caller, params: Modify) -> Modified:
        """Give a job a new score, show what that would do, or take a staged one back."""
        given = [params.text is not None, params.revision is not None, params.discard]
        beside = bool(params.rerun or params.variables)
        if sum(given) > 1 or not (any(given) or beside) or (params.discard and beside):
            raise BadRequest(
                "a modify has one of 'text', 'revision', 'discard'; 'rerun', 'variables' alone or beside"
            )
        if params.discard:
            return await self._hand_over(
                caller, params, Modified, JobRequest(action=Action.DISCARD, expect=params.expect)
            )
        ask = JobRequest(
            action=Action.MODIFY_RESUME if params.resume else Action.MODIFY,
            sheets=params.rerun,
            plan=params.plan,
            expect=params.expect,
            options=_typed_options(params),
        )

        holds: list[Hold] = []

        async def complete(request: RequestRow, reply: Modified) -> Modified:
            if not holds:
                return reply
            whole = msgspec.structs.replace(reply, released=holds)
            await self._conductor.keys.amend(request, whole)
            return whole

        async def propose() -> JobRequest:
            """Validate only what is asked for the first time: a repeated key gets the first answer."""
            version = await self._proposal(params)
            if params.resume:
                holds.extend(hold_views((await self._conductor.job(params.job_id)).state))
            if version is not None:
                state = (await self._conductor.job(params.job_id)).state
                unheard = ineffective_settings(state, version, params.file)
                row = version.row
                edited = await to_thread.run_sync(source_changed, params.file, row.text)
                problems = [*row.problems, *unheard]
                row = msgspec.structs.replace(row, problems=problems, edited=edited is True)
                version = msgspec.structs.replace(version, row=row)
            proposal = Proposal(version=version) if version is not None else None
            return msgspec.structs.replace(ask, proposal=proposal)

        return _with_page_of_plan(
            await self._hand_over(caller, params, Modified, ask, propose, complete), params
        )

    async def _proposal(self, params: Modify) -> ScoreVersion | None:
        state = (await self._conductor.job(params.job_id)).state
        newest = state.newest.row
        if params.text is not None:
            place = (params.directory or "/", params.file)
            return (await self._validate(params, params.text.encode(), place, None)).version
        if params.revision is None and not params.variables:
            return None
        number = params.revision or newest.revision
        if number > state.run.last_revision:
            raise BadRequest(
                f"'{state.run.job_name}' has revisions 1-{state.run.last_revision}, not {number}",
                job_id=state.run.job_name,
                hints=[f"mzt revisions {state.run.job_name}"],
            )
        version = await load_version(self._conductor.services.store, state.run, number)
        row = version.row
        if row.variables == newest.variables | params.variables:
            return version
        place = (row.directory, row.config_file)
        return (await self._validate(params, row.text.encode(), place, row.files)).version

    async def _validate(
        self, params: Modify, text: bytes, place: tuple[str, str | None], files: Mapping[str, str] | None
    ) -> new_run.ValidScore:
        """Validate the new score as `mzt validate` does, against the job's real workspace.

        `place` is its directory and file; `files` are those stored with it, where the text is a stored one.
        """
        state = (await self._conductor.job(params.job_id)).state
        run, (directory, file) = state.run, place
        source = ScoreSource(
            text=text,
            file=file or "score",
            directory=directory,
            submit_directory=run.submit_directory,
            workspace=run.workspace,
            given=params.variables,
            kept=state.newest.row.variables,
        )
        shown = Path(file).name if file else new_run.UNNAMED
        undisturbed = f"; '{run.job_name}' goes on undisturbed"
        try:
            score = await new_run.compile_valid(source, shown, undisturbed, files)
            _check_name(score, params, run.job_name, f"'{shown}' has 1 error{undisturbed}")
        except InvalidScore as error:
            error.job_id = run.job_name
            error.status = (await self._conductor.job(params.job_id)).status
            raise
        return score

    async def _hand_over(
        self,
        caller: Caller,
        params: ControlParams,
        kind: type[R],
        ask: JobRequest,
        prepare: Callable[[], Awaitable[JobRequest]] | None = None,
        complete: Callable[[RequestRow, R], Awaitable[R]] | None = None,
    ) -> R:
        """Hand a request to its job, once for each key; return or raise its answer.

        `prepare` completes the request, where that takes a while, before it is handed over; `complete`
        completes and keeps its first answer.
        """

        async def completed(request: RequestRow, reply: R) -> R:
            return reply if complete is None else await complete(request, reply)

        async def act(request: RequestRow) -> R:
            whole = ask if prepare is None else await prepare()
            job = await self._conductor.job(params.job_id)
            handed = msgspec.structs.replace(whole, row=request, reason=params.reason, wait=params.wait)
            answer = await job.ask(handed, params.timeout)
            reply = await completed(request, _reply_of(answer, job, ask, params.timeout, kind))
            add_hindrances(job.services, reply, job.state, job.blockers())
            return reply

        async def join(request: RequestRow) -> R:
            job = await self._conductor.job(params.job_id)
            if request.request not in job.state.requests:  # answered in between: the answer is on disk
                kept = await self._conductor.keys.lookup(request)
                reply = recorded_answer(kept, kind) if kept is not None else None
                if reply is not None:
                    return reply
                job = await self._conductor.job(params.job_id)
            waiter = job.wait_for(request.request)
            answer = await job.answer(request.request, waiter, params.timeout if params.wait else 0.0)
            return await completed(request, _reply_of(answer, job, ask, params.timeout, kind))

        return await self._conductor.keys.run(caller, params, kind, act, join)


def _check_clean(state: RunState, seen: Drift | None) -> None:
    """Refuse what was to go on only where nobody has touched the workspace.

    Raises:
        WrongStatus: somebody has, or it isn't known.
    """
    if seen is not None and seen.unwatched is None and not seen.total:
        return
    name, status = state.run.job_name, lifecycle.status(state.facts)
    if seen is not None and seen.unwatched is None:
        named = formatting.file_list([(one.path, one.how) for one in seen.changes], seen.total)
        why = f"its workspace was changed since then: {named}"
    else:
        unwatched = seen.unwatched if seen is not None else "nothing was remembered"
        why = f"whether its workspace was changed since then is not known: {unwatched}"
    raise WrongStatus(
        f"'{name}' is {status}; {why}",
        job_id=name,
        status=status,
        hints=[f"mzt status {name}", f"mzt resume {name}"],
    )


def _typed_options(params: Modify) -> str:
    """Write what a modify is about as it is typed behind `mzt modify JOB`."""
    options = f" -c {formatting.typed(params.file)}" if params.text is not None else ""
    if params.revision is not None:
        options = f" --revision {params.revision}"
    return options + formatting.given_again(masks.mask_variables(params.variables))


def _check_name(score: new_run.ValidScore, params: Modify, wanted: str, message: str) -> None:
    """Refuse a score that names another job.

    Raises:
        InvalidScore: it does.
    """
    name = score.version.score.name
    if name != wanted:
        raise InvalidScore(
            message, problems=[*score.compiled.problems, wrong_name_problem(params, name, wanted)]
        )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _reply_of(answer: Answer | None, job: JobActor, ask: JobRequest, patience: float, kind: type[R]) -> R:  # noqa: ARG001  names R
    if isinstance(answer, MarianneError):
        raise answer
    if answer is None:
        raise wait_timed_out(job, ask.action, patience)
    return cast("R", answer)


def _with_page_of_plan(reply: PlannedReply, params: Resume | Modify) -> PlannedReply:
    """Return the reply with those lines of its plan that are asked for; what is kept with a key has all."""
    lines = reply.plan[params.offset : params.offset + params.limit]
    return msgspec.structs.replace(reply, plan=lines)


async def _source_changed(conductor: Conductor, newest: RevisionRow) -> bool | None:
    """Tell whether the score file differs; null: there is none, or it is as it was before an edit.

    Who edited a revision, or took an older one again, has left the file as it was: it says nothing new.
    """
    if newest.config_file is None:
        return None
    changed = await to_thread.run_sync(source_changed, newest.config_file, newest.text)
    oldest = max(1, newest.revision - _EDITS_MOST)
    for number in range(newest.revision - 1, oldest - 1, -1) if changed else ():
        earlier = await conductor.services.store.records.revision(newest.run_id, number)
        if earlier is None:
            break
        if await to_thread.run_sync(source_changed, newest.config_file, earlier.text) is False:
            return None
    return changed
