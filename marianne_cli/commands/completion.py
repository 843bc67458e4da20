"""`mzt completion`: the shell's completion, as Click makes it."""

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds


@options.command("completion", 'eval "$(mzt completion bash)"', "mzt completion fish | source", as_json=False)
@options.argument("shell", kind=kinds.OneOf("bash", "zsh", "fish"))
def command(call: Invocation, *, shell: str) -> CommandOutcome:  # noqa: ARG001  it asks nobody
    """Print the code that makes a shell complete commands, options, files, jobs and sheets."""
    from click.shell_completion import get_completion_class

    from marianne_cli.tree.group import mzt
    from marianne_cli.tree.table import COMPLETION_VARIABLE

    kind = get_completion_class(shell)
    assert kind is not None
    source = kind(mzt, {}, "mzt", COMPLETION_VARIABLE).source()
    # fish: what is completed may have commas itself, as SHEETS do
    return CommandOutcome({}, text=source.replace('string split ","', 'string split -m 1 ","'))
