"""`mzt help`: the help of a command, or what is true of all of them."""

import difflib
from typing import Any

import click

from marianne_cli import options
from marianne_cli.context import Answer, Invocation


class Subject(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A command or a topic; the shell completes both."""

    name = "subject"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002  Click's signature
        """List them."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in _subjects(ctx) if name.startswith(incomplete)]


@options.command("help", "mzt help pause", "mzt help sheets", "mzt help exit-codes", paged=True)
@click.argument("subject", metavar="[COMMAND|TOPIC]", required=False, type=Subject())
def command(call: Invocation, *, subject: str | None) -> Answer:  # noqa: ARG001  it asks nobody
    """Show the help of a command or topic; alone: list both."""
    from marianne_cli.screens.topics import TOPICS

    root = click.get_current_context().find_root()
    if subject is None:
        listed = "\n".join(f"  {name:<17}  {topic.about}" for name, topic in TOPICS.items())
        return _told("mzt", f"{root.get_help()}\n\nTopics (mzt help TOPIC)\n{listed}")
    if subject in TOPICS:
        return _told(subject, f"{subject}: {TOPICS[subject].about}\n\n{TOPICS[subject].text}")
    group = root.command
    assert isinstance(group, click.Group)
    found = group.get_command(root, subject)
    if found is None:
        near = difflib.get_close_matches(subject, _subjects(root))
        asked = f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
        raise click.UsageError(f"no command or topic '{subject}'{asked}")
    return _told(subject, found.get_help(click.Context(found, info_name=found.name, parent=root)))


def _told(subject: str, text: str) -> Answer:
    return Answer({"message": f"help of {subject}", "text": text}, text=text)


def _subjects(ctx: click.Context) -> list[str]:
    from marianne_cli.screens.topics import TOPICS

    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    return [*group.list_commands(ctx), *TOPICS]
