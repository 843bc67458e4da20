"""The bars around the content of a screen: the daemon, the requests, the text being typed, tabs, keys."""

from collections.abc import Callable, Iterator, Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.binding import Binding
from textual.events import Click, Key
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from marianne_cli.faces.groups import JobGroup
from marianne_cli.times import moment
from marianne_cli.top.model.cells import Cell, Line, plain_text
from marianne_cli.top.model.jobs import cost_text
from marianne_cli.top.model.store import StateStore, Value
from marianne_cli.top.widgets.theme import ThemeStyles, safe_text, theme_styles_of
from marianned.formatting import plural


def rich_text(line: Line, theme_styles: ThemeStyles) -> Text:
    """Return a line as Textual draws it; nothing in it is markup."""
    said = Text(no_wrap=False)
    for cell in line:
        said.append(safe_text(cell), theme_styles.style(cell.style))
    return said


class TextLines(Widget):
    """One or several lines of text, wrapped as far as there is room."""

    DEFAULT_CSS = "TextLines { height: auto; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[Line] = ()

    def show_lines(self, *lines: Line) -> None:
        """Show these lines instead."""
        if list(lines) != list(self._lines):
            taller = len(lines) != len(self._lines) or any(
                len(plain_text(line)) > self.size.width for line in (*lines, *self._lines)
            )
            self._lines = lines
            self.refresh(layout=taller)

    def text(self) -> str:
        """Return the lines as text."""
        return "\n".join(map(plain_text, self._lines))

    def render(self) -> RenderResult:
        """Draw the lines."""
        theme_styles = theme_styles_of(self.app)
        return Text("\n").join(rich_text(line, theme_styles) for line in self._lines)


def daemon_line(store: StateStore, *, read_only: bool, behind: int | None) -> Line:
    """Say how the daemon is, how many jobs need a person, run, and wait, and what they cost.

    `behind`: how many changes the frozen screen is behind; null: it is live.
    """
    cells = [Cell(" mzt top ", "accent reverse bold"), Cell(" ")]
    if store.broken is not None:
        return [
            *cells,
            Cell(" no daemon ", "bad reverse bold"),
            Cell(f" {store.broken}; waiting for it", "bad"),
        ]
    if behind is not None:
        changes = f" {plural(behind, 'change')} behind" if behind else ""
        cells += [Cell(f" FROZEN{changes} ", "warn reverse bold"), Cell(" ")]
    if read_only:
        cells += [Cell(" read-only ", "reverse"), Cell(" ")]
    daemon = store.daemon
    if daemon is not None:
        status = str(daemon["status"])
        slots = daemon["slots"]
        cells += [
            Cell(status, "good" if status == "ready" else "warn bold"),
            Cell(f" · slots {slots['used']}/{slots['total']} · ", "dim"),
        ]
    counts = {group: len(jobs) for group, jobs in store.jobs_by_group()}
    for group, style in (
        (JobGroup.NEEDS_YOU, "warn bold"),
        (JobGroup.RUNNING, "run"),
        (JobGroup.WAITING, ""),
    ):
        if counts.get(group):
            word = "need you" if group is JobGroup.NEEDS_YOU and counts[group] > 1 else str(group)
            cells += [Cell(f"{counts[group]} {word}", style), Cell(" · ", "dim")]
    cells.append(Cell(plural(len(store.jobs), "job"), "dim"))
    usd, known = store.cost()
    if cost := cost_text({"usd": usd, "known": known}):
        cells.append(Cell(f" · {cost}", "dim"))
    return [*cells, *(_trouble_cells(daemon) if daemon is not None else ())]


def _trouble_cells(daemon: Value) -> Iterator[Cell]:
    """Say what the daemon has to complain of."""
    for one in daemon["degraded_by"]:
        yield Cell(f" · {one}", "warn")
    for limit in daemon["rate_limits"]:
        model = f" {limit['model']}" if limit["model"] else ""
        yield Cell(f" · {limit['instrument']}{model} limited until {moment(limit['until_at'])}", "warn")
    if daemon["damaged"]:
        yield Cell(f" · {plural(len(daemon['damaged']), 'job')} can't be read", "bad")


class TabBar(Widget):
    """The names of what can be shown, each with its key; a click chooses one."""

    DEFAULT_CSS = "TabBar { height: 1; }"

    class TabActivated(Message):
        """A tab was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._names = names
        self._chosen = 0

    def choose(self, place: int) -> None:
        """Show which is chosen."""
        self._chosen = place
        self.refresh()

    def render(self) -> RenderResult:
        """Draw them."""
        theme_styles = theme_styles_of(self.app)
        said = Text(no_wrap=True)
        for place, name in enumerate(self._names):
            said.append(
                f" {place + 1} {name} ",
                theme_styles.style("reverse bold" if place == self._chosen else "dim"),
            )
        return said

    def on_click(self, event: Click) -> None:
        """Choose what was clicked."""
        left = 0
        for place, name in enumerate(self._names):
            left += len(name) + 4
            if event.x < left:
                self.post_message(self.TabActivated(place))
                return


class KeyBar(Widget):
    """The keys of the screen, in one line; a click on one is as good as the key.

    Textual's footer has a widget for each, and makes all anew whenever another widget has the keys: that
    took as long as half of all else that is drawn.
    """

    DEFAULT_CSS = """
    KeyBar {
        dock: bottom; height: 1;
        color: $footer-description-foreground; background: $footer-background;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._named: list[Binding] = []

    def on_mount(self) -> None:
        """Show them, now and when they change."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._changed(self.screen)

    def _changed(self, screen: Screen[object]) -> None:
        first: dict[str, Binding] = {}
        for _, binding, _, _ in screen.active_bindings.values():
            if binding.show:
                first.setdefault(binding.action, binding)
        if self._named != [*first.values()]:
            self._named = [*first.values()]
            self.refresh()

    def render(self) -> RenderResult:
        """Draw them."""
        key = theme_styles_of(self.app).style("key bold")
        said = Text(no_wrap=True)
        for binding in self._named:
            said.append(self.app.get_key_display(binding), key).append(f" {binding.description} ")
        return said

    def on_click(self, event: Click) -> None:
        """Press the key that was clicked."""
        left = 0
        for binding in self._named:
            left += len(self.app.get_key_display(binding)) + len(binding.description) + 2
            if event.x < left:
                self.app.simulate_key(binding.key)
                return


class FindInput(Input):
    """The line behind `/`: what is typed works at once; Enter keeps it, Escape takes it away."""

    DEFAULT_CSS = "FindInput { height: 1; padding: 0 1; display: none; } FindInput.-on { display: block; }"

    def __init__(self) -> None:
        super().__init__(
            id="find",
            compact=True,
            placeholder="text; Enter keeps it, Escape takes it away",
            select_on_focus=False,
        )
        self._typed: Callable[[str], None] = lambda _text: None
        self._back: Widget | None = None

    def begin(self, typed: Callable[[str], None], back: Widget | None, text: str) -> None:
        """Open the line: `typed` is called with each text, `back` gets the focus afterwards."""
        self._typed, self._back = typed, back
        self.value = text
        self.cursor_position = len(text)
        self.add_class("-on")
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Hand on what is typed."""
        event.stop()
        if self.has_class("-on"):
            self._typed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep it."""
        event.stop()
        self._end()

    def on_key(self, event: Key) -> None:
        """Take it away."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self._typed("")
            self._end()

    def _end(self) -> None:
        self.remove_class("-on")
        if self._back is not None:
            self._back.focus()
