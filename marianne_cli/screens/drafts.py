"""A score being edited: a private file, the editor that opens it, and its problems at the top."""

import os
from collections.abc import Sequence
from pathlib import Path

from marianned.errors import Problem

FALLBACK_EDITOR = "vi"
MARK = "# mzt: "
"""The beginning of the lines at the top that show problems; these lines are taken out again."""


class ScoreDraft:
    """A private file with a score."""

    def __init__(self, name: str, text: str) -> None:
        import tempfile

        self.text = text
        self.file = Path(tempfile.mkdtemp(prefix="mzt-edit-")) / f"{name}.yaml"
        self.file.write_text(text)

    def edit(self, problems: Sequence[Problem], stdout: int | None = None) -> str | None:
        """Open the editor, with problems at the top; return what went wrong, null: nothing.

        `stdout` is a descriptor for the editor's, null: this process's own.
        """
        import shlex
        import subprocess

        try:
            self._write_problems(problems)
        except (OSError, UnicodeDecodeError) as error:
            return f"'{self.file}' can't be read: {error}"
        editor = _chosen_editor() or FALLBACK_EDITOR
        try:
            ended = subprocess.run([*shlex.split(editor), str(self.file)], stdout=stdout, check=False)
        except (OSError, ValueError) as error:
            return f"the editor '{editor}' can't be started: {error}"
        if ended.returncode:
            return f"the editor '{editor}' ended with {ended.returncode}; nothing is sent"
        try:
            self.saved_text()
        except (OSError, UnicodeDecodeError) as error:
            return f"'{self.file}' can't be read: {error}"
        return None

    def _write_problems(self, problems: Sequence[Problem]) -> None:
        saved = self.saved_text()
        lines = _problem_lines(self.file.name, problems, 0)
        lines = _problem_lines(self.file.name, problems, len(lines))
        self.file.write_text("".join(f"{MARK}{line}\n" for line in lines) + saved)

    def saved_text(self) -> str:
        """Return what stands in the file, without the problems.

        Raises:
            OSError: it can't be read.
            UnicodeDecodeError: it is no text.
        """
        lines = self.file.read_text().splitlines(keepends=True)
        while lines and lines[0].startswith(MARK):
            del lines[0]
        return "".join(lines)

    def keep_if_changed(self) -> Path | None:
        """Return the draft's file if it was changed; remove it if not."""
        if self.file.exists() and self.file.read_text(errors="replace") == self.text:
            self.remove()
            return None
        return self.file

    def remove(self) -> None:
        """Remove the file."""
        import shutil

        shutil.rmtree(self.file.parent, ignore_errors=True)


def _chosen_editor() -> str | None:
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or None


def lacks_terminal(stdout: int | None = None) -> bool:
    """Tell whether only the fallback is there to edit with, and it would wait for a terminal for ever.

    An editor that somebody has chosen may be a script, which needs none.
    """
    streams = (0, 1 if stdout is None else stdout)
    usable = all(map(os.isatty, streams)) and os.environ.get("TERM", "dumb") != "dumb"
    return _chosen_editor() is None and not usable


def _problem_lines(name: str, problems: Sequence[Problem], shift: int) -> list[str]:
    """Return the problems as lines; those they name are `shift` further down."""
    import msgspec

    from marianne_cli.exits import problem_text

    lines: list[str] = []
    for problem in problems:
        line = None if problem.line is None else problem.line + shift
        lines += problem_text(msgspec.structs.replace(problem, file=name, line=line)).splitlines()
    return lines
