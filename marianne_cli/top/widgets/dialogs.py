"""What is asked before something is done: a question, a choice of actions, a plan, a text to read."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from marianne_cli.top.model.attempts import PLAN_COLUMNS, plan_rows
from marianne_cli.top.model.cells import Cell, Column, Line, Row, wrap_line
from marianne_cli.top.model.store import Value
from marianne_cli.top.widgets.bars import TextLines
from marianne_cli.top.widgets.listing import LineView, RowTable

_CSS = """
Dialog { align: center middle; background: $background 60%; }
.box {
  width: 90%; max-width: 110; height: auto; max-height: 90%;
  border: round $primary; background: $surface; padding: 0 1;
}
.box TextLines { margin: 0 0 1 0; }
.box RowTable, .box LineView { height: auto; max-height: 60vh; background: $surface; }
.box Input { height: 1; background: $panel; margin: 0 0 1 0; }
.danger { border: round $error; }
.tall { height: 90%; }
.tall RowTable, .tall LineView { height: 1fr; max-height: 100%; }
"""


class DialogAnswer(NamedTuple):
    """The answer to a dialog: the word of the choice, and the reason, null if none was typed."""

    word: str
    reason: str | None = None


class DialogChoice(NamedTuple):
    """A possible answer: its key, its label, and the word that is returned."""

    key: str
    says: str
    word: str


def keys_line(choices: Sequence[DialogChoice]) -> Line:
    """Write the answers with their keys."""
    cells: list[Cell] = []
    for choice in choices:
        cells += [Cell(f" {choice.key.replace('escape', 'Esc').replace('enter', 'Enter')} ", "reverse bold")]
        cells += [Cell(f" {choice.says}   ")]
    return cells


class Dialog(ModalScreen[DialogAnswer]):
    """A box over the screen with answers by their keys; Escape is always one."""

    DEFAULT_CSS = _CSS
    AUTO_FOCUS = "RowTable, LineView"
    choices: Sequence[DialogChoice] = ()

    def answer(self, word: str) -> None:
        """Give an answer."""
        reason = self.query("#reason")
        typed = reason.first(Input).value.strip() if reason else ""
        self.dismiss(DialogAnswer(word, typed or None))

    def on_key(self, event: events.Key) -> None:
        """Answer by a key, unless somebody types a reason."""
        typing = isinstance(self.focused, Input)
        for choice in self.choices:
            if event.key == choice.key and (not typing or event.key in {"escape", "enter"}):
                event.stop()
                event.prevent_default()
                if typing and event.key == "escape":
                    self.set_focus(None)
                else:
                    self.answer(choice.word)
                return


class ConfirmDialog(Dialog):
    """Asks before something ends or is discarded; shows the `mzt` line that would be sent."""

    def __init__(self, question: str, line: str) -> None:
        super().__init__()
        self._question, self._line = question, line
        self.choices = (
            DialogChoice("y", "yes", "yes"),
            DialogChoice("n", "no", "no"),
            DialogChoice("escape", "no", "no"),
        )

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box danger"):
            yield TextLines(id="question")
            yield TextLines(id="line")
            yield Input(
                id="reason", compact=True, placeholder="a reason, for the journal (Tab; may stay empty)"
            )
            yield TextLines(id="keys")

    def on_mount(self) -> None:
        """Fill it in; the keys are not the reason's at first."""
        self.query_one("#question", TextLines).show_lines([Cell(self._question, "bold")])
        self.query_one("#line", TextLines).show_lines([Cell(f"$ {self._line}", "accent")])
        self.query_one("#keys", TextLines).show_lines(keys_line(self.choices[:2]))
        self.set_focus(None)


class MenuEntry(NamedTuple):
    """An entry of the menu: the word that is returned, its label, and its `mzt` line."""

    word: str
    says: str
    line: str


class ActionMenu(Dialog):
    """A choice of actions, each with its `mzt` line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "copy the line", show=False)]

    def __init__(self, title: str, offered: Sequence[MenuEntry]) -> None:
        super().__init__()
        self._title, self._offered = title, offered
        self.choices = (DialogChoice("escape", "leave", ""),)

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box"):
            yield TextLines(id="title")
            yield RowTable((Column("", 24), Column("")), id="menu")
            yield Input(
                id="reason", compact=True, placeholder="a reason, for the journal (Tab; may stay empty)"
            )
            yield TextLines(id="keys")

    def on_mount(self) -> None:
        """Fill it in."""
        self.query_one("#title", TextLines).show_lines([Cell(self._title, "bold")])
        rows = [
            Row(one.word, [Cell(one.says, "bold"), Cell(f"$ {one.line}", "accent")]) for one in self._offered
        ]
        menu = self.query_one("#menu", RowTable)
        menu.show_rows(rows)
        menu.focus()
        keys = (
            DialogChoice("enter", "do it", ""),
            DialogChoice("y", "copy the line", ""),
            DialogChoice("escape", "leave", ""),
        )
        self.query_one("#keys", TextLines).show_lines(keys_line(keys))

    def on_row_table_row_selected(self, event: RowTable.RowSelected) -> None:
        """Answer with the action."""
        event.stop()
        self.answer(str(event.key))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to the actions, with the reason."""
        event.stop()
        self.query_one("#menu", RowTable).focus()

    def action_copy(self) -> None:
        """Copy the line at the cursor."""
        key = self.query_one("#menu", RowTable).key
        self.app.copy_to_clipboard(next((one.line for one in self._offered if one.word == key), ""))


class PlanDialog(Dialog):
    """A plan, before what it says is done; what it says at the end is what runs."""

    def __init__(
        self,
        title: str,
        line: str,
        plan: Sequence[Value],
        said: Sequence[str],
        choices: Sequence[DialogChoice],
    ) -> None:
        super().__init__()
        self._title, self._line, self._plan, self._said = title, line, plan, said
        self.choices = choices

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box tall"):
            yield TextLines(id="title")
            yield RowTable(PLAN_COLUMNS, id="plan")
            yield TextLines(id="said")
            yield TextLines(id="line")
            yield Input(
                id="reason", compact=True, placeholder="a reason, for the journal (Tab; may stay empty)"
            )
            yield TextLines(id="keys")

    def on_mount(self) -> None:
        """Fill it in."""
        self.query_one("#title", TextLines).show_lines([Cell(self._title, "bold")])
        self.query_one("#said", TextLines).show_lines(*([Cell(one)] for one in self._said))
        self.query_one("#line", TextLines).show_lines([Cell(f"$ {self._line}", "accent")])
        self.query_one("#keys", TextLines).show_lines(keys_line(self.choices))
        rows = self.query_one("#plan", RowTable)
        rows.show_rows(plan_rows(self._plan))
        rows.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to the plan, with the reason."""
        event.stop()
        self.query_one("#plan", RowTable).focus()


class TextDialog(Dialog):
    """A text to read."""

    def __init__(self, title: str, lines: Sequence[Line], choices: Sequence[DialogChoice] = ()) -> None:
        super().__init__()
        self._title, self._text = title, lines
        self.choices = (
            *choices,
            DialogChoice("escape", "leave", ""),
            *(DialogChoice(key, "leave", "") for key in ("q", "question_mark", "enter") if not choices),
        )
        self._keys = (*choices, DialogChoice("escape", "leave", ""))

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box"):
            yield TextLines(id="title")
            yield LineView(id="text")
            yield TextLines(id="keys")

    def on_mount(self) -> None:
        """Fill it in."""
        self.query_one("#title", TextLines).show_lines([Cell(self._title, "bold")])
        self.query_one("#keys", TextLines).show_lines(keys_line(self._keys))
        text = self.query_one("#text", LineView)
        text.show(self._text)
        text.focus()
        self.call_after_refresh(self.on_resize)

    def on_resize(self) -> None:
        """Wrap to the width there is."""
        text = self.query_one("#text", LineView)
        text.show([part for line in self._text for part in wrap_line(line, text.width)])
