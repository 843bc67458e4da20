"""What the conductor says beside a job's own words: addresses, refusals that time brings, leftovers."""

import msgspec

from marianned import files, formatting
from marianned.clock import Instant
from marianned.conductor.core.job import JobActor
from marianned.errors import WaitOverridden, WaitTimeout
from marianned.lifecycle import Action
from marianned.moment import now
from marianned.problem import Problem, make_problem
from marianned.progress.state.run import RunState, ScoreVersion
from marianned.progress.views import messages
from marianned.protocol import JobStatus, Modify
from marianned.rows import EventRow, RunRow, event_of
from marianned.score.expanded import ExpandedScore, Isolation

_DIGITS_MOST = 15
"""The most digits a run's number may have: it fits into any column."""


def parse_job_id(job_id: str) -> tuple[str, int | None]:
    """Split what a job is addressed by: `name`, or `name@run`."""
    name, _, run = job_id.rpartition("@")
    return (name, int(run)) if name and run.isdecimal() and len(run) <= _DIGITS_MOST else (job_id, None)


def wait_timed_out(job: JobActor, action: Action, patience: float) -> WaitTimeout:
    """Return what is said when a waiting request's time is up; the request stays in force."""
    state = job.state
    said = ""
    if state.flights:
        verb = "is" if state.flight_count == 1 else "are"
        said = f": {messages.flights_text(state)} {verb} in flight{messages.time_left(state, now())}"
    status = job.status
    waited = f"'{state.run.job_name}' is still {status} after {formatting.time_asked(patience)}"
    return WaitTimeout(
        f"{waited}{said}; {messages.IN_FORCE[action]}",
        job_id=state.run.job_name,
        status=status,
        hints=[
            hint
            for hint in messages.wait_hints(state, status)
            if status != JobStatus.PAUSING or "resume" not in hint
        ],
    )


def wait_overridden(
    state: RunState, status: JobStatus, words_wanted: list[str], *, older: bool
) -> WaitOverridden:
    """Return what is said when a status that is waited for can no longer come; `older`: of an older run."""
    name = f"{state.run.job_name}@{state.run.run}" if older else state.run.job_name
    return WaitOverridden(
        f"'{name}' has {messages.ENDED_WORDS[status]}; it will not be {' or '.join(words_wanted)}",
        job_id=name,
        status=status,
        hints=[] if older else messages.hints(state, status),
    )


def wrong_name_problem(params: Modify, name: str, wanted: str) -> Problem:
    """Return the problem of a new score that names another job, at its `name`."""
    line = column = None
    for number, text in enumerate((params.text or "").splitlines(), 1):
        if text.startswith("name:"):
            value = text.removeprefix("name:")
            line, column = number, len(text) - len(value.lstrip()) + 1
            break
    return make_problem(
        "S603",
        f"the score's name is '{name}', the job is '{wanted}'",
        params.file or "score",
        line=line,
        column=column,
        path="name",
        hint=f"write name: {wanted}, or start it as a job of its own: mzt run FILE",
    )


def ineffective_settings(state: RunState, version: ScoreVersion, file: str | None) -> list[Problem]:
    """Warn of what a new score says that belongs to the run: its workspace, and whether it is isolated."""
    was, new, run = state.newest.score, version.score, state.run
    changed: dict[str, str] = {}
    if new.given_workspace not in (None, run.workspace, was.given_workspace):
        changed["workspace"] = f"'{run.job_name}' goes on in '{run.workspace}'"
    if _written_isolation(new) != _written_isolation(was):
        kept = "as it was" if was.isolation is not None else "without a worktree of its own"
        changed["isolation"] = f"'{run.job_name}' goes on {kept}"
    return [
        make_problem(
            "S604",
            f"another {key} has no effect, it belongs to the run: {said}",
            file or version.row.config_file or "score",
            path=key,
            hint="mzt run FILE --fresh starts a run with it",
        )
        for key, said in changed.items()
    ]


def _written_isolation(score: ExpandedScore) -> Isolation | None:
    """Return what is written of it: where its repository is looked for follows from the score's place."""
    return None if score.isolation is None else msgspec.structs.replace(score.isolation, places=())


def source_changed(config_file: str | None, text: str) -> bool | None:
    """Tell whether the score file on disk differs from the stored revision; None: no file is there."""
    if config_file is None:
        return None
    try:
        return files.read(config_file, files.TEXT_MOST) != text.encode()
    except OSError:
        return None


def leftover_removed_event(run: RunRow, moment: Instant) -> EventRow:
    """Return the line about a pause file that lay there when the run began."""
    return event_of(run, "pausefile.removed", "a pause file that was left over was removed", moment.at)
