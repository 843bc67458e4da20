"""What both screens of `mzt top` have: the lines around them, the filter, and the keys that mean the same."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from marianne_cli.top.model.cells import Cell
from marianne_cli.top.model.store import StateStore, Value
from marianne_cli.top.widgets.bars import FindInput, TextLines, daemon_line

if TYPE_CHECKING:
    from marianne_cli.top.app import TopApp


class TopScreen(Screen[None]):
    """A screen over the store."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "filter", key_display="/"),
        Binding("exclamation_mark", "failed", "failed only", key_display="!", show=False),
        Binding("a", "menu", "actions"),
        Binding("p", "offer('pause')", "pause"),
        Binding("r", "offer('resume')", "resume"),
        Binding("R", "offer('retry')", "retry", show=False),
        Binding("x", "offer('cancel')", "cancel", show=False),
        Binding("e", "edit", "edit"),
        Binding("y", "copy", "copy", show=False),
        Binding("u", "address", "address of the page", show=False),
    ]

    @property
    def top(self) -> "TopApp":
        """The app."""
        return cast("TopApp", self.app)

    @property
    def store(self) -> StateStore:
        """What is shown: the present state, or the one in which it was frozen."""
        return self.top.shown

    @property
    def is_ready(self) -> bool:
        """Whether all of it is there: it is neither being made nor taken away."""
        return self.is_mounted and self.is_running and bool(self.query("#activity"))

    # --- what each screen has of its own -----------------------------------------------------------------

    def job(self) -> Value | None:
        """Return the job that actions are for."""
        raise NotImplementedError

    def sheet(self) -> Value | None:
        """Return the sheet that actions are for; null: none is chosen."""
        return None

    def renew(self) -> None:
        """Show what the store has now."""
        raise NotImplementedError

    # --- what they share ---------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Show what is known."""
        self.renew()

    def on_screen_resume(self) -> None:
        """Show what has come meanwhile."""
        self.renew()

    def on_resize(self) -> None:
        """Fit to the terminal."""
        self.set_class(self.size.width < _WIDE, "-narrow")
        self.set_class(self.size.height < _HIGH, "-low")
        self.call_after_refresh(self.renew)

    def show_daemon(self) -> None:
        """Show the line at the top."""
        top = self.top
        behind = top.store.changes - top.shown.changes if top.is_frozen else None
        self.query_one("#daemon", TextLines).show_lines(
            daemon_line(top.store, read_only=top.read_only, behind=behind)
        )
        self.show_activity()

    def show_filter(self, words: str, counted: str, *, failed_only: bool) -> None:
        """Show which filter is on, how much it leaves, and what changes it; nothing where none is."""
        line = self.query_one("#filter", TextLines)
        parts = [f"/{words}"] if words else []
        parts += ["failed only"] if failed_only else []
        line.display = bool(parts)
        keys = " · ".join([*(["/ changes it"] if words else []), "Esc shows all"])
        line.show_lines([Cell(f" {' · '.join(parts)}: {counted}", "accent bold"), Cell(f"  {keys}", "dim")])

    def show_activity(self) -> None:
        """Show what was asked, and what became of it."""
        self.query_one("#activity", TextLines).show_lines(*self.top.activity.lines())

    def type_into(self, typed: Callable[[str], None], back: Widget | None, text: str) -> None:
        """Open the input line for a filter or a search."""
        self.query_one(FindInput).begin(typed, back, text)

    def action_offer(self, word: str) -> None:
        """Ask for an action by its word."""
        self.top.run_offer(word, self.job(), self.sheet())

    def action_menu(self) -> None:
        """Show all that can be asked."""
        self.top.show_menu(self.job(), self.sheet())

    def action_edit(self) -> None:
        """Edit the score of the job."""
        self.top.edit(self.job())

    def action_address(self) -> None:
        """Copy an address at which a running `mzt dashboard` shows what is looked at here."""
        self.top.copy_address(self.job(), self.sheet())

    def copy_text(self, text: str) -> None:
        """Copy a text, or what is selected with the mouse, and say so."""
        chosen = self.get_selected_text()
        said = chosen or text
        if not said:
            return
        self.app.copy_to_clipboard(said)
        first, _, more = said.strip("\n").partition("\n")
        lines = "" if not more else f" and {len(more.splitlines()):,} more lines"
        self.top.note(f"copied: {first[:60]}{lines}")


_WIDE = 110
"""From so many columns on, sheets and output stand side by side."""
_HIGH = 30
