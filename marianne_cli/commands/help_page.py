"""`mzt help`: the help of a command, or what is true of all of them."""

import difflib
from typing import TYPE_CHECKING

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines.forms import ParameterKind
from marianne_cli.lines.kinds import Completions, completions_of
from marianne_cli.lines.misuse import Misuse
from marianne_cli.tree.table import MODULES

if TYPE_CHECKING:
    import click


class HelpSubject(ParameterKind):
    """A command or a topic; the shell completes both."""

    name = "subject"

    def complete(self, asked: "click.Context", param: str, begun: str) -> Completions:  # noqa: ARG002
        """List them."""
        return completions_of(_subjects(), begun)


@options.command("help", "mzt help pause", "mzt help sheets", "mzt help exit-codes", paged=True)
@options.argument("subject", metavar="[COMMAND|TOPIC]", required=False, kind=HelpSubject())
def command(call: Invocation, *, subject: str | None) -> CommandOutcome:  # noqa: ARG001  it asks nobody
    """Show the help of a command or topic; alone: list both."""
    import click

    from marianne_cli.screens.topics import TOPICS
    from marianne_cli.tree.group import mzt

    root = mzt.make_context("mzt", [], resilient_parsing=True)
    if subject is None:
        listed = "\n".join(f"  {name:<17}  {topic.about}" for name, topic in TOPICS.items())
        return _help_outcome("mzt", f"{root.get_help()}\n\nTopics (mzt help TOPIC)\n{listed}")
    if subject in TOPICS:
        from marianne_cli.screens.render import fit_columns

        about, text = TOPICS[subject]
        return _help_outcome(subject, fit_columns(f"{subject}: {about}\n\n{text}"))
    found = mzt.get_command(root, subject)
    if found is None:
        near = difflib.get_close_matches(subject, _subjects())
        asked = f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
        raise Misuse(f"no command or topic '{subject}'{asked}")
    return _help_outcome(subject, found.get_help(click.Context(found, info_name=found.name, parent=root)))


def _help_outcome(subject: str, text: str) -> CommandOutcome:
    return CommandOutcome({"message": f"help of {subject}", "text": text}, text=text)


def _subjects() -> list[str]:
    from marianne_cli.screens.topics import TOPICS

    return [*MODULES, *TOPICS]
