"""Command lines that are read and not carried out: what is wrong with them, or the person said no."""


class Misuse(Exception):
    """A command line that is read, and can't be carried out: what is wrong, then what to type instead.

    `command` is what was called; empty: what the line begins with. Without hints its help is named.
    """

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.message = message
        self.hints = list(hints)
        self.command: str | None = None


class ConfirmationRefused(Exception):
    """The person did not confirm what would delete or end much."""
