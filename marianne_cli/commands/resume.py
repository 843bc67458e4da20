"""`mzt resume`: go on with a paused or ended job."""

from typing import Any

from marianne_cli import options
from marianne_cli.commands import modify
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianned.formatting import typed


@options.command(
    "resume",
    "mzt resume release-notes",
    "mzt resume release-notes --from 3 --plan",
    "mzt resume release-notes --accept 3 --reason 'checked by hand'",
    "mzt resume release-notes -c new.yaml --wait",
    "mzt resume release-notes -e API_KEY",
    "mzt resume --all",
    changes=True,
    paged=True,
)
@options.jobs_argument("paused", "pausing", "failed", "cancelled")
@options.option(
    "--from",
    "since",
    metavar="SHEETS",
    kind=options.SheetNames(),
    help="Run these sheets again, and all that depend on them.",
)
@options.option(
    "--only",
    metavar="SHEETS",
    kind=options.SheetNames(),
    help="Run these sheets again; what depends on them stays as it is.",
)
@options.option(
    "--config",
    "-c",
    metavar="FILE",
    kind=options.FILE,
    help="Continue with this score (- is standard input); same as modify -c FILE -r.",
)
@options.option(
    "--skip",
    metavar="SHEETS",
    kind=options.SheetNames(),
    help="Let these sheets, failed or yet to run, count as skipped.",
)
@options.option(
    "--accept",
    metavar="SHEETS",
    kind=options.SheetNames(),
    help="Let these sheets count as completed, their checks as passed.",
)
@options.flag(
    "--expect-clean",
    "clean",
    help="Refuse it if files of the workspace were changed since the job paused.",
)
@options.plan_option
@options.option(
    "--over-budget",
    metavar="NUM",
    kind=kinds.DollarAmount(),
    help="Add this many USD to the score's cost limit.",
)
@options.env_option
@options.env_file_option
@options.wait_option
@options.timeout_option(60.0)
@options.all_option
@options.label_option
def command(
    call: Invocation,
    *,
    jobs: tuple[str, ...],
    since: str | None,
    only: str | None,
    skip: str | None,
    accept: str | None,
    config: str | None,
    clean: bool,
    plan: bool,
    over_budget: float | None,
    env: tuple[str, ...],
    env_file: str | None,
    wait: bool,
    timeout: float,
    every: bool,
    labels: tuple[str, ...],
) -> CommandOutcome:
    """Continue a paused, failed or cancelled job; nothing completed runs again unless --from names it.

    A completed job goes on where --from or a new score gives it something to run.
    """
    from marianne_cli.screens import jobs as screens

    asked: dict[str, Any]
    if since is not None:
        options.exclude("--from", {"--only": only, "--skip": skip, "--accept": accept})
    if only is not None:
        options.exclude("--only", {"--skip": skip, "--accept": accept})
    if config is not None:
        marks = {"--only": only, "--skip": skip, "--accept": accept, "--expect-clean": clean or None}
        given = {"--over-budget": over_budget, "--env": env or None, "--env-file": env_file}
        options.exclude("--config", {**marks, **given})
        asked = {**options.score_file(config), "rerun": since, "resume": True, "plan": plan}
    else:
        variables = options.environment(env, env_file)
        asked = {
            "from": since,
            "only": only,
            "skip": skip,
            "accept": accept,
            "plan": plan,
            "over_budget": over_budget,
            "env": variables,
            **({"expect_clean": True} if clean else {}),
        }

    def one(job: str, rest: float) -> CommandOutcome:
        params = {"job_id": job, "wait": wait, "timeout": rest, **asked}
        if config is not None:
            answer = modify.request_modify(call, config, **params)
            answer = answer._replace(result={**answer.result, "source_changed": False})
        else:
            answer = call.request_for_job("job.resume", **params)
            _note_changed_source(call, answer)
        if not plan:
            modify.note_released(call, answer)
        for line in screens.drift_lines(answer.result, "changed meanwhile"):
            call.note(line)
        return modify.with_text(answer, plan=plan)

    targets = options.target_jobs(call, jobs, every, ("paused",), labels)
    return options.run_each_until(call, targets, timeout, one)


def _note_changed_source(call: Invocation, answer: CommandOutcome) -> None:
    """Note if the score's file has changed since it was submitted."""
    if not answer.result["source_changed"]:
        return
    job_id, file = answer.result["job_id"], answer.result["config_file"]
    call.note(f"'{file}' differs from the stored revision, which runs; to take it:")
    call.note(f"  mzt modify {job_id} -c {typed(file)} -r")
