"""What stands beside the sheets of a job: an output as it comes, attempts, why, journal, revisions."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from marianne_cli import terminal
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render
from marianne_cli.screens.differences import numbers_not_dropped, unified_diff
from marianne_cli.screens.why import failures, why_screen
from marianne_cli.top import output as outputs
from marianne_cli.top.model import signs
from marianne_cli.top.model.attempts import attempt_rows, failed_checks
from marianne_cli.top.model.cells import Cell, Line, wrap_line
from marianne_cli.top.model.store import Value, sanitized
from marianne_cli.top.output import OutputBuffer, OutputSelection
from marianne_cli.top.widgets.bars import TextLines
from marianne_cli.top.widgets.listing import LineView, RowTable
from marianned.errors import MarianneError
from marianned.formatting import plural
from marianned.protocol import ExplainJob, GetJob, ReadHistory, ReadRevisions

if TYPE_CHECKING:
    from marianne_cli.top.job_screen import JobScreen

_SETTLE_SECONDS = 0.08
"""A cursor that runs past a sheet has nothing read for it."""
_TYPED_SECONDS = 0.3
"""Somebody who types has the output searched when they pause."""
_SEARCHED = ("stdout", "stderr")
_JOURNAL_MOST = 500
_CHECKS_MOST = 2
_DIFFERS = {"+": "good", "-": "bad", "@": "accent"}


class Panels:
    """Fills the panels of a job's screen; a request is cancelled when a newer one takes its place."""

    def __init__(self, screen: "JobScreen") -> None:
        self._screen = screen
        self._reading: anyio.CancelScope | None = None
        self._asking: dict[str, anyio.CancelScope] = {}
        self._source: OutputSelection | None = None
        self._facts: dict[tuple[str, int], tuple[Value, ...]] = {}
        """The attempts of sheets, as far as they were asked for."""
        self._seen: tuple[int, int, str] | None = None
        self._asked_of: dict[str, object] = {}
        self._texts: dict[tuple[str, int, int], str] = {}
        """The texts of versions, by job, run and number: they stay as they are."""
        self._back = 0
        """How many versions before the newest the two are that are compared."""
        self._closed = False
        self._put: OutputSelection | None = None
        """What the output that is shown was read from: what was chosen after it comes a little later."""
        self._of: int | None = None
        """The sheet whose output is shown."""

    def close(self) -> None:
        """Cancel all requests: the screen is left."""
        self._closed = True
        for scope in (self._reading, *self._asking.values()):
            if scope is not None:
                scope.cancel()

    # --- what happens ------------------------------------------------------------------------------------

    def show_selection(self) -> None:
        """Show what belongs to a row of the sheets."""
        if self._screen.whole:
            self._read_attempts()
        else:
            self.read()
        self._asked_of.clear()
        self.show()

    def renew(self) -> None:
        """Update the panels from the store: the sheet may have another attempt."""
        if self._screen.top.is_frozen or self._closed:
            return
        sheet = self._screen.selected_sheet()
        seen = None if sheet is None else (sheet["sheet"], sheet["attempt_count"], sheet["status"])
        follows = self._screen.output.following and not self._screen.whole
        if seen is not None and seen[0] != self._of and follows:
            self.read()
        if seen != self._seen:
            before, self._seen = self._seen, seen
            self._read_attempts()
            if before is not None and seen is not None and before[0] == seen[0] and before[1] < seen[1]:
                self._attempt_began(first=not before[1])
        self.show()

    def _attempt_began(self, *, first: bool) -> None:
        """Show the attempt that has begun, unless the person reads another."""
        if self._screen.whole and not self._screen.output.output.ended:
            return
        if first or (self._screen.output.following and self._screen.attempt is None):
            self.read()

    def show(self) -> None:
        """Fill the panel that is shown, where something has happened since it was filled."""
        if self._closed:
            return
        screen, job = self._screen, self._screen.job()
        name = screen.shown_panel
        if name in {"output", "attempts"} or job is None:
            self.show_status()
            return
        sheet = screen.selected_sheet()
        of = (job["event"], job["run"], None if sheet is None else sheet["sheet"])
        if self._asked_of.get(name) == of:
            return
        self._asked_of[name] = of
        ask = {"why": self._fill_why, "journal": self._fill_journal, "revisions": self._fill_revisions}[name]
        self._start_request(name, ask)
        self.show_status()

    def _start_request(self, name: str, ask: Callable[[], Awaitable[None]]) -> None:
        """Run a request in the background; an older one under this name is cancelled."""
        if name in self._asking:
            self._asking[name].cancel()
        scope = self._asking[name] = anyio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    await ask()
                except MarianneError as error:
                    self._show_error(name, error)

        self._screen.top.start(run)

    def _show_error(self, name: str, error: MarianneError) -> None:
        if name in {"why", "journal", "revisions"}:
            self._screen.query_one(f"#{name}", LineView).show([[Cell(str(error), "bad")]])
        self._asked_of.pop(name, None)

    # --- output ------------------------------------------------------------------------------------------

    def read(self, *, keep: bool = False) -> None:
        """Read what is chosen, from its end; `keep`: only further back, from where one is."""
        if self._reading is not None:
            self._reading.cancel()
        scope = self._reading = anyio.CancelScope()
        source = self._source = self._screen.output_selection()
        view, top = self._screen.output, self._screen.top
        sheet = self._screen.selected_sheet()
        begun = sheet is None or self._screen.whole or bool(sheet["attempt_count"])
        self._of = None if source is None else source.sheet

        async def run() -> None:
            with scope:
                if not keep:
                    await anyio.sleep(_SETTLE_SECONDS)
                output = OutputBuffer()
                shown = keep

                def put() -> None:
                    self._put = source
                    view.show_output(output)

                def changed() -> None:
                    nonlocal shown
                    if not shown:
                        shown = True
                        put()
                    top.soon(view, lambda: view.show_new_lines() if view.output is output else None)

                if source is None or not begun:
                    output.failed = None if source is None else "no attempt yet"
                    put()
                    self.show_status()
                    return
                try:
                    if keep:
                        changed = _first_then(lambda: view.show_earlier(output), changed)
                    await outputs.follow_output(top.client, source, output, changed, self._screen.tail_lines)
                except MarianneError as error:
                    output.failed = str(error)
                    put()
                self.show_status()

        self._screen.top.start(run)
        self._read_attempts()
        self.show_status()

    def count(self) -> None:
        """Count the lines that match in the whole output, where only its end is here."""
        view, source = self._screen.output, self._source
        pattern, attempt = view.pattern, view.output.attempt
        if source is None or not pattern.text or not view.output.earlier or source.stream not in _SEARCHED:
            return

        async def ask() -> None:
            await anyio.sleep(_TYPED_SECONDS)
            view.in_all = await outputs.count_matches(self._screen.top.client, source, attempt, pattern)
            self.show_status()

        self._start_request("count", ask)

    def _read_attempts(self) -> None:
        """Ask for the attempts of the sheet, of which the checks and the costs are told."""
        sheet = self._screen.selected_sheet()
        if sheet is None:
            return
        job_id, number = self._screen.job_id, int(sheet["sheet"])

        async def ask() -> None:
            answer = await self._screen.top.client.ask(GetJob(job_id, sheets=str(number)))
            if answer.sheets:
                self._facts[job_id, number] = tuple(sanitized(answer.sheets[0].attempts))
            self.show_status()

        self._start_request("attempts", ask)

    @property
    def attempts(self) -> tuple[Value, ...]:
        """The attempts of the sheet that is chosen, as far as they are known."""
        sheet = self._screen.selected_sheet()
        return () if sheet is None else self._facts.get((self._screen.job_id, sheet["sheet"]), ())

    def step(self, by: int) -> None:
        """Show the attempt before, or the next."""
        known = [one["attempt"] for one in self.attempts]
        now = self._screen.attempt or self._screen.output.output.attempt
        if now in known:
            place = known.index(now) + by
            if 0 <= place < len(known):
                self._screen.put_attempt(None if place == len(known) - 1 else known[place])

    def show_status(self) -> None:
        """Show the lines above the panel that describe its content."""
        if self._closed or not self._screen.is_ready:
            return
        if self._screen.shown_panel == "attempts":
            self._screen.query_one("#attempts", RowTable).show_rows(attempt_rows(self.attempts))
        lines = {"output": self._about_output, "attempts": self._about_attempts}.get(
            self._screen.shown_panel, list
        )()
        about = self._screen.query_one("#about", TextLines)
        about.display = bool(lines)
        about.show_lines(*lines)

    def _about_attempts(self) -> list[Line]:
        sheet = self._screen.selected_sheet()
        if sheet is None:
            return [[Cell(self._nothing_chosen_text("no sheet is chosen"), "dim")]]
        said = (
            f"sheet {sheet['sheet']}: {plural(len(self.attempts), 'attempt')}; Enter shows what one printed"
        )
        return [[Cell(said, "dim")]]

    def _nothing_chosen_text(self, otherwise: str) -> str:
        return "the filter leaves no sheet" if self._screen.is_filtered else otherwise

    def _about_output(self) -> list[Line]:
        source, view = self._source, self._screen.output
        if source is None:
            return [[Cell(self._nothing_chosen_text("nothing to show yet"), "dim")]]
        output = view.output if self._put == source else OutputBuffer()
        newest = max((one["attempt"] for one in self.attempts), default=output.attempt)
        shown = next((one for one in self.attempts if one["attempt"] == output.attempt), None)
        name = f"hook {source.hook}" if source.sheet is None else f"sheet {source.sheet}"
        cells = [Cell("all that runs (o: the sheet alone)" if source.whole else name, "bold")]
        if output.attempt:
            style = "warn bold" if newest and output.attempt < newest else ""
            cells += [Cell(" · "), Cell(f"attempt {output.attempt} of {newest}", style)]
        if source.stream != "stdout":
            cells += [Cell(" · "), Cell(source.stream, "accent bold")]
        other = {"stdout": "stderr", "stderr": "stdout"}.get(source.stream)
        if other is not None and shown is not None and shown[f"{other}_bytes"]:
            cells.append(Cell(f" · {outputs.size_text(shown[f'{other}_bytes'])} on {other} (s)", "dim"))
        if shown is not None and shown["outcome"]:
            sign, colour = signs.OUTCOMES.get(shown["outcome"], signs.UNKNOWN)
            cells.append(Cell(f" · {sign} {shown['outcome'].replace('_', ' ')}", colour))
        cells.append(Cell(" · " + self._follow_state_text(output), "dim"))
        lines: list[Line] = [*self._about_stage(), cells]
        if view.pattern.text:
            lines.append(
                [Cell(view.search_status(), "accent bold"), Cell("  n next · N before · f only these", "dim")]
            )
        if shown is not None:
            lines += [[Cell(f"✗ {check}", "bad")] for check in failed_checks(shown)[:_CHECKS_MOST]]
        return lines

    def _follow_state_text(self, output: OutputBuffer) -> str:
        if output.failed:
            return output.failed
        if output.attempt is None:
            return "…"
        if not output.lines and not output.begun:
            return "nothing printed" if output.ended else "nothing printed so far"
        if output.ended:
            end = "ended"
        else:
            end = "following" if self._screen.output.following else "not following: G or F goes to the end"
        return f"{outputs.size_text(output.size)} · {end}"

    def _about_stage(self) -> list[Line]:
        """Where the cursor is at a stage: of which of its sheets the output is."""
        key = self._screen.query_one("#sheets", RowTable).key
        sheet = self._screen.selected_sheet()
        if sheet is None or self._screen.whole or not isinstance(key, tuple) or key[0] != "stage":
            return []
        said = f"of stage {key[1]} the sheet that is {sheet['status']}; Enter unfolds all"
        return [[Cell(said, "dim")]]

    # --- the others --------------------------------------------------------------------------------------

    async def _fill_why(self) -> None:
        screen, client = self._screen, self._screen.top.client
        sheet = screen.selected_sheet()
        only = str(sheet["sheet"]) if sheet is not None and sheet["status"] == "failed" else None
        why = sanitized(await client.ask(ExplainJob(screen.job_id, sheets=only)))
        sheets = [*screen.store.sheets.get(screen.job_id, ())]
        failed = failures(why, sheets, named=only is not None)
        wanted = ",".join(str(error["sheet"]) for error in failed)
        if wanted:
            full = sanitized(await client.ask(GetJob(screen.job_id, sheets=wanted)))["sheets"]
            known = {one["sheet"]: one for one in full}
            sheets = [known.get(one["sheet"], one) for one in sheets]
        self._fill("why", why_screen(why, sheets, failed, unfolded=True))

    async def _fill_journal(self) -> None:
        asked = ReadHistory(job_id=self._screen.job_id, limit=_JOURNAL_MOST)
        history = sanitized(await self._screen.top.client.ask(asked))
        entries = [render.event_line(event).partition("  ") for event in reversed(history["entries"])]
        panel = self._screen.query_one("#journal", LineView)
        told = [[Cell(f"{when}  ", "dim"), Cell(what)] for when, _, what in entries]
        panel.show([part for line in told for part in wrap_line(line, panel.width)])

    async def _fill_revisions(self) -> None:
        answer = sanitized(await self._screen.top.client.ask(ReadRevisions(self._screen.job_id)))
        numbers = numbers_not_dropped(answer["revisions"])
        self._back = max(0, min(self._back, len(numbers) - 2))
        told = screens.revisions_screen(answer["revisions"], unfolded=True)
        self._fill("revisions", told, await self._difference(numbers))

    async def _difference(self, numbers: Sequence[int]) -> list[Line]:
        """Return what differs between the two versions that are compared, as it is shown; one has nothing."""
        if len(numbers) < 2:  # noqa: PLR2004  a pair
            return []
        old, new = numbers[len(numbers) - 2 - self._back :][:2]
        told = unified_diff(
            await self._revision_text(old),
            await self._revision_text(new),
            f"revision {old}",
            f"revision {new}",
        )
        found = told.splitlines()
        keys = "  [ the two before · ] the two after" if len(numbers) > 2 else ""  # noqa: PLR2004  likewise
        head = [Cell(f"revision {old} → {new}", "bold"), Cell(keys, "dim")]
        lines = [[Cell(line, _DIFFERS.get(line[:1], ""))] for line in found[2:]]
        return [[], head, *(lines or [[Cell("nothing differs", "dim")]])]

    async def _revision_text(self, revision: int) -> str:
        """Return the text of a version, with what a terminal would obey shown as escapes."""
        key = (self._screen.job_id, self._run(), revision)
        if key not in self._texts:
            asked = ReadRevisions(self._screen.job_id, revision=revision)
            stored = (await self._screen.top.client.ask(asked)).text or ""
            self._texts[key] = "\n".join(terminal.line(line.expandtabs(8)) for line in stored.split("\n"))
        return self._texts[key]

    def _run(self) -> int:
        job = self._screen.job()
        return 0 if job is None else int(job["run"])

    def compare(self, by: int) -> None:
        """Compare the two versions before those that are compared, or the two after."""
        self._back = max(0, self._back - by)
        self._start_request("revisions", self._fill_revisions)

    def _fill(self, name: str, lines: list[str], more: Sequence[Line] = ()) -> None:
        panel = self._screen.query_one(f"#{name}", LineView)
        shown = [*([Cell(line)] for line in lines), *more]
        panel.show([part for line in shown for part in wrap_line(line, panel.width)])


def _first_then(first: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    """Call one thing the first time, another afterwards."""
    calls = iter([first])

    def call() -> None:
        next(calls, then)()

    return call
