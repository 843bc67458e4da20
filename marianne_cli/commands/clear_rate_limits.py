"""`mzt clear-rate-limits`: stop waiting for a rate limit."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds


@options.command(
    "clear-rate-limits",
    "mzt clear-rate-limits",
    "mzt clear-rate-limits claude-code --reason 'plan upgraded'",
    changes=True,
)
@options.argument("instrument", metavar="[INSTRUMENT]", required=False, kind=kinds.Name())
def command(call: Invocation, *, instrument: str | None) -> CommandOutcome:
    """End the rate limits of one instrument, or of all, for all jobs: waiting sheets try at once."""
    return CommandOutcome(call.change("instrument.clear_limits", instrument=instrument), short="")
