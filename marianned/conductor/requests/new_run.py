"""From a submitted text to the rows of a run: compiled, its workspace made, revision 1."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from marianned import files, formatting, masks, workers
from marianned.clock import Instant
from marianned.errors import InvalidScore, Unavailable
from marianned.progress.state.run import ScoreVersion
from marianned.protocol import Caller, JobStatus, RevisionStatus
from marianned.rows import Changes, RevisionRow, Row, RunRow, SheetRow, WorktreeRow, event_of
from marianned.score.expanded import CompileResult
from marianned.score.read.reader import ScoreSource


class ValidScore(msgspec.Struct, frozen=True, kw_only=True):
    """A valid score, ready to become a revision; its row has the number 0."""

    version: ScoreVersion
    compiled: CompileResult


UNNAMED = "the score"
"""How a score without a file is called in messages."""


async def compile_valid(
    source: ScoreSource, shown: str, undisturbed: str, files: Mapping[str, str] | None = None
) -> ValidScore:
    """Compile a score in a worker.

    Args:
        source: the score and its place.
        shown: how the file is called in messages.
        undisturbed: what follows the count of errors in the message.
        files: those stored with the revision that the text is taken from; None: they are read now.

    Raises:
        InvalidScore: it has errors; all problems are in it.
    """
    try:
        compiled = await (
            workers.compile_score(source) if files is None else workers.compile_stored(source, files)
        )
    except workers.WorkerLimit as limit:
        raise InvalidScore(f"'{shown}' can't be checked: {limit.message}{undisturbed}") from None
    if compiled.expanded is None:
        count = sum(problem.severity == "error" for problem in compiled.problems)
        given = formatting.given_again(masks.mask_variables({**source.kept, **source.given}))
        raise InvalidScore(
            f"'{shown}' has {count} error{'' if count == 1 else 's'}{undisturbed}",
            hints=[] if shown == UNNAMED else [f"mzt validate {formatting.typed(source.file)}{given}"],
            problems=compiled.problems,
        )
    digest = hashlib.sha256(source.text)
    for path, text in sorted(compiled.files.items()):
        digest.update(f"\0{path}\0{text}".encode())
    if compiled.expanded.concert.pins is not None:
        digest.update(msgspec.json.encode(compiled.expanded.concert.pins, order="sorted"))
    variables = {**source.kept, **source.given}
    if variables:
        digest.update(b"\0\0" + msgspec.json.encode(variables, order="sorted"))
    row = RevisionRow(
        run_id=0,
        revision=0,
        status=RevisionStatus.STAGED,
        text=source.text.decode(),
        directory=source.directory,
        config_file=source.file if Path(source.file).is_absolute() else None,
        files=compiled.files,
        sha256=digest.hexdigest(),
        expanded=compiled.packed,
        plan=b"[]",
        caller=None,
        reason=None,
        created_at=0,
        problems=compiled.problems,
        variables=variables,
    )
    return ValidScore(version=ScoreVersion(row=row, score=compiled.expanded), compiled=compiled)


def make_workspace(path: Path, umask: int) -> None:
    """Make the workspace with its parents, as the submitting client would have made it.

    Raises:
        Unavailable: it can't be made.
    """
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    try:
        for directory in reversed(missing):
            files.make_directory(directory, 0o777 & ~umask)
    except OSError as error:
        lies_there = files.no_directory(path)
        why = error.strerror if lies_there is None else lies_there.why
        raise Unavailable(f"the workspace '{path}' can't be made: {why}") from None
    if (lies_there := files.no_directory(path)) is not None:
        raise Unavailable(f"the workspace '{path}' can't be made: {lies_there.why}")
    if not os.access(path, os.W_OK | os.X_OK):
        raise Unavailable(f"the workspace '{path}' can't be written to")


class RunOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """What a run keeps of its submission for good."""

    caller: Caller
    reason: str | None
    submit_directory: str
    umask: int
    env: dict[str, str]
    labels: list[str] = []
    auto_resume: bool = True
    executor: str | None = None
    depth: int = 0
    unlike: str | None = None
    """What of its score differs from the run before; it is said of chained runs."""


def first_rows(
    proposed: ScoreVersion, run_id: int, run: int, origin: RunOrigin, moment: Instant
) -> tuple[RunRow, ScoreVersion, Changes]:
    """Return the run, its first version, and the transaction that brings both to the disk."""
    expanded = proposed.score
    revision = msgspec.structs.replace(
        proposed.row,
        run_id=run_id,
        revision=1,
        status=RevisionStatus.CURRENT,
        caller=origin.caller,
        reason=origin.reason,
        created_at=moment.at,
        applied_at=moment.at,
    )
    row = RunRow(
        run_id=run_id,
        job_name=expanded.name,
        run=run,
        description=expanded.description,
        labels=list(dict.fromkeys([*expanded.labels, *origin.labels])),
        given_labels=origin.labels,
        workspace=expanded.workspace,
        submit_directory=origin.submit_directory,
        umask=origin.umask,
        env=origin.env,
        config_file=revision.config_file,
        auto_resume=origin.auto_resume,
        executor=origin.executor,
        created_at=moment.at,
        updated_at=moment.at,
        status=JobStatus.QUEUED,
        status_since=moment.at,
        revision=1,
        last_revision=1,
        next_uid=len(expanded.sheets) + 1,
        depth=origin.depth,
    )
    sheets = [SheetRow(run_id=run_id, uid=sheet.sheet, sheet=sheet.sheet) for sheet in expanded.sheets]
    said = formatting.plural(len(sheets), "sheet")
    if revision.variables:
        said += f", {formatting.assignments(masks.mask_variables(revision.variables))}"
    text = f"submitted: {said}{_difference_note(origin)}"
    event = event_of(row, "job.submitted", text, moment.at, caller=origin.caller, reason=origin.reason)
    version = msgspec.structs.replace(proposed, row=revision)
    rows: list[Row] = [row, revision, *sheets]
    if expanded.isolation is not None:
        rows.append(WorktreeRow(run_id=run_id, isolation=msgspec.msgpack.encode(expanded.isolation)))
    return row, version, Changes(rows=rows, events=[event])


def _difference_note(origin: RunOrigin) -> str:
    return "" if origin.unlike is None else f"; {origin.unlike}"
