"""The first screen: all jobs, those that need a person first, and what there is to say of the one chosen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from marianne_cli.top.base import TopScreen
from marianne_cli.top.model.cells import Cell
from marianne_cli.top.model.jobs import JOB_COLUMNS, detail_lines, job_rows
from marianne_cli.top.model.store import StateStore, Value
from marianne_cli.top.widgets.bars import FindInput, KeyBar, TextLines
from marianne_cli.top.widgets.listing import RowTable
from marianned.formatting import plural


class JobsScreen(TopScreen):
    """Shows all jobs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "all", "all jobs", show=False),
        Binding("enter", "open", "open", show=True),
        Binding("l,right", "open", "open", show=False),
        Binding("i", "details", "details", show=False),
        Binding("P", "several('pause')", "pause all shown", show=False),
        Binding("C", "several('resume')", "resume all shown", show=False),
        Binding("X", "several('cancel')", "cancel all shown", show=False),
    ]
    CSS = """
    JobsScreen #jobs { height: 1fr; }
    JobsScreen #details {
        height: auto; max-height: 40%; background: $surface; padding: 0 1; border-top: solid $panel;
    }
    JobsScreen.-low #details { max-height: 8; }
    JobsScreen #details.-off { display: none; }
    JobsScreen #none { padding: 1 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self._failed_only = False
        self._shown: list[str] = []
        self._detailed = True

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield TextLines(id="daemon")
        yield TextLines(id="filter")
        yield RowTable(JOB_COLUMNS, id="jobs")
        yield TextLines(id="none")
        yield TextLines(id="details")
        yield FindInput()
        yield TextLines(id="activity")
        yield KeyBar()

    def job(self) -> Value | None:
        """Return the job at the cursor."""
        key = self.query_one("#jobs", RowTable).key
        return None if key is None else self.store.jobs.get(str(key))

    def renew(self) -> None:
        """Show the jobs as they are."""
        self.show_daemon()
        rows, self._shown = job_rows(self.store, self._words, failed_only=self._failed_only)
        self.query_one("#jobs", RowTable).show_rows(rows)
        counted = f"{len(self._shown)} of {plural(len(self.store.jobs), 'job')}"
        self.show_filter(self._words, counted, failed_only=self._failed_only)
        nothing = self.query_one("#none", TextLines)
        nothing.display = not rows
        nothing.show_lines(*_empty_list_lines(self.store, known=self.top.is_fed))
        self._show_details()

    def _show_details(self) -> None:
        job = self.job()
        details = self.query_one("#details", TextLines)
        details.show_lines(*([] if job is None else detail_lines(job)))
        details.set_class(job is None or not self._detailed, "-off")

    def on_row_table_row_highlighted(self) -> None:
        """Show the details of the job at the cursor."""
        self._show_details()

    def on_row_table_row_selected(self) -> None:
        """Open a job."""
        self.action_open()

    def action_open(self) -> None:
        """Open the job at the cursor."""
        job = self.job()
        if job is not None:
            self.top.open_job(str(job["job_id"]))

    def action_details(self) -> None:
        """Show or hide what is said of the job at the cursor."""
        self._detailed = not self._detailed
        self._show_details()

    def action_find(self) -> None:
        """Filter by words."""
        self.type_into(self._filter, self.query_one("#jobs"), self._words)

    def _filter(self, words: str) -> None:
        self._words = words
        self.renew()

    def action_failed(self) -> None:
        """Show the failed jobs alone, or all again."""
        self._failed_only = not self._failed_only
        self.renew()

    def action_all(self) -> None:
        """Show all jobs again."""
        self._words, self._failed_only = "", False
        self.renew()

    def action_several(self, word: str) -> None:
        """Run an action for all jobs that are shown."""
        self.top.run_for_all(word, [self.store.jobs[job_id] for job_id in self._shown])

    def action_copy(self) -> None:
        """Copy the name of the job."""
        job = self.job()
        self.copy_text("" if job is None else str(job["job_id"]))


def _empty_list_lines(store: StateStore, *, known: bool) -> list[list[Cell]]:
    if not known and store.broken is not None:
        return [[Cell("mzt start", "accent"), Cell("    in another terminal starts the daemon", "dim")]]
    if not known:
        return [[Cell("asking the daemon …", "dim")]]
    if store.jobs:
        return [[Cell("the filter leaves no job", "dim")]]
    return [
        [Cell("No job runs, waits, or ended within a day.")],
        [],
        [Cell("mzt run FILE", "accent"), Cell("    runs a score; it appears here by itself", "dim")],
        [
            Cell("mzt demo", "accent"),
            Cell("        shows pause, change and resume at work, in 15 seconds", "dim"),
        ],
    ]
