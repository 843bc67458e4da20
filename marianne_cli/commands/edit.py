"""`mzt edit`: a job's newest score in your editor, and modify with what was saved."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from marianne_cli import options
from marianne_cli.commands import diff, modify
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines.misuse import Misuse
from marianne_cli.screens.drafts import FALLBACK_EDITOR, ScoreDraft, lacks_terminal
from marianned.errors import InvalidScore, MarianneError, WaitOverridden, WaitTimeout
from marianned.formatting import typed


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
def command(call: Invocation, *, job: str, resume: bool, wait: bool, timeout: float) -> CommandOutcome:
    """Edit the newest score of a job in $VISUAL, $EDITOR or vi; saving it modifies the job.

    If it has problems, it is opened again with the problems at the top. Saved unchanged: nothing happens.
    """
    if lacks_terminal(_editor_stdout(call)):
        raise Misuse(
            f"edit opens {FALLBACK_EDITOR}, which needs a terminal; name an editor, or a file",
            shlex.join(["EDITOR=nano", "mzt", "edit", job]),
            shlex.join(["mzt", "modify", job, "-c", "FILE"]),
        )
    known = call.client.request("job.revisions", {"job_id": job})  # as it came: the file goes back
    expect = diff.newest(known["revisions"])
    text = call.ask("job.revisions", job_id=job, revision=expect)["text"]
    told = next(told for told in known["revisions"] if told["revision"] == expect)
    asked = {"resume": resume, "wait": wait, "timeout": timeout, "expect": expect}
    place = {"file": told["config_file"], "directory": told["directory"]}
    draft = ScoreDraft(known["job_name"], text)
    try:
        answer = _edit_until_accepted(call, job, draft, {**asked, **place})
    except (WaitTimeout, WaitOverridden):
        draft.remove()  # it was accepted
        raise
    except MarianneError as error:
        if isinstance(error, InvalidScore):
            _naming_draft(error, told["config_file"], draft.file)
        error.hints.append(f"mzt modify {job} -c {typed(str(draft.file))}")
        raise
    except (Misuse, KeyboardInterrupt):
        if (kept := draft.keep_if_changed()) is not None:
            call.note(f"your text is kept: {kept}")
        raise
    draft.remove()
    return _unchanged_outcome(known) if answer is None else modify.with_text(answer, plan=False)


def _naming_draft(error: InvalidScore, source: str | None, draft: Path) -> None:
    """Let a refusal name the saved draft: the score's own file has none of these problems."""
    if source is not None:
        error.message = error.message.replace(f"'{Path(source).name}'", "what you saved", 1)
    error.problems = [
        msgspec.structs.replace(one, file=str(draft)) if one.file == source else one for one in error.problems
    ]
    error.hints = []


def _edit_until_accepted(
    call: Invocation, job: str, draft: ScoreDraft, asked: Mapping[str, Any]
) -> CommandOutcome | None:
    """Open the editor until the score is accepted; null: it was saved unchanged.

    Raises:
        MarianneError: it was refused for another reason than its problems, or saved again as it was.
        Misuse: there is no such editor, it failed, or it saved no text.
    """
    refused: InvalidScore | None = None
    sent = draft.text
    while True:
        if (fault := draft.edit(refused.problems if refused else [], _editor_stdout(call))) is not None:
            raise Misuse(fault)
        text = draft.saved_text()
        if text == draft.text:
            return None
        if refused is not None and text == sent:
            raise refused
        sent = text
        try:
            return call.request_for_job("job.modify", job_id=job, text=text, **asked)
        except InvalidScore as error:
            refused = error


def _editor_stdout(call: Invocation) -> int | None:
    return 2 if call.as_json else None  # stdout is for the one object


def _unchanged_outcome(known: Mapping[str, Any]) -> CommandOutcome:
    job = {key: value for key, value in known.items() if key not in {"revisions", "text"}}
    message = f"{known['job_name']}: {known['status']}; saved unchanged, nothing is sent"
    nothing: dict[str, object] = {"changed": False, "new_revision": None, "plan": []}
    flags = {"acknowledged": True, "config_validated": False, "dry_run": False}
    return CommandOutcome({**job, "message": message, **flags, **nothing}, short="")
