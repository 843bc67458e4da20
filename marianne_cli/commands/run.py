"""`mzt run`: start a score, and the daemon if none runs."""

import os
from collections.abc import Mapping
from typing import Any

from marianne_cli import exits, options, waiting
from marianne_cli.client.dialling import current_umask
from marianne_cli.context import GOES_ON, CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.service import launch
from marianned.places import EXECUTORS


@options.command(
    "run",
    "mzt run release-notes.yaml",
    "mzt run release-notes.yaml --wait -t 2h",
    "mzt run release-notes.yaml --fresh -F",
    "mzt run release-notes.yaml --var version=1.4",
    "mzt run sweep.yaml --executor slurm",
    changes=True,
)
@options.argument("score", metavar="SCORE", kind=options.FILE)
@options.flag("--wait", help="Return when the job has ended.")
@options.follow_option
@options.timeout_option(None, "Longest time that --wait and -F wait.")
@options.flag("--fresh", help="Replace a paused or failed run of that name.")
@options.option(
    "--label",
    "-l",
    "labels",
    metavar="LABEL",
    multiple=True,
    kind=kinds.LabelName(),
    help="Give the run a label, beside those of its score.",
)
@options.workspace_option
@options.var_option
@options.vars_file_option
@options.env_option
@options.env_file_option
@options.before_option
@options.option(
    "--executor",
    kind=kinds.OneOf(*EXECUTORS),
    help="Where its sheets run, unless their stage or instrument says so.",
)
@options.flag("--no-auto-resume", help="Pause at a rate limit instead of waiting for it.")
@options.flag("--dry-run", help="Show what would run; start nothing.")
def command(
    call: Invocation,
    *,
    score: str,
    wait: bool,
    follow: bool,
    timeout: float | None,
    fresh: bool,
    labels: tuple[str, ...],
    workspace: str | None,
    var: tuple[str, ...],
    vars_file: str | None,
    env: tuple[str, ...],
    env_file: str | None,
    before: str | None,
    executor: str | None,
    no_auto_resume: bool,
    dry_run: bool,
) -> CommandOutcome:
    """Run a score; return when the job is on disk.

    Starts the daemon if none runs. SCORE is a file; - is standard input, whose paths count from here.
    """
    here = os.getcwd()  # noqa: PTH109  pathlib is not wanted for this
    params: dict[str, Any] = {**options.score_file(score), "submit_directory": here}
    if workspace is not None:
        params["workspace"] = os.path.abspath(workspace)  # noqa: PTH100
    if given := options.values(var, vars_file):
        params["variables"] = given
    environ = options.environment(env, env_file)
    started = launch.ensure_running(call)
    if dry_run:
        from marianne_cli.commands.validate import validation_outcome

        result = call.ask("score.validate", **params, explain=True, prompts=True)
        return validation_outcome(call, result)
    if labels:
        params["labels"] = list(labels)
    if executor is not None:
        params["executor"] = executor
    params |= {"env": environ, "umask": current_umask(), "fresh": fresh}
    with options.as_typed(score):
        result = call.change("job.submit", **params, before=before, auto_resume=not no_auto_resume)
    call.note_warnings(result)
    _note_missing_in_daemon(call, result)
    if not (wait or follow):
        return CommandOutcome({**result, "daemon_started": started}, short=result["job_id"])
    return _wait_for_end(call, result, timeout=timeout, follow=follow, started=started)


def _wait_for_end(
    call: Invocation, job: Mapping[str, Any], *, timeout: float | None, follow: bool, started: bool
) -> CommandOutcome:
    address = f"{job['job_name']}@{job['run']}"
    call.stays = GOES_ON
    if follow:
        progress = _ProgressPrinter(call)  # from the first event of the run on, which was before the reply
        result = waiting.wait_until(call, address, ["ended"], timeout=timeout, tell=progress, since=0)
        for event in remaining_events(call, address, progress.last):
            progress(event)
    elif call.draws_live_line:
        line = waiting.LiveLine(job["job_id"])
        try:
            result = waiting.wait_until(
                call, address, ["ended"], timeout=timeout, tell=line.draw, since=job["event"]
            )
        finally:
            line.clear()
    else:
        call.note(job["message"])
        tell = waiting.hold_notifier(call, job["job_id"])
        result = waiting.wait_until(call, address, ["ended"], timeout=timeout, tell=tell, since=job["event"])
    kept = {key: value for key, value in result.items() if key not in {"reached", "waited_seconds"}}
    return waiting.end_outcome({**kept, "daemon_started": started})


def _note_missing_in_daemon(call: Invocation, job: Mapping[str, Any]) -> None:
    """Say what the daemon lacks of what this shell has, for the instruments of the first sheets."""
    first = call.ask("job.status", job_id=f"{job['job_name']}@{job['run']}", limit=50)["sheets"]
    used = {sheet["instrument"] for sheet in first} - {"cli"}
    if used and not call.quiet and not call.as_json:
        from marianne_cli.service import missing_in_daemon

        missing_in_daemon.note_missing(call, used, job["job_name"])


class _ProgressPrinter:
    """Prints each event of a job as a line: on stderr, with --json as an EVENT on stdout."""

    def __init__(self, call: Invocation) -> None:
        self._call = call
        self.last = 0

    def __call__(self, event: Mapping[str, Any]) -> None:
        from marianne_cli.screens.render import event_line

        self.last = event["event"]
        if self._call.as_json:
            exits.print_json_object(self._call, event)
        else:
            self._call.note(event_line(event))


def remaining_events(call: Invocation, job_id: str, after: int) -> list[dict[str, Any]]:
    """Return the events of a job after a number: those the stream had not brought when the wait ended."""
    events: list[dict[str, Any]] = []
    while page := call.ask("events.read", job_id=job_id, after=after)["events"]:
        events += page
        after = page[-1]["event"]
    return events
