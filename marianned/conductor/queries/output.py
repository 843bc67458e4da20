"""Whose output is asked for: the attempt of a sheet or hook, and where its files lie."""

from pathlib import Path

import msgspec

from marianned import files
from marianned.conductor.core.loading import UnreadableRevision, load_version
from marianned.conductor.services import Services
from marianned.errors import BadRequest
from marianned.executors.output import first_whole_line, last_lines, read_piece
from marianned.instruments.command_line import effective_output_format
from marianned.progress.state.run import RunState
from marianned.progress.views import messages
from marianned.protocol import FollowOutput, HookStatus, ReadOutput, SearchOutput
from marianned.rows import AttemptRow

OutputRequest = ReadOutput | FollowOutput | SearchOutput
"""What names an output."""


class OutputSource(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt whose output may be read: whose it is, whether it has ended, where its files lie.

    `row` is that of a sheet's attempt. `sheet` is the number that the sheet was asked for by, `name` what it
    or the hook is called; the row's own number may be one that the score has no more.
    """

    name: str
    hook: int | None = None
    sheet: int | None = None
    stage: int | None = None
    instance: int | None = None
    stage_name: str | None = None
    attempt: int
    ended: bool
    directory: Path
    row: AttemptRow | None = None


async def find_output(
    services: Services, state: RunState, ask: ReadOutput | FollowOutput | SearchOutput
) -> OutputSource:
    """Return the attempt whose output is asked for, the newest where no number is given.

    Raises:
        BadRequest: there is no such sheet or hook, or no such attempt.
    """
    if ask.sheet is not None and ask.hook is None:
        return await _sheet_output(services, state, ask.sheet, ask.attempt)
    if ask.sheet is None and ask.hook is not None:
        return _hook_output(services, state, ask.hook, ask.attempt)
    raise BadRequest("an output is that of one 'sheet' or of one 'hook'")


async def _sheet_output(services: Services, state: RunState, sheet: int, attempt: int | None) -> OutputSource:
    if sheet not in state.sheets:
        raise BadRequest(
            f"there is no sheet {sheet}; the score has sheets 1-{len(state.sheets)}",
            hints=[f"mzt status {state.run.job_name}"],
        )
    name, definition = (
        messages.sheet_name(state, sheet),
        state.definition(sheet),
    )  # a modify may come meanwhile
    rows = await services.store.records.attempts(state.run.run_id, state.sheets[sheet].uid)
    chosen = [row for row in rows if attempt in (None, row.attempt)]
    if not chosen:
        raise _no_attempt(state, name, attempt)
    row = chosen[-1]
    return OutputSource(
        name=name,
        sheet=sheet,
        stage=definition.stage,
        instance=definition.instance,
        stage_name=definition.movement,
        attempt=row.attempt,
        ended=row.outcome is not None,
        directory=services.directory(row),
        row=row,
    )


def _hook_output(services: Services, state: RunState, hook: int, attempt: int | None) -> OutputSource:
    if hook > len(state.hooks):
        raise BadRequest(
            f"there is no hook {hook}; the score has {len(state.hooks)}",
            hints=[f"mzt status {state.run.job_name}"],
        )
    row, name = state.hooks[hook - 1], messages.hook_name(state, hook)
    number = row.attempts if attempt is None else attempt
    if not 1 <= number <= row.attempts:
        raise _no_attempt(state, name, attempt)
    return OutputSource(
        name=name,
        hook=hook,
        attempt=number,
        ended=row.status != HookStatus.RUNNING or number < row.attempts,
        directory=services.directory(msgspec.structs.replace(row, attempt_ids=row.attempt_ids[:number])),
    )


def _no_attempt(state: RunState, name: str, attempt: int | None) -> BadRequest:
    which = "no attempt" if attempt is None else f"no attempt {attempt}"
    job = state.run.job_name
    return BadRequest(f"{name} of '{job}' has {which} yet", job_id=job, hints=[f"mzt status {job}"])


async def stream_format(
    services: Services, state: RunState, row: AttemptRow | None
) -> dict[str, object] | None:
    """Return how an attempt's output is read, by the profile that it was started by; null: it is text."""
    if row is None:
        return None
    same = state.current.row.revision == row.revision
    try:
        version = state.current if same else await load_version(services.store, state.run, row.revision)
    except UnreadableRevision:
        return None
    own = version.score.sheets[row.sheet - 1]
    ways = [own, *(own.on_fallback(n) for n in range(1, len(own.fallbacks) + 1))]
    played = next((way for way in ways if way.instrument == row.instrument), own)
    output = effective_output_format(version.score.profiles[played.instrument], played.settings)
    return None if output.format == "text" else dict(msgspec.to_builtins(output))


def read_output(path: Path, offset: int, limit: int) -> tuple[bytes, int, int]:
    """Return a piece of an output, how many bytes before it are gone, and the output's size."""
    try:
        data, skipped = read_piece(path, offset, limit)
        return data, skipped, path.stat().st_size
    except (FileNotFoundError, files.UnsuitableFile):
        return b"", 0, 0


def where_to_begin(path: Path, offset: int, tail_lines: int | None) -> int:
    """Return where a piece begins: where the last so many lines do, or else at `offset`.

    Below 0 that is where the first line begins of the last so many bytes. 0 where there is no output.
    """
    try:
        if tail_lines is not None:
            return last_lines(path, tail_lines)
        return offset if offset >= 0 else first_whole_line(path, -offset)
    except (FileNotFoundError, files.UnsuitableFile):
        return max(0, offset)
