"""One job: its sheets as a list or a graph by stages, and beside them what the one chosen prints, and why."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import ContentSwitcher

from marianne_cli import terminal
from marianne_cli.top.base import TopScreen
from marianne_cli.top.model.attempts import ATTEMPT_COLUMNS
from marianne_cli.top.model.cells import Cell
from marianne_cli.top.model.jobs import head_lines
from marianne_cli.top.model.sheets import (
    GRAPH_COLUMNS,
    SHEET_COLUMNS,
    RowCache,
    graph_rows,
    hook_rows,
    is_unfolded,
    sheet_rows,
)
from marianne_cli.top.model.stages import stages_of
from marianne_cli.top.model.store import Value
from marianne_cli.top.output import STREAMS, TAIL_LINES, OutputSelection
from marianne_cli.top.panels import Panels
from marianne_cli.top.widgets.bars import FindInput, KeyBar, TabBar, TextLines
from marianne_cli.top.widgets.listing import LineView, RowTable
from marianne_cli.top.widgets.log_view import LogView
from marianned.formatting import plural, typed

PANELS = ("output", "attempts", "why", "journal", "revisions")
_URGENT_STATUSES = ("failed", "running", "waiting")


class JobScreen(TopScreen):
    """Shows one job."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", key_display="esc"),
        Binding("tab", "other", "other side", show=False),
        Binding("enter", "zoom", "zoom", show=False),
        Binding("z", "zoom", "zoom", show=False),
        Binding("v", "graph", "graph"),
        Binding("h,left", "fold(False)", "fold", show=False),
        Binding("l,right", "fold(True)", "unfold", show=False),
        Binding("left_square_bracket", "attempt(-1)", "attempt before", show=False),
        Binding("right_square_bracket", "attempt(1)", "next attempt", show=False),
        Binding("s", "stream", "stdout, stderr, …", show=False),
        Binding("o", "whole", "output of the whole job", show=False),
        Binding("b", "breakpoint", "breakpoint", show=False),
        Binding("L", "pager", "pager", show=False),
        Binding("F", "follow", "follow", show=False),
        *(Binding(str(place + 1), f"panel({place})", name, show=False) for place, name in enumerate(PANELS)),
    ]
    CSS = """
    JobScreen #head { max-height: 5; padding: 0 1; background: $surface; }
    JobScreen #body { height: 1fr; layout: horizontal; }
    JobScreen #sheets { width: 44%; height: 100%; border-right: solid $panel; }
    JobScreen #side { width: 1fr; height: 100%; }
    JobScreen.-narrow #body { layout: vertical; }
    JobScreen.-narrow #sheets { width: 100%; height: 45%; border-right: none; border-bottom: solid $panel; }
    JobScreen.-narrow #side { width: 100%; height: 1fr; }
    JobScreen.-zoom #sheets { display: none; }
    JobScreen #panels { height: 1fr; }
    JobScreen #panels > * { height: 100%; padding: 0; }
    JobScreen #about { max-height: 4; }
    """

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id
        self._graph = False
        self._unfolded: dict[int, bool] = {}
        self._spread: dict[int, bool] = {}
        """The stages that are unfolded in the graph."""
        self._words = ""
        self._failed_only = False
        self._kept: RowCache = {}
        self._placed = False
        self._source: OutputSelection | None = None
        self._attempt: int | None = None
        self._stream = 0
        self._panel = 0
        self.whole = False
        """Whether the output is that of all that runs, not of one sheet."""
        self._lines = TAIL_LINES
        self._panels = Panels(self)

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield TextLines(id="daemon")
        yield TextLines(id="head")
        yield TextLines(id="filter")
        with Container(id="body"):
            yield RowTable(SHEET_COLUMNS, id="sheets")
            with Vertical(id="side"):
                yield TabBar(PANELS, id="tabs")
                yield TextLines(id="about")
                with ContentSwitcher(initial="output", id="panels"):
                    yield LogView(id="output")
                    yield RowTable(ATTEMPT_COLUMNS, id="attempts")
                    yield LineView(id="why")
                    yield LineView(id="journal")
                    yield LineView(id="revisions")
        yield FindInput()
        yield TextLines(id="activity")
        yield KeyBar()

    # --- what is shown -----------------------------------------------------------------------------------

    def job(self) -> Value | None:
        """Return the job."""
        return self.store.jobs.get(self.job_id)

    def sheet(self) -> Value | None:
        """Return the sheet at the cursor, or the only one of a stage there."""
        key = self.query_one("#sheets", RowTable).key
        if not isinstance(key, tuple) or key[0] != "sheet":
            return None
        return self.store.sheet(self.job_id, key[1])

    def selected_sheet(self) -> Value | None:
        """Return the sheet whose output is shown: that at the cursor; of a stage the one that needs eyes."""
        key = self.query_one("#sheets", RowTable).key
        if isinstance(key, tuple) and key[0] == "stage":
            members = [one for one in self.store.sheets.get(self.job_id, ()) if one["stage"] == key[1]]
            return most_urgent_sheet(members) if members else None
        return self.sheet()

    @property
    def output(self) -> LogView:
        """The widget with the output."""
        return self.query_one("#output", LogView)

    def renew(self) -> None:
        """Show the job as it is."""
        self.show_daemon()
        job = self.job()
        head = self.query_one("#head", TextLines)
        if job is None:
            gone = self.store.gone.get(self.job_id, "was removed" if self.top.is_fed else "…")
            self.query_one("#filter", TextLines).display = False
            head.show_lines([Cell(f"{terminal.line(self.job_id)} ", "bold"), Cell(gone, "dim")])
            return
        head.show_lines(*head_lines(job))
        sheets = self.store.sheets.get(self.job_id, ())
        needs = self.store.needs.get(self.job_id, {})
        rows = self.query_one("#sheets", RowTable)
        if self._graph and not self._words and not self._failed_only:
            rows.set_columns(GRAPH_COLUMNS)
            found = graph_rows(job, sheets, needs, self._spread)
        else:
            rows.set_columns(SHEET_COLUMNS)
            found = sheet_rows(
                job,
                sheets,
                needs,
                self._unfolded,
                self._words,
                failed_only=self._failed_only,
                kept=self._kept,
            )
        rows.show_rows([*found, *hook_rows(self.store.hooks.get(self.job_id, ()))])
        left = sum(isinstance(row.key, tuple) and row.key[0] == "sheet" for row in found)
        counted = f"{left} of {plural(len(sheets), 'sheet')}"
        self.show_filter(self._words, counted, failed_only=self._failed_only)
        if sheets and not self._placed:
            self._placed = True
            self._place_cursor()
        self._panels.renew()

    def _place_cursor(self) -> None:
        """Begin at what needs eyes: the first that failed, runs or waits, else the last that ran."""
        sheets = self.store.sheets[self.job_id]
        chosen = most_urgent_sheet(sheets)
        stage = next(one for one in stages_of(sheets) if chosen in one.sheets)
        self._unfolded[stage.number] = True
        self.call_after_refresh(self.renew)
        self.call_after_refresh(self.query_one("#sheets", RowTable).put_cursor, ("sheet", chosen["sheet"]))

    def on_row_table_row_highlighted(self, event: RowTable.RowHighlighted) -> None:
        """Show what the sheet at the cursor prints."""
        if event.rows.id == "sheets":
            self._attempt = None
            self._lines = TAIL_LINES
            self._panels.show_selection()

    def on_row_table_row_selected(self, event: RowTable.RowSelected) -> None:
        """Fold a stage; look at a sheet's output alone; choose an attempt."""
        if event.rows.id == "attempts" and isinstance(event.key, tuple):
            self.action_panel(0)
            self.put_attempt(event.key[1])
        elif isinstance(event.key, tuple) and event.key[0] == "stage":
            self._unfold(event.key[1], None)
        else:
            self.action_zoom()

    def on_unmount(self) -> None:
        """Ask for nothing more."""
        self._panels.close()

    # --- keys --------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Leave the zoom, the filter, then the job."""
        if self.has_class("-zoom"):
            self.action_zoom()
        elif self.is_filtered:
            self._words, self._failed_only = "", False
            self.renew()
        else:
            self.top.close_job(self)

    def action_other(self) -> None:
        """Go to the other side."""
        sheets = self.query_one("#sheets", RowTable)
        (self.panel if self.focused is sheets else sheets).focus()

    @property
    def panel(self) -> LineView:
        """What is shown beside the sheets."""
        return self.query_one(f"#{PANELS[self._panel]}", LineView)

    def action_zoom(self) -> None:
        """Show the output alone, or beside the sheets again."""
        self.toggle_class("-zoom")
        (self.panel if self.has_class("-zoom") else self.query_one("#sheets", RowTable)).focus()

    def action_graph(self) -> None:
        """Show the sheets as a graph by stages, or as a list."""
        sheet = self.selected_sheet()
        self._graph = not self._graph
        self.renew()
        if sheet is not None:
            rows = self.query_one("#sheets", RowTable)
            rows.put_cursor(("stage", sheet["stage"]))
            rows.put_cursor(("sheet", sheet["sheet"]))

    def action_fold(self, open_: bool) -> None:
        """Unfold the stage at the cursor, or fold it."""
        if self.focused is not self.query_one("#sheets", RowTable):
            return
        key = self.query_one("#sheets", RowTable).key
        sheet = self.sheet()
        if isinstance(key, tuple) and key[0] == "stage":
            self._unfold(key[1], open_)
        elif sheet is not None and not open_:
            self._unfold(sheet["stage"], False)
            self.query_one("#sheets", RowTable).put_cursor(("stage", sheet["stage"]))
        elif open_:
            self.action_other()

    def _unfold(self, number: int, open_: bool | None) -> None:
        stage = next(one for one in stages_of(self.store.sheets[self.job_id]) if one.number == number)
        now = self._spread.get(number, False) if self._graph else is_unfolded(stage, self._unfolded)
        kept = self._spread if self._graph else self._unfolded
        kept[number] = (not now) if open_ is None else open_
        self.renew()

    def action_panel(self, place: int) -> None:
        """Show another panel."""
        self._panel = place
        self.query_one("#tabs", TabBar).choose(place)
        held = self.focused is not None and self.focused.id in PANELS
        self.query_one("#panels", ContentSwitcher).current = PANELS[place]
        if held or self.has_class("-zoom"):
            self.panel.focus()
        self._panels.show()

    def on_tab_bar_tab_activated(self, event: TabBar.TabActivated) -> None:
        """Show the panel whose name was clicked."""
        self.action_panel(event.place)

    @property
    def shown_panel(self) -> str:
        """Name of the panel that is shown."""
        return PANELS[self._panel]

    def action_attempt(self, by: int) -> None:
        """Show the attempt before, or the next; of the revisions in what the two before, or after, differ."""
        if self.shown_panel == "revisions":
            self._panels.compare(by)
        else:
            self._panels.step(by)

    def put_attempt(self, attempt: int | None) -> None:
        """Show an attempt; null: the newest, also when the next begins."""
        self.whole = False
        self._attempt = attempt
        self._lines = TAIL_LINES
        self._panels.read()

    def action_stream(self) -> None:
        """Show the next of stdout, stderr, the prompt and the result."""
        self.whole = False
        self._stream = (self._stream + 1) % len(STREAMS)
        self._panels.read()

    def action_whole(self) -> None:
        """Show what all prints that runs, wherever the cursor is, or the output of one sheet again."""
        self.whole = not self.whole
        self.action_panel(0)
        self._panels.read()

    def output_selection(self) -> OutputSelection | None:
        """Return what is to be read for what the cursor is at; null: nothing."""
        if self.whole:
            return OutputSelection(self.job_id, None, whole=True)
        key = self.query_one("#sheets", RowTable).key
        if not isinstance(key, tuple):
            return None
        if key[0] == "hook":
            stream = STREAMS[self._stream] if self._stream < 2 else "stdout"  # noqa: PLR2004  hooks have no prompt
            return OutputSelection(self.job_id, None, key[1], self._attempt, stream)
        sheet = self.selected_sheet()
        if sheet is None:
            return None
        return OutputSelection(self.job_id, sheet["sheet"], None, self._attempt, STREAMS[self._stream])

    @property
    def is_filtered(self) -> bool:
        """Whether not all sheets are shown."""
        return bool(self._words) or self._failed_only

    @property
    def tail_lines(self) -> int:
        """How many lines of the end are read."""
        return self._lines

    @property
    def attempt(self) -> int | None:
        """The attempt that was chosen; null: the newest."""
        return self._attempt

    def on_log_view_earlier_requested(self) -> None:
        """Read further back."""
        self._lines *= 8
        self._panels.read(keep=True)

    def on_log_view_search_changed(self) -> None:
        """Count in the whole output."""
        self._panels.count()

    def on_log_view_status_changed(self) -> None:
        """Show the search's matches, and whether the end is followed."""
        self._panels.show_status()

    def action_follow(self) -> None:
        """Go to the end, and follow."""
        self.output.action_end(1)

    def action_find(self) -> None:
        """Search the output, or filter the sheets: what has the keys."""
        if self.focused is self.output or self.has_class("-zoom"):
            self.action_panel(0)
            self.type_into(self.output.find, self.output, self.output.pattern.text)
        else:
            self.type_into(self._filter, self.query_one("#sheets", RowTable), self._words)

    def _filter(self, words: str) -> None:
        self._words = words
        self.renew()

    def action_failed(self) -> None:
        """Show the failed sheets alone, or all again."""
        self._failed_only = not self._failed_only
        self.renew()

    def action_breakpoint(self) -> None:
        """Set a breakpoint before the sheet, or clear it."""
        job, sheet = self.job(), self.sheet()
        marked = job is not None and sheet is not None
        marked = marked and any(one["sheet"] == sheet["sheet"] for one in job["breakpoints"])  # type: ignore[index]
        self.top.run_offer("clear the breakpoint" if marked else "pause before it", job, sheet)

    def action_pager(self) -> None:
        """Hand the whole output to the pager."""
        source = self.output_selection()
        if source is not None:
            self.top.show_in_pager(source)

    def action_copy(self) -> None:
        """Copy the lines that are shown, of the list the `mzt` line of the sheet."""
        if self.focused is self.query_one("#sheets", RowTable):
            source = self.output_selection()
            self.copy_text(f"mzt status {typed(self.job_id)}" if source is None else source.line())
        elif self.focused is self.output:
            self.copy_text(self.output.shown_text())
        else:
            self.copy_text("\n".join(self.panel.text_lines()) + "\n")


def most_urgent_sheet(sheets: Sequence[Value]) -> Value:
    """Return the sheet that needs eyes: the first that failed, runs or waits, else the last that ran."""
    chosen = next((one for status in _URGENT_STATUSES for one in sheets if one["status"] == status), None)
    begun = [one for one in sheets if one["started_at"]]
    return chosen or max(begun, key=lambda one: str(one["started_at"]), default=sheets[0])
