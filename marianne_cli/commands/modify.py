"""`mzt modify`: give a job a new score; finished sheets stay finished."""

import click

from marianne_cli import options
from marianne_cli.invocation import Answer, Invocation


@options.command(
    "modify",
    "mzt modify release-notes -c new.yaml --plan",
    "mzt modify release-notes -c new.yaml -r --wait",
    "mzt modify release-notes --discard",
    changes=True,
)
@options.job_argument
@click.option("--config", "-c", metavar="FILE", help="The new score.")
@click.option("--discard", is_flag=True, help="Take a staged revision back.")
@click.option("--resume", "-r", is_flag=True, help="Go on under the new score.")
@options.wait_option
@options.timeout_option(60.0)
@click.option("--plan", is_flag=True, help="Show what it would do; change nothing.")
@click.option("--expect", metavar="INT", type=int, help="The newest revision you know; another: E502.")
def command(
    call: Invocation,
    *,
    job: str,
    config: str | None,
    discard: bool,
    resume: bool,
    wait: bool,
    timeout: float,
    plan: bool,
    expect: int | None,
) -> Answer:
    """Give a job a new score; finished sheets stay finished.

    Without -r the job stays paused afterwards, so that you can look at it first.
    """
    if (config is None) is not discard:
        raise click.UsageError("say one of --config FILE, --discard")
    answer = call.requested(
        "job.modify",
        job_id=job,
        **({} if config is None else options.score_file(config)),
        discard=discard,
        resume=resume,
        wait=wait,
        timeout=timeout,
        plan=plan,
        expect=expect,
    )
    return answer._replace(text=_text(answer, plan=plan), short=None if plan else "")


def _text(answer: Answer, *, plan: bool) -> str | None:
    from marianne_cli import render, screens

    if plan:
        return render.fitted(screens.plan_screen(answer.result))
    lost = screens.lost_definitions(answer.result)
    return f"{answer.result['message']}\n{lost}" if lost else None
