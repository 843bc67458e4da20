"""`mzt resume`: go on with a paused, failed or cancelled job."""

from marianne_cli import options
from marianne_cli.invocation import Answer, Invocation


@options.command(
    "resume",
    "mzt resume release-notes",
    "mzt resume release-notes -e API_KEY",
    "mzt resume --all",
    changes=True,
)
@options.jobs_argument
@options.env_option
@options.env_file_option
@options.wait_option
@options.timeout_option(60.0)
@options.all_option
def command(
    call: Invocation,
    *,
    jobs: tuple[str, ...],
    env: tuple[str, ...],
    env_file: str | None,
    wait: bool,
    timeout: float,
    every: bool,
) -> Answer:
    """Go on with a paused, failed or cancelled job; nothing completed runs again."""
    variables = options.environment(env, env_file)

    def one(job: str, rest: float) -> Answer:
        answer = call.requested("job.resume", job_id=job, wait=wait, timeout=rest, env=variables)
        if answer.result.get("source_changed"):
            _tell_change(call, answer)
        return answer

    return options.each_until(call, options.targets(call, jobs, every, ("paused",)), timeout, one)


def _tell_change(call: Invocation, answer: Answer) -> None:
    job_id, file = answer.result["job_id"], answer.result["config_file"]
    call.note(f"'{file}' differs from the stored revision, which runs; to take it:")
    call.note(f"  mzt modify {job_id} -c {file} -r")
