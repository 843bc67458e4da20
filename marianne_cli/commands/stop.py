"""`mzt stop`: stop the daemon; attempts in flight go on without it."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.service import launch
from marianned.errors import MarianneError
from marianned.formatting import plural

_ENDS = {
    "detach": ("goes on without it", "go on without it"),
    "drain": ("was waited for", "were waited for"),
    "kill": ("was interrupted", "were interrupted"),
}
"""What becomes of one attempt in flight, and of several."""


@options.command("stop", "mzt stop", "mzt stop --drain -t 1h")
@options.flag("--drain", "mode", value="drain", help="Start nothing more; wait for what is in flight.")
@options.flag("--kill", "mode", value="kill", help="Interrupt what is in flight; it runs again later.")
@options.flag("--lose-jobs", help="Stop though the database is gone, and the jobs with it.")
@options.timeout_option(60.0, "Longest time to wait.")
@options.yes_option("--kill asks first while something is in flight")
def command(
    call: Invocation, *, mode: str | None, lose_jobs: bool, timeout: float, yes: bool
) -> CommandOutcome:
    """Stop the daemon; return when it is gone. Attempts in flight go on without it."""
    mode = mode or "detach"
    if mode == "kill" and not yes and (flying := _in_flight(call)):
        options.confirm(f"stop, and interrupt {plural(flying, 'attempt')}", yes=yes)
    pid, attempts = launch.stop(call, timeout, mode, lose_jobs=lose_jobs)
    if pid is None:
        message = "no daemon runs"
    else:
        said = f"; {plural(attempts, 'attempt')} {_ENDS[mode][attempts != 1]}"
        message = f"marianned (pid {pid}): stopped{said if attempts else ''}"
    left = attempts if mode == "detach" else 0
    return CommandOutcome({"message": message, "pid": pid, "attempts_in_flight": left}, short="")


def _in_flight(call: Invocation) -> int:
    """Return how many attempts are in flight; 0 where the daemon can't be asked: stopping it tells why."""
    try:
        with call.connect(any_protocol=True, timeout=2.0) as client:
            return int(client.request("daemon.status", {}, once=True)["attempts_in_flight"])
    except MarianneError:
        return 0
