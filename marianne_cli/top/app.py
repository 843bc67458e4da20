"""The Textual app: one task group for background work, and the one place where results are logged."""

import functools
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.widget import Widget

from marianne_cli import terminal
from marianne_cli.client import AsyncClient, aconnect
from marianne_cli.faces import addresses
from marianne_cli.faces.actions import offers, sheet_offers
from marianne_cli.top.action_runner import ActionRunner
from marianne_cli.top.base import TopScreen
from marianne_cli.top.feed import StateFeed
from marianne_cli.top.job_screen import JobScreen
from marianne_cli.top.jobs_screen import JobsScreen
from marianne_cli.top.model.activity import ActivityLines
from marianne_cli.top.model.cells import Cell, Line
from marianne_cli.top.model.keys import KEYS
from marianne_cli.top.model.store import StateStore, Value
from marianne_cli.top.output import OutputSelection
from marianne_cli.top.widgets.dialogs import Dialog, DialogAnswer, TextDialog
from marianne_cli.top.widgets.theme import DARK, ThemeStyles
from marianned import __version__
from marianned.errors import MarianneError, NoDaemon
from marianned.formatting import typed

if TYPE_CHECKING:
    from marianne_cli.screens.drafts import ScoreDraft

_NAME = f"mzt {__version__} top"
_RENEW_SECONDS = 0.1
"""The screen is renewed so often at most, and so long after a change,"""
_REST = 4.0
"""and not before so many times as long as it took the last time: a key finds room among many changes."""
_CLOCK_SECONDS = 1.0
"""So often the ages on the screen are told anew; nothing is asked for it."""
_AGAIN_SECONDS = 1.0


class PaletteProvider(Provider):
    """The entries of the command palette: actions of the selected job, and the keys of the screen."""

    def _entries(self) -> Iterable[tuple[str, str, Callable[[], Any]]]:
        screen = self.screen
        if not isinstance(screen, TopScreen):
            return
        top = screen.top
        job, sheet = screen.job(), screen.sheet()
        if job is not None:
            known = [*offers(job), *([] if sheet is None else sheet_offers(job, sheet))]
            for one in known:
                yield one.name, one.line, functools.partial(top.run_offer, one.name, job, sheet)
            yield "edit the score", f"mzt edit {typed(str(job['job_id']))}", functools.partial(top.edit, job)
        for bindings in (screen.active_bindings,):
            for _, binding, enabled, _ in bindings.values():
                if enabled and binding.description and not binding.action.startswith("offer"):
                    key = binding.key_display or binding.key
                    yield (
                        binding.description,
                        f"key {key}",
                        functools.partial(top.run_action, binding.action, screen),
                    )

    async def discover(self) -> Hits:
        """Show all."""
        for name, said, do in self._entries():
            yield DiscoveryHit(Content(name), do, text=name, help=said)

    async def search(self, query: str) -> Hits:
        """Show what matches."""
        matcher = self.matcher(query)
        for name, said, do in self._entries():
            if (score := matcher.match(f"{name} {said}")) > 0:
                yield Hit(score, Content(name), do, text=name, help=said)


class TopApp(App[MarianneError]):
    """`mzt top`. It returns what ended it, null: the person left."""

    TITLE = "mzt top"
    COMMANDS: ClassVar[set[Any]] = {PaletteProvider}
    CSS = """
    Screen { layout: vertical; }
    #daemon { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #activity { max-height: 4; }
    Toast { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("space", "freeze", "freeze"),
        Binding("colon,ctrl+p", "command_palette", "palette", show=False),
        Binding("question_mark", "keys", "keys", key_display="?"),
    ]

    def __init__(
        self, socket: str | None = None, job_id: str | None = None, *, read_only: bool = False
    ) -> None:
        plain = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if plain else None)  # of its own colours it would make greys
        self.register_theme(DARK)
        if self.no_color:
            self.theme = "ansi-dark"
        elif "TEXTUAL_THEME" not in os.environ:
            self.theme = DARK.name
        self.read_only = read_only
        self.store = StateStore()
        self.shown = self.store
        self.is_fed = False
        self._was_broken = False
        self.theme_styles = ThemeStyles(self.get_css_variables())
        self._socket, self._first = socket, job_id
        self._client: AsyncClient | None = None
        self._feed: StateFeed | None = None
        self._tasks: TaskGroup | None = None
        self._runner = ActionRunner(self)
        self.activity = ActivityLines()
        self._due: dict[object, Callable[[], None]] = {}
        self._rest = _RENEW_SECONDS

    # --- its life ----------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Begin."""
        self.theme_changed_signal.subscribe(self, lambda _theme: self._apply_theme())
        self.push_screen(JobsScreen())
        if self._first is not None:
            self.push_screen(JobScreen(self._first))
        self.set_interval(_CLOCK_SECONDS, self._tick)
        self.run_worker(self._run_client(), exit_on_error=True)

    def _apply_theme(self) -> None:
        self.theme_styles = ThemeStyles(self.get_css_variables())
        self._renew()

    async def _run_client(self) -> None:
        """Connect, and run the feed and all background work; try again while no daemon answers."""
        while True:
            try:
                async with (
                    aconnect(self._socket, name=_NAME, read_only=self.read_only) as client,
                    anyio.create_task_group() as tasks,
                ):
                    self._client, self._tasks = client, tasks
                    self._feed = StateFeed(client, self.store, self._changed)
                    for screen in self.screen_stack:
                        if isinstance(screen, JobScreen):
                            tasks.start_soon(self._feed.watch, screen.job_id)
                    if (refused := await self._feed.run()) is not None:
                        self.exit(refused)
                        await anyio.sleep_forever()  # the end of the app ends it
            except NoDaemon as error:
                self.store.put_broken(terminal.line(error.message))
                self._changed()
            except MarianneError as error:
                self.exit(error)
                return
            await anyio.sleep(_AGAIN_SECONDS)

    @property
    def client(self) -> AsyncClient:
        """The connection.

        Raises:
            NoDaemon: there was none yet.
        """
        if self._client is None:
            raise NoDaemon("no daemon answers yet", hints=["mzt start"])
        return self._client

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run something in the background until the app ends; a refusal is logged."""
        if self._tasks is not None:
            self._tasks.start_soon(self._run_reporting_errors, work)

    async def _run_reporting_errors(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except MarianneError as error:
            self.log_error("", error)
        except OSError as error:
            self.log_refusal("", f"it can't be done: {error}", [])

    # --- what is shown -----------------------------------------------------------------------------------

    @property
    def is_frozen(self) -> bool:
        """Whether the screen stands still."""
        return self.shown is not self.store

    def _changed(self) -> None:
        self.is_fed = self.is_fed or bool(self._feed and self._feed.begun)
        if self._was_broken and self.store.broken is None:
            self.activity.daemon_answered()
        self._was_broken = self.store.broken is not None
        self.soon("renew", self._renew)

    def soon(self, what: object, do: Callable[[], None]) -> None:
        """Run `do` once, a little later, however often it is requested meanwhile."""
        if what not in self._due:
            self.set_timer(self._rest, functools.partial(self._do_due, what))
        self._due[what] = do

    def _do_due(self, what: object) -> None:
        do = self._due.pop(what)
        if not (self.is_frozen and isinstance(what, Widget)):
            began = time.thread_time()
            do()
            self._rest = max(_RENEW_SECONDS, _REST * (time.thread_time() - began))

    def _renew(self) -> None:
        screen = self._current_screen
        if screen is None or not screen.is_ready:
            return
        if self.is_frozen:
            screen.show_daemon()
        else:
            screen.renew()

    def _tick(self) -> None:
        screen = self.screen_stack[-1] if self.screen_stack else None  # none is left while the end comes
        if not self.is_frozen and isinstance(screen, TopScreen) and screen.is_ready:
            screen.renew()

    @property
    def _current_screen(self) -> TopScreen | None:
        """The screen that is looked at, below whatever is asked."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, TopScreen)), None)

    def action_freeze(self) -> None:
        """Freeze the screen, or let it move again."""
        self.shown = self.store if self.is_frozen else self.store.frozen_copy()
        screen = self._current_screen
        if screen is not None:
            if isinstance(screen, JobScreen) and not self.is_frozen:
                screen.output.show_new_lines()
            screen.renew()

    def action_keys(self) -> None:
        """Show the keys."""
        lines: list[Line] = []
        for title, keys in KEYS:
            lines += [
                [Cell(title, "run bold")],
                *([Cell(f"  {key:<8}", "bold"), Cell(said)] for key, said in keys),
                [],
            ]
        self.push_screen(TextDialog("The keys of mzt top", lines[:-1]))

    def open_job(self, job_id: str) -> None:
        """Show one job."""
        self.activity.clear_last()
        if self._feed is not None:
            self.start(functools.partial(self._feed.watch, job_id))
        self.push_screen(JobScreen(job_id))

    def close_job(self, screen: JobScreen) -> None:
        """Go back to all jobs."""
        self.activity.clear_last()
        if self._feed is not None:
            self._feed.leave(screen.job_id)
        self.pop_screen()

    # --- what is done ------------------------------------------------------------------------------------

    def run_offer(self, word: str, job: Value | None, sheet: Value | None) -> None:
        """Run the action of this name."""
        self._runner.run_offer(word, job, sheet)

    def show_menu(self, job: Value | None, sheet: Value | None) -> None:
        """Show the menu of actions."""
        self._runner.show_menu(job, sheet)

    def run_for_all(self, word: str, jobs: Sequence[Value]) -> None:
        """Run an action for several jobs."""
        self._runner.run_for_all(word, jobs)

    def edit(self, job: Value | None) -> None:
        """Edit the score of a job."""
        if job is not None:
            self.start(functools.partial(self._runner.edit, job))

    async def ask(self, dialog: Dialog) -> DialogAnswer:
        """Show a dialog; return the answer."""
        answered = anyio.Event()
        answers: list[DialogAnswer | None] = []

        def take(answer: DialogAnswer | None) -> None:
            answers.append(answer)
            answered.set()

        await self.push_screen(dialog, take)
        await answered.wait()
        return answers[0] or DialogAnswer("")

    def log_sent(self, line: str) -> int:
        """Log that a line was sent; return its number."""
        number = self.activity.add_sent(line)
        self._show_activity()
        return number

    def log_done(self, number: int, said: str) -> None:
        """Log that a line was carried out."""
        self.activity.mark_done(number, said)
        self._show_activity()

    def log_refusal(self, line: str, said: str, hints: Iterable[str], number: int = 0) -> None:
        """Log that something was refused, and what to type."""
        self.activity.mark_refused(line, terminal.line(said), [terminal.line(hint) for hint in hints], number)
        self._show_activity()

    def log_error(self, line: str, error: MarianneError, number: int = 0) -> None:
        """Log a refusal; that no daemon answers goes away when one answers."""
        said, hints = terminal.line(error.message), [terminal.line(hint) for hint in error.hints]
        self.activity.mark_refused(line, said, hints, number, away=isinstance(error, NoDaemon))
        self._show_activity()

    def note(self, said: str) -> None:
        """Show a remark at the bottom."""
        self.activity.note(terminal.line(said))
        self._show_activity()

    def _show_activity(self) -> None:
        screen = self._current_screen
        if screen is not None and screen.is_ready:
            screen.show_activity()

    def copy_address(self, job: Value | None, sheet: Value | None) -> None:
        """Copy an address of the page at a job and a sheet, where a dashboard runs."""
        self.start(functools.partial(self._copy_address, job, sheet))

    async def _copy_address(self, job: Value | None, sheet: Value | None) -> None:
        name = None if job is None else str(job["job_id"])
        directory = addresses.directory_of(self.client.path)
        try:
            address = await to_thread.run_sync(addresses.running_address, directory)
        except NoDaemon as error:
            self.log_refusal("", error.message, [f"mzt dashboard {typed(name)}" if name else "mzt dashboard"])
            return
        number = None if sheet is None else int(sheet["sheet"])
        self.copy_to_clipboard(addresses.address_of_job(address, name, number))
        place = " · ".join(part for part in (name, None if number is None else f"sheet {number}") if part)
        self.note(f"copied: an address of the page at {place or 'all jobs'}, good once and for a minute")

    # --- other programs ----------------------------------------------------------------------------------

    async def in_editor(self, draft: "ScoreDraft", problems: Sequence[Any]) -> str | None:
        """Open a draft in the person's editor; return what went wrong, null: nothing."""
        return await self._run_in_terminal(functools.partial(draft.edit, list(problems)))

    async def _run_in_terminal(self, run: Callable[[], str | None]) -> str | None:
        """Run a program that has the terminal, while all else goes on and nothing is drawn."""
        with self.batch_update(), self.suspend():
            said = await to_thread.run_sync(run)
        self.refresh(layout=True)
        return said

    def show_in_pager(self, source: OutputSelection) -> None:
        """Show a whole output in the pager."""
        self.start(functools.partial(self._show_in_pager, source))

    async def _show_in_pager(self, source: OutputSelection) -> None:
        from marianne_cli.top.paging import show_in_pager

        line = source.line()
        said = await self._run_in_terminal(
            functools.partial(show_in_pager, line, self._socket, source.arguments())
        )
        if said is None:
            self.note(f"$ {line}")
        else:
            self.log_refusal(line, said, [])
