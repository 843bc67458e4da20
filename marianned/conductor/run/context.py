"""What a sheet sees of earlier ones, their results and files they may have made, and of its last attempt.

Source: docs/reference/score-format.md §11, §15.3.
"""

import msgspec
from anyio import to_thread

from marianned import captures, workers
from marianned.conductor.run import sessions
from marianned.conductor.run.process import STDERR
from marianned.conductor.services import Services
from marianned.executors.output import quote_tail
from marianned.masks import Mask
from marianned.protocol import AttemptKind, CheckReport, CheckResult, SheetStatus
from marianned.rows import AttemptRow, RunRow
from marianned.score.expanded import ExpandedScore
from marianned.score.render.prompt_inputs import (
    PreviousAttempt,
    UpstreamOutputs,
    upstream_sheets,
    visible_outputs,
)
from marianned.store.writer import Store

ACCEPTED = "[ACCEPTED]"
"""What is given of a sheet that a person has accepted, where it has no result."""
_STDERR_TAIL_BYTES = 2_000


async def gather_upstream(
    store: Store, run: RunRow, score: ExpandedScore, sheet: int, of_round: int | None
) -> tuple[UpstreamOutputs, list[str]]:
    """Return what the sheet is given of earlier ones, as things are now, and what files are left out.

    `of_round` is the round of its loop; None: it is in none.

    Raises:
        RenderError, WorkerLimit: an entry of capture_files can't be rendered.
    """
    settings = score.cross_sheet
    in_loop = UpstreamOutputs()
    if of_round is not None:
        in_loop = UpstreamOutputs(
            round=of_round, earlier=await _earlier_round(store, run, score, sheet, of_round - 1)
        )
    if not settings.auto_capture_stdout and not settings.capture_files:
        return in_loop, []
    above = upstream_sheets(score, sheet)
    rows = {row.sheet: row for row in await store.records.sheets(run.run_id)}
    outputs: dict[int, str] = {}
    for number in visible_outputs(score, sheet, above):
        row = rows.get(number)
        if row is not None and row.status == SheetStatus.COMPLETED:
            accepted = row.word is not None
            as_it_is = accepted or row.validation_passed is False  # the last stage of a loop may have failed
            result = await store.records.last_result(run.run_id, row.uid, even_failed=as_it_is)
            said = result or (ACCEPTED if accepted else "")
            outputs[number] = cut_front(said, settings.max_output_chars)
        elif row is not None and row.status == SheetStatus.SKIPPED:
            outputs[number] = "[SKIPPED]"
    skipped = [number for number in above if number in rows and rows[number].status == SheetStatus.SKIPPED]
    files: dict[str, str] = {}
    left_out: list[str] = []
    if settings.capture_files:
        patterns = await workers.capture_patterns(score, sheet)
        files, left_out = await workers.call(
            captures.read, patterns, settings.max_output_chars, run.workspace
        )
    return msgspec.structs.replace(in_loop, outputs=outputs, files=files, skipped=skipped), left_out


async def _earlier_round(
    store: Store, run: RunRow, score: ExpandedScore, sheet: int, number: int
) -> dict[int, str]:
    """Return the result texts of a loop's own sheets in a round, by sheet; there is no round 0."""
    loop = score.loop_of(score.sheets[sheet - 1].stage)
    if loop is None or number == 0:
        return {}
    found = await store.records.round_results(run.run_id, number)
    uids = {row.sheet: row.uid for row in await store.records.sheets(run.run_id) if row.sheet in loop.sheets}
    most = score.cross_sheet.max_output_chars
    return {one: cut_front(found[uid], most) for one, uid in uids.items() if uid in found}


async def previous_attempt(
    services: Services, attempt: AttemptRow, mask: Mask, *, in_session: bool
) -> PreviousAttempt | None:
    """Return what an attempt is told of the one before; `in_session`: its tool knows what came before."""
    if attempt.kind == AttemptKind.FIRST:
        return None
    if attempt.kind == AttemptKind.RESUMED and in_session:
        return PreviousAttempt(kind="resumed", ending="interrupted")
    rows = await services.store.records.attempts(attempt.run_id, attempt.uid)
    before = [row for row in rows if row.attempt < attempt.attempt and row.outcome in sessions.COUNTED]
    if not before:
        return None
    last = before[-1]
    reports = last.validations
    tail = ""
    if not reports:
        errors = services.directory(last) / STDERR
        tail = await to_thread.run_sync(quote_tail, errors, _STDERR_TAIL_BYTES, mask)
    return PreviousAttempt(
        kind="completion" if attempt.kind == AttemptKind.COMPLETION else "retry",
        ending=mask.text(last.error_message or str(last.outcome)),
        passed=[_describe_check(report) for report in reports if report.result == CheckResult.PASSED],
        failed=[
            (_describe_check(report), mask.text(report.reason or "failed"))
            for report in reports
            if report.result != CheckResult.PASSED
        ],
        stderr_tail=tail,
    )


def _describe_check(report: CheckReport) -> str:
    return f"{report.target} ({report.description})" if report.description else report.target


def cut_front(text: str, most: int) -> str:
    """Keep the last `most` characters, saying how many are gone."""
    if len(text) <= most:
        return text
    return f"[… {len(text) - most} characters cut …]\n{text[-most:]}"
