"""`mzt`: run one command of the tree and exit; the only place that exits."""

import gc
import os
import sys

from marianne_cli.process import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line of this process."""
    interrupts.handle()
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from marianned.standard_streams import open_to_nobody

        open_to_nobody(stdout_fails=True)
    if any("=" in argument for argument in sys.argv[1:]):
        from marianne_cli.process.arguments import hide_values

        hide_values(sys.argv[1:])
    gc.disable()  # what is imported stays: collecting while importing costs some milliseconds for nothing
    code = run(sys.argv[1:])
    interrupts.ignore()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    _buffer_stdout()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a path need not be text
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        from marianne_cli import exits

        return exits.close_stdout()
    except KeyboardInterrupt:
        from marianne_cli import exits

        return exits.print_interrupted(None)
    except OSError as error:
        from marianne_cli import exits

        if (said := exits.print_environment_error(error)) is None:
            raise
        return said
    return code


def _buffer_stdout() -> None:
    """Write through a buffer, with PYTHONUNBUFFERED too: a bare write does not say what it left out."""
    import io

    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        whole = open(1, "wb", closefd=False)  # noqa: SIM115  it lives as long as the program
        sys.stdout = io.TextIOWrapper(whole, encoding=sys.stdout.encoding, newline="\n")


def _run(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        from marianne_cli.tree import prepared_help

        if (code := prepared_help.print_help()) is not None:
            return code
    from marianne_cli import exits
    from marianne_cli.lines.misuse import ConfirmationRefused, Misuse
    from marianne_cli.tree.table import COMPLETION_VARIABLE
    from marianned.formatting import as_utf8

    completion = COMPLETION_VARIABLE if COMPLETION_VARIABLE in os.environ else None
    try:
        code = None if completion else _run_plain_line(arguments)
        return _run_with_click(arguments, completion) if code is None else code
    except Misuse as misuse:
        return exits.print_misuse(misuse, arguments)
    except ConfirmationRefused:
        return exits.print_interrupted(None)
    except UnicodeEncodeError as error:
        return exits.print_usage_error(f"'{as_utf8(str(error.object))}' is not UTF-8", ["mzt -h"])


def _run_plain_line(arguments: list[str]) -> int | None:
    """Carry out a line that needs no Click; null: it is not plain."""
    from marianne_cli.lines import forms
    from marianne_cli.lines.misuse import Misuse
    from marianne_cli.tree import table

    if not arguments:
        from marianne_cli.commands.status import without_command

        return without_command({})
    form = table.form_of(arguments[0])
    line = forms.read_plain_line(form, arguments[1:]) if form is not None else None
    if form is None or line is None:
        return None
    from marianne_cli import options

    _freeze_loaded_objects()
    try:
        return options.run_command(form, line, {}, arguments=arguments)
    except Misuse as misuse:
        misuse.command = arguments[0]
        raise


def _run_with_click(arguments: list[str], completion: str | None) -> int:
    import click

    from marianne_cli import exits
    from marianne_cli.tree import click_commands
    from marianne_cli.tree.group import mzt, usage_text

    _freeze_loaded_objects()
    if completion is not None:
        mzt.main(arguments, prog_name="mzt", complete_var=completion)
    try:
        with mzt.make_context("mzt", arguments) as context:
            context.meta[click_commands.ARGUMENTS] = tuple(arguments)
            return int(mzt.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return exits.print_usage_error(*usage_text(error, arguments))
    except click.Abort:
        return exits.print_interrupted(None)


def _freeze_loaded_objects() -> None:
    gc.freeze()
    gc.enable()
