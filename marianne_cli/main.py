"""`mzt`: run one command of the tree and exit; the only place that exits."""

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    if any("=" in argument for argument in sys.argv[1:]):
        from marianne_cli.own_arguments import hide_values

        hide_values(sys.argv[1:])
    gc.disable()  # what is imported stays: collecting while importing costs some milliseconds for nothing
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    from marianne_cli import exits

    _buffer()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a path need not be text
    try:
        code = _invoked(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return exits.reader_gone()
    except KeyboardInterrupt:
        return exits.interrupted(None)
    return code


def _buffer() -> None:
    """Write through a buffer, with PYTHONUNBUFFERED too: a bare write does not say what it left out."""
    import io

    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        whole = open(1, "wb", closefd=False)  # noqa: SIM115  it lives as long as the program
        sys.stdout = io.TextIOWrapper(whole, encoding=sys.stdout.encoding, newline="\n")


def _invoked(arguments: list[str]) -> int:
    import click

    from marianne_cli import exits
    from marianne_cli.tree import COMPLETION_VARIABLE, mzt, usage_text
    from marianned.formatting import as_utf8

    gc.freeze()
    gc.enable()
    if COMPLETION_VARIABLE in os.environ:
        mzt.main(arguments, prog_name="mzt", complete_var=COMPLETION_VARIABLE)
    try:
        with mzt.make_context("mzt", arguments) as context:
            context.meta["mzt.arguments"] = tuple(arguments)
            return int(mzt.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return exits.misused(*usage_text(error, arguments))
    except click.Abort:
        return exits.interrupted(None)
    except UnicodeEncodeError as error:
        return exits.misused(f"'{as_utf8(str(error.object))}' is not UTF-8", [])
