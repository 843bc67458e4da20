"""`mzt modify`: give a job a new score; finished sheets stay finished."""

from typing import Any

from marianne_cli import options, people
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse


@options.command(
    "modify",
    "mzt modify my-job --config updated.yaml",
    "mzt modify my-job -c new-config.yaml --resume",
    "mzt modify my-job -c updated.yaml -r --wait",
    "mzt modify release-notes -c new.yaml --plan",
    "mzt modify release-notes -c new.yaml -r --wait",
    "mzt modify release-notes --revision 1 -r",
    "mzt modify release-notes --rerun changed -r",
    "mzt modify release-notes --var version=1.5 -r",
    "mzt modify release-notes --discard",
    changes=True,
    paged=True,
)
@options.job_argument
@options.option(
    "--config", "-c", metavar="FILE", kind=options.FILE, help="The new score; - is standard input."
)
@options.option(
    "--revision", metavar="INT", kind=kinds.WholeNumber(1), help="Use the text of this revision again."
)
@options.var_option
@options.vars_file_option
@options.option(
    "--rerun",
    metavar="changed|hooks|SHEETS",
    kind=options.SheetNames("changed", "hooks"),
    help="Run completed sheets again, or hooks; alone or with -c, --revision.",
)
@options.flag("--discard", help="Take a staged revision back.")
@options.resume_option
@options.wait_option
@options.timeout_option(60.0)
@options.plan_option
@options.option(
    "--expect",
    metavar="INT",
    kind=kinds.WholeNumber(),
    help="Refuse (E502) unless this is the newest revision.",
)
def command(
    call: Invocation,
    *,
    job: str,
    config: str | None,
    revision: int | None,
    var: tuple[str, ...],
    vars_file: str | None,
    rerun: str | None,
    discard: bool,
    resume: bool,
    wait: bool,
    timeout: float,
    plan: bool,
    expect: int | None,
) -> CommandOutcome:
    """Give a job a new score; finished sheets stay finished.

    JOB is the name of the job to modify. The score is checked first; with an error in it the job goes on as
    it was. A running job is paused at its next sheet boundary, then the new score takes effect. Without -r
    it stays paused, so that you can look first, and `mzt resume` continues it.
    """
    given = options.values(var, vars_file)
    if discard:
        others = {"--config": config, "--revision": revision, "--rerun": rerun, "--var": given or None}
        options.exclude("--discard", {**others, "--resume": resume, "--plan": plan})
    if config is not None:
        options.exclude("--config", {"--revision": revision})
    if config is None and revision is None and rerun is None and not given and not discard:
        known = "--config FILE, --revision INT, --rerun SHEETS, --var NAME=VALUE, --discard"
        raise Misuse(f"say one of {known}")
    answer = request_modify(
        call,
        config,
        job_id=job,
        **({} if config is None else options.score_file(config)),
        revision=revision,
        **({"variables": given} if given else {}),
        rerun=rerun,
        discard=discard,
        resume=resume,
        wait=wait,
        timeout=timeout,
        plan=plan,
        expect=expect,
    )
    note_released(call, answer)
    return with_text(answer, plan=plan)


def request_modify(call: Invocation, config: str | None, **params: Any) -> CommandOutcome:
    """Ask for a modify; hints name the score's file as it was typed."""
    with options.as_typed(config) as typed_hints:
        answer = call.request_for_job("job.modify", **params)
    return answer._replace(result={**answer.result, "hints": typed_hints(answer.result["hints"])})


def note_released(call: Invocation, answer: CommandOutcome) -> None:
    """Note whose holds were released beside the caller's own; older daemons don't tell."""
    for hold in answer.result.get("released", []) if not answer.result.get("dry_run") else []:
        if hold["owner"] is not None and not people.is_own(hold["owner"]):
            call.note(f"released: the pause{people.holder_text(hold)}{people.foreign_client(hold['owner'])}")


def with_text(answer: CommandOutcome, *, plan: bool) -> CommandOutcome:
    """Show a plan as its table; else, below the message, what a new score leaves as it was or takes away."""
    from marianne_cli.screens import jobs as screens
    from marianne_cli.screens import render

    if plan:
        message, *rows, runs = screens.plan_screen(answer.result)
        whole = [render.fit_lines([line], rows=None) for line in (message, runs)]
        text = "\n".join([whole[0], *([render.fit_lines(rows)] if rows else []), whole[1]])
        return answer._replace(text=text, short=None)
    lost = screens.lost_definitions(answer.result)
    return answer._replace(text=f"{answer.result['message']}\n{lost}" if lost else None)
