"""`mzt stop`: stop the daemon; attempts in flight go on without it."""

from marianne_cli import launch, options
from marianne_cli.invocation import Answer, Invocation
from marianned.words import plural


@options.command("stop", "mzt stop")
@options.timeout_option(60.0, "How long it may take.")
def command(call: Invocation, *, timeout: float) -> Answer:
    """Stop the daemon; return when it is gone. Attempts in flight go on without it."""
    pid, attempts = launch.stopped(call, timeout)
    if pid is None:
        message = "no daemon runs"
    else:
        goes = f"; {plural(attempts, 'attempt')} {'goes' if attempts == 1 else 'go'} on without it"
        message = f"marianned (pid {pid}): stopped{goes if attempts else ''}"
    return Answer({"message": message, "pid": pid, "attempts_in_flight": attempts}, short="")
