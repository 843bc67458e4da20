"""The rows of sheets: by stage, folded with counts, and as a graph; the hooks below them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from marianne_cli import times
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render
from marianne_cli.times import age, between
from marianne_cli.top.model import signs
from marianne_cli.top.model.cells import Cell, Column, Row
from marianne_cli.top.model.stages import Stage, draw_graph, stages_of
from marianne_cli.top.model.store import Value
from marianned.formatting import dollars, ranges

SHEET_COLUMNS = (Column("SHEET", 60), Column("STATUS", 11), Column("TIME", 7, right=True), Column("WHAT"))
GRAPH_COLUMNS = (Column("STAGES", 60), Column("SHEETS", 12, right=True), Column("", 12), Column("WHAT"))
StageKey = tuple[str, int]
"""`("stage", number)`; a sheet's key is `("sheet", number)`, a hook's `("hook", number)`."""
FOLDED_FROM = 2
_UNFOLDED_MOST = 12
"""A fan-out of more is folded at first."""


def sheet_rows(
    job: Value,
    sheets: Sequence[Value],
    needs: Mapping[int, Sequence[int]],
    unfolded: Mapping[int, bool],
    words: str = "",
    *,
    failed_only: bool = False,
    kept: "RowCache | None" = None,
) -> list[Row]:
    """Return the sheets, those of a fan-out below their stage, folded with counts where there are many.

    `kept`: rows of before, of which those are used again that would be the same.
    """
    rows = _SheetRows(job, needs, words, failed_only=failed_only, kept=kept)
    return [row for stage in stages_of(sheets) for row in rows.of_stage(stage, unfolded, "", "")]


def graph_rows(
    job: Value,
    sheets: Sequence[Value],
    needs: Mapping[int, Sequence[int]],
    unfolded: Mapping[int, bool],
) -> list[Row]:
    """Return the stages with the lines between them, each with the counts of its sheets."""
    rows = _SheetRows(job, needs)
    stages = {stage.number: stage for stage in stages_of(sheets)}
    found: list[Row] = []
    for one in draw_graph(list(stages), needs):
        stage = stages[one.stage]
        found.append(rows.graph_row(stage, one.gutter))
        if unfolded.get(stage.number, False) and len(stage.sheets) >= FOLDED_FROM:
            found += [
                _graph_row(rows.sheet(sheet, one.below + "  "), len(GRAPH_COLUMNS)) for sheet in stage.sheets
            ]
    return found


def _graph_row(row: Row, columns: int) -> Row:
    """Fit a sheet's cells to the columns of the graph."""
    name, status, since, said = row.cells
    return Row(row.key, [name, Cell(since.text, "dim"), status, said][:columns])


def is_unfolded(stage: Stage, unfolded: Mapping[int, bool]) -> bool:
    """Tell whether a stage's sheets are shown, each."""
    return unfolded.get(stage.number, len(stage.sheets) <= _UNFOLDED_MOST)


RowCache = dict[int, tuple[Value, tuple[object, ...], Row]]
"""Rows made before, by sheet, each with what it was made from: the sheet's value, and the rest."""
_TIMED = frozenset({"running", "waiting"})


class _SheetRows:
    """Makes the rows of sheets and stages; rows of unchanged sheets come from the cache."""

    def __init__(
        self,
        job: Value,
        needs: Mapping[int, Sequence[int]],
        words: str = "",
        *,
        failed_only: bool = False,
        kept: RowCache | None = None,
    ) -> None:
        self._needs = needs
        self._kept = {} if kept is None else kept
        self._present = times.now().timestamp()
        ended = job["status"] in {"completed", "failed", "cancelled"}
        self._flights = {one["sheet"]: one for one in job["in_flight"] if not one.get("job_id")}
        self._marked: Collection[int] = () if ended else {one["sheet"] for one in job["breakpoints"]}
        self._last = {
            one["sheet"]: one["last_line"]
            for one in job["in_flight"]
            if one.get("last_line") and one["sheet"]
        }
        self._words = words.lower().split()
        self._failed_only = failed_only

    def of_stage(self, stage: Stage, unfolded: Mapping[int, bool], gutter: str, below: str) -> Iterator[Row]:
        """Yield the rows of a stage."""
        filtered = bool(self._words) or self._failed_only
        shown = [sheet for sheet in stage.sheets if self._matches(sheet)] if filtered else stage.sheets
        if not shown:
            return
        if len(stage.sheets) < FOLDED_FROM:
            yield from (self.sheet(sheet, gutter) for sheet in shown)
            return
        open_ = filtered or is_unfolded(stage, unfolded)
        yield self._stage_row(stage, open_, gutter, len(shown))
        if open_:
            yield from (self.sheet(sheet, f"{below}  ") for sheet in shown)

    def _matches(self, sheet: Value) -> bool:
        if self._failed_only and sheet["status"] != "failed":
            return False
        parts = [str(sheet["sheet"]), render.place(sheet), sheet["label"], sheet.get("name"), sheet["status"]]
        text = " ".join(
            [*(part for part in parts if part), sheet["error_message"] or "", sheet["instrument"]]
        ).lower()
        return all(word in text for word in self._words)

    def _stage_row(self, stage: Stage, open_: bool, gutter: str, shown: int) -> Row:
        style = signs.SHEETS.get(status_of_stage(stage), signs.UNKNOWN).style
        label = f" {stage.label}" if stage.label else ""
        of = f"{shown} of " if shown != len(stage.sheets) else ""
        return Row(
            ("stage", stage.number),
            [
                Cell(
                    f"{gutter}{'▾' if open_ else '▸'} {stage.number}{label} x{of}{len(stage.sheets)}", "bold"
                ),
                Cell(status_of_stage(stage), style),
                Cell(""),
                Cell(counts_text(stage)),
            ],
        )

    def sheet(self, sheet: Value, gutter: str) -> Row:
        """Return a sheet's row, the one of before where that would be the same.

        A value is replaced where anything of the sheet changes: the same one makes the same row.
        """
        number = sheet["sheet"]
        beside = (
            gutter,
            number in self._marked,
            self._last.get(number),
            self._clock_part(sheet),
            self._flights.get(number),
            *self._needs.get(sheet["stage"], ()),
        )
        known = self._kept.get(number)
        if known is None or known[0] is not sheet or known[1] != beside:
            known = self._kept[number] = (sheet, beside, self._new_row(sheet, gutter))
        return known[2]

    def _clock_part(self, sheet: Value) -> float | None:
        """Return the part of the present time that a row shows: none, the minute, or of a young sheet all."""
        started = sheet["started_at"] if not sheet["ended_at"] else None
        if started and times.is_young(started, self._present):
            return self._present
        return self._present // times.MINUTE if started or sheet["status"] in _TIMED else None

    def _new_row(self, sheet: Value, gutter: str) -> Row:
        sign, style = signs.SHEETS.get(sheet["status"], signs.UNKNOWN)
        mark = "•" if sheet["sheet"] in self._marked else " "
        name = sheet["label"] or sheet.get("name") or ""
        since = ""
        if sheet["started_at"]:
            since = (
                between(sheet["started_at"], sheet["ended_at"])
                if sheet["ended_at"]
                else age(sheet["started_at"])
            )
        said = screens.sheet_detail(sheet, self._flights) or self._needs_text(sheet)
        if sheet["sheet"] in self._marked:
            said = "; ".join(part for part in ("the job pauses before it", said) if part)
        if last := self._last.get(sheet["sheet"]):
            said = f"{last}"
        if sheet["cost_usd"] and sheet["status"] in {"completed", "failed"}:
            said = f"{dollars(sheet['cost_usd'], known=True)} {said}".rstrip()
        attempts = (
            f"attempt {sheet['attempt_count']}; "
            if sheet["attempt_count"] > 1 and "attempt" not in said
            else ""
        )
        return Row(
            ("sheet", sheet["sheet"]),
            [
                Cell(
                    f"{gutter}{sign}{mark}{sheet['sheet']} {render.place(sheet)} {name}".rstrip(),
                    style if style != "dim" else "",
                ),
                Cell(sheet["status"], style),
                Cell(since, "dim"),
                Cell(f"{attempts}{said}"),
            ],
        )

    def _needs_text(self, sheet: Value) -> str:
        """Say which stages a sheet needs that is still to run."""
        needs = self._needs.get(sheet["stage"], ())
        if sheet["status"] != "pending" or not needs:
            return ""
        return f"needs stage{'s' if len(needs) > 1 else ''} {ranges(needs)}"

    def graph_row(self, stage: Stage, gutter: str) -> Row:
        """Return a stage's row in the graph."""
        standing = status_of_stage(stage)
        sign, style = signs.SHEETS.get(standing, signs.UNKNOWN)
        label = f" {stage.label}" if stage.label else ""
        total = len(stage.sheets)
        done = stage.counts["completed"] + stage.counts["skipped"]
        only = stage.sheets[0]
        said = signs_text(stage) if total > 1 else self.sheet(only, "").cells[-1].text
        mark = "•" if any(sheet["sheet"] in self._marked for sheet in stage.sheets) else ""
        needed = self._needs_text(only) if standing == "pending" and total > 1 else ""
        return Row(
            ("stage", stage.number) if total > 1 else ("sheet", only["sheet"]),
            [
                Cell(
                    f"{gutter.replace('*', sign)} {stage.number}{mark}{label}",
                    style if style != "dim" else "",
                ),
                Cell(f"{done}/{total}" if total > 1 else standing, style),
                Cell(signs.bar(done, total, 12) if total > 1 else "", style),
                Cell(" · ".join(part for part in (said, needed) if part)),
            ],
        )


def status_of_stage(stage: Stage) -> str:
    """Return the status that a stage is shown in: what needs eyes first, done when all are."""
    counts = stage.counts
    for status in ("failed", "running", "waiting"):
        if counts[status]:
            return status
    if counts["pending"]:
        return "pending"
    return max(counts, key=lambda status: counts[status])


def counts_text(stage: Stage) -> str:
    """Say how many sheets of a stage are in each status: `✗ 1 failed  ► 4 running  ✓ 32 completed`."""
    counts = stage.counts
    known = [status for status in signs.ORDER if counts[status]]
    others = [status for status in counts if status not in signs.ORDER]
    told = ((signs.SHEETS.get(status, signs.UNKNOWN).sign, status) for status in [*known, *others])
    return "  ".join(f"{sign} {counts[status]} {status}" for sign, status in told)


def signs_text(stage: Stage) -> str:
    """Return the same counts with signs alone, where there is little room: `✗1 ►4 ✓32`."""
    return " ".join("".join(part.split(" ")[:2]) for part in counts_text(stage).split("  "))


def hook_rows(hooks: Iterable[Value]) -> list[Row]:
    """Return a row for each hook."""
    found = []
    for hook in hooks:
        sign, style = signs.HOOKS.get(hook["status"], signs.UNKNOWN)
        said = hook["error_message"] or hook["chained"] or (hook["waiting_for"] or "").replace("_", " ")
        when = "if the job fails" if hook.get("after_failure") and hook["status"] == "pending" else ""
        found.append(
            Row(
                ("hook", hook["hook"]),
                [
                    Cell(f"{sign} hook {hook['hook']} {hook['label']}"),
                    Cell(hook["status"], style),
                    Cell(
                        age(hook["started_at"]) if hook["status"] == "running" and hook["started_at"] else "",
                        "dim",
                    ),
                    Cell(said or when),
                ],
            )
        )
    return found
