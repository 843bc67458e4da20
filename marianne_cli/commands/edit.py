"""`mzt edit`: a job's newest score in your editor, and modify with what was saved."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from marianne_cli import options
from marianne_cli.commands import diff, modify
from marianne_cli.context import Answer, Invocation
from marianned.errors import InvalidScore, MarianneError, Problem, WaitOverridden, WaitTimeout
from marianned.formatting import typed

_MARK = "# mzt: "
"""How the lines begin that tell problems at the top; they are taken out again."""


@options.command(
    "edit",
    "mzt edit release-notes",
    "mzt edit release-notes -r --wait",
    "EDITOR=nano mzt edit a",
    changes=True,
)
@options.job_argument
@options.resume_option
@options.wait_option
@options.timeout_option(60.0)
def command(call: Invocation, *, job: str, resume: bool, wait: bool, timeout: float) -> Answer:
    """Edit the newest score of a job in $VISUAL, $EDITOR or vi; saving it modifies the job.

    If it has problems, it is opened again with the problems at the top. Saved unchanged: nothing happens.
    """
    known = call.ask("job.revisions", job_id=job)
    expect = diff.newest(known["revisions"])
    text = call.ask("job.revisions", job_id=job, revision=expect)["text"]
    told = next(told for told in known["revisions"] if told["revision"] == expect)
    asked = {"resume": resume, "wait": wait, "timeout": timeout, "expect": expect}
    place = {"file": told["config_file"], "directory": told["directory"]}
    draft = _Draft(call, known["job_name"], text)
    try:
        answer = _edited(call, job, draft, {**asked, **place})
    except (WaitTimeout, WaitOverridden):
        draft.remove()  # it was accepted
        raise
    except MarianneError as error:
        if isinstance(error, InvalidScore):
            _of_draft(error, told["config_file"], draft.file)
        error.hints.append(f"mzt modify {job} -c {typed(str(draft.file))}")
        raise
    except (click.UsageError, KeyboardInterrupt):
        draft.leave()
        raise
    draft.remove()
    return _unchanged(known) if answer is None else modify.shown(answer, plan=False)


def _of_draft(error: InvalidScore, source: str | None, draft: Path) -> None:
    """Let a refusal name the file that was saved: the score's own has none of these problems."""
    if source is not None:
        error.message = error.message.replace(f"'{Path(source).name}'", "what you saved", 1)
    error.problems = [
        msgspec.structs.replace(one, file=str(draft)) if one.file == source else one for one in error.problems
    ]
    error.hints = []


def _edited(call: Invocation, job: str, draft: "_Draft", asked: Mapping[str, Any]) -> Answer | None:
    """Let it be edited until it is accepted; null: it was saved unchanged.

    Raises:
        MarianneError: it was refused for another reason than its problems, or saved again as it was.
    """
    refused: InvalidScore | None = None
    sent = draft.text
    while True:
        text = draft.edited(refused.problems if refused else [])
        if text == draft.text:
            return None
        if refused is not None and text == sent:
            raise refused
        sent = text
        try:
            return call.requested("job.modify", job_id=job, text=text, **asked)
        except InvalidScore as error:
            refused = error


def _unchanged(known: Mapping[str, Any]) -> Answer:
    job = {key: value for key, value in known.items() if key not in {"revisions", "text"}}
    message = f"{known['job_name']}: {known['status']}; saved unchanged, nothing is sent"
    nothing: dict[str, object] = {"changed": False, "new_revision": None, "plan": []}
    flags = {"acknowledged": True, "config_validated": False, "dry_run": False}
    return Answer({**job, "message": message, **flags, **nothing}, short="")


class _Draft:
    """A private file with a score, and the editor that opens it."""

    def __init__(self, call: Invocation, name: str, text: str) -> None:
        import tempfile

        self.text = text
        self.file = Path(tempfile.mkdtemp(prefix="mzt-edit-")) / f"{name}.yaml"
        self._call = call
        self.file.write_text(text)

    def edited(self, problems: list[Problem]) -> str:
        """Open the editor, after the first time with problems at the top; return what was saved.

        Raises:
            click.UsageError: there is no such editor, it failed, or it saved no text.
        """
        if problems:
            saved = self._saved()
            lines = _told(self.file.name, problems, 0)
            lines = _told(self.file.name, problems, len(lines))
            self.file.write_text("".join(f"{_MARK}{line}\n" for line in lines) + saved)
        self._edit()
        return self._saved()

    def _edit(self) -> None:
        import shlex
        import subprocess

        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        stdout = 2 if self._call.as_json else None  # stdout is for the one object
        try:
            ended = subprocess.run([*shlex.split(editor), str(self.file)], stdout=stdout, check=False)
        except (OSError, ValueError) as error:
            raise click.UsageError(f"the editor '{editor}' can't be started: {error}") from None
        if ended.returncode:
            raise click.UsageError(f"the editor '{editor}' ended with {ended.returncode}; nothing is sent")

    def _saved(self) -> str:
        """Return what stands in the file, without the problems."""
        try:
            lines = self.file.read_text().splitlines(keepends=True)
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"'{self.file}' can't be read: {error}") from None
        while lines and lines[0].startswith(_MARK):
            del lines[0]
        return "".join(lines)

    def leave(self) -> None:
        """Keep what was saved, and say where; remove it where nothing was."""
        if self.file.exists() and self.file.read_text(errors="replace") == self.text:
            self.remove()
        else:
            self._call.note(f"your text is kept: {self.file}")

    def remove(self) -> None:
        """Remove the file."""
        import shutil

        shutil.rmtree(self.file.parent, ignore_errors=True)


def _told(name: str, problems: list[Problem], shift: int) -> list[str]:
    """Return the problems as lines; those they name are `shift` further down."""
    from marianne_cli.exits import problem_text

    lines: list[str] = []
    for problem in problems:
        line = None if problem.line is None else problem.line + shift
        lines += problem_text(msgspec.structs.replace(problem, file=name, line=line)).splitlines()
    return lines
