"""`mzt`: run one command of the tree and exit; the only place that exits."""

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from marianned.streams import open_to_nobody

        open_to_nobody()
    if any("=" in argument for argument in sys.argv[1:]):
        from marianne_cli.own_arguments import hide_values

        hide_values(sys.argv[1:])
    gc.disable()  # what is imported stays: collecting while importing costs some milliseconds for nothing
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    _buffer()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a path need not be text
    try:
        code = _invoked(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        from marianne_cli import exits

        return exits.reader_gone()
    except KeyboardInterrupt:
        from marianne_cli import exits

        return exits.interrupted(None)
    except OSError as error:
        from marianne_cli import exits

        if (said := exits.surroundings(error)) is None:
            raise
        return said
    return code


def _buffer() -> None:
    """Write through a buffer, with PYTHONUNBUFFERED too: a bare write does not say what it left out."""
    import io

    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        whole = open(1, "wb", closefd=False)  # noqa: SIM115  it lives as long as the program
        sys.stdout = io.TextIOWrapper(whole, encoding=sys.stdout.encoding, newline="\n")


def _invoked(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        from marianne_cli.tree import front

        if (code := front.helped()) is not None:
            return code
    from marianne_cli import exits
    from marianne_cli.lines.misuse import Declined, Misuse
    from marianne_cli.tree.table import COMPLETION_VARIABLE
    from marianned.formatting import as_utf8

    completion = COMPLETION_VARIABLE if COMPLETION_VARIABLE in os.environ else None
    try:
        code = None if completion else _of_a_plain_line(arguments)
        return _by_click(arguments, completion) if code is None else code
    except Misuse as misuse:
        return exits.misuse_of(misuse, arguments)
    except Declined:
        return exits.interrupted(None)
    except UnicodeEncodeError as error:
        return exits.misused(f"'{as_utf8(str(error.object))}' is not UTF-8", [])


def _of_a_plain_line(arguments: list[str]) -> int | None:
    """Carry out a line that needs no Click; null: it is not plain."""
    from marianne_cli.lines import forms
    from marianne_cli.lines.misuse import Misuse
    from marianne_cli.tree import table

    if not arguments:
        from marianne_cli.commands.status import alone

        return alone({})
    form = table.form_of(arguments[0])
    line = forms.read(form, arguments[1:]) if form is not None else None
    if form is None or line is None:
        return None
    from marianne_cli import options

    _keep_what_is_loaded()
    try:
        return options.carried_out(form, line, {}, arguments=arguments)
    except Misuse as misuse:
        misuse.command = arguments[0]
        raise


def _by_click(arguments: list[str], completion: str | None) -> int:
    import click

    from marianne_cli import exits
    from marianne_cli.tree import clicked
    from marianne_cli.tree.group import mzt, usage_text

    _keep_what_is_loaded()
    if completion is not None:
        mzt.main(arguments, prog_name="mzt", complete_var=completion)
    try:
        with mzt.make_context("mzt", arguments) as context:
            context.meta[clicked.ARGUMENTS] = tuple(arguments)
            return int(mzt.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return exits.misused(*usage_text(error, arguments))
    except click.Abort:
        return exits.interrupted(None)


def _keep_what_is_loaded() -> None:
    gc.freeze()
    gc.enable()
