"""What is asked before something is done: a question, a choice of actions, a plan, a text to read."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from marianne_cli.top.drawn.listing import Lines, Rows
from marianne_cli.top.drawn.widgets import Told
from marianne_cli.top.known.attempts import PLAN_COLUMNS, plan_rows
from marianne_cli.top.known.cells import Cell, Column, Line, Row, wrapped
from marianne_cli.top.known.store import Value

_CSS = """
Dialog { align: center middle; background: $background 60%; }
.box {
  width: 90%; max-width: 110; height: auto; max-height: 90%;
  border: round $primary; background: $surface; padding: 0 1;
}
.box Told { margin: 0 0 1 0; }
.box Rows, .box Lines { height: auto; max-height: 60vh; background: $surface; }
.box Input { height: 1; background: $panel; margin: 0 0 1 0; }
.danger { border: round $error; }
.tall { height: 90%; }
.tall Rows, .tall Lines { height: 1fr; max-height: 100%; }
"""


class Answer(NamedTuple):
    """What was answered: a word, and why, null where nothing was said."""

    word: str
    reason: str | None = None


class Choice(NamedTuple):
    """An answer that can be given: its key, what it is called, and the word that it is."""

    key: str
    says: str
    word: str


def keys_line(choices: Sequence[Choice]) -> Line:
    """Write the answers with their keys."""
    cells: list[Cell] = []
    for choice in choices:
        cells += [Cell(f" {choice.key.replace('escape', 'Esc').replace('enter', 'Enter')} ", "reverse bold")]
        cells += [Cell(f" {choice.says}   ")]
    return cells


class Dialog(ModalScreen[Answer]):
    """A box over the screen with answers by their keys; Escape is always one."""

    DEFAULT_CSS = _CSS
    AUTO_FOCUS = "Rows, Lines"
    choices: Sequence[Choice] = ()

    def answer(self, word: str) -> None:
        """Give an answer."""
        reason = self.query("#reason")
        typed = reason.first(Input).value.strip() if reason else ""
        self.dismiss(Answer(word, typed or None))

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


class Question(Dialog):
    """Asks before something ends or is discarded; shows the `mzt` line that would be sent."""

    def __init__(self, question: str, line: str) -> None:
        super().__init__()
        self._question, self._line = question, line
        self.choices = (Choice("y", "yes", "yes"), Choice("n", "no", "no"), Choice("escape", "no", "no"))

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box danger"):
            yield Told(id="question")
            yield Told(id="line")
            yield Input(
                id="reason", compact=True, placeholder="a reason, for the journal (Tab; may stay empty)"
            )
            yield Told(id="keys")

    def on_mount(self) -> None:
        """Fill it in; the keys are not the reason's at first."""
        self.query_one("#question", Told).tell([Cell(self._question, "bold")])
        self.query_one("#line", Told).tell([Cell(f"$ {self._line}", "accent")])
        self.query_one("#keys", Told).tell(keys_line(self.choices[:2]))
        self.set_focus(None)


class Offered(NamedTuple):
    """A line of the menu: its word, what it is called, and the `mzt` line it is."""

    word: str
    says: str
    line: str


class Menu(Dialog):
    """A choice of actions, each with its `mzt` line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "copy the line", show=False)]

    def __init__(self, title: str, offered: Sequence[Offered]) -> None:
        super().__init__()
        self._title, self._offered = title, offered
        self.choices = (Choice("escape", "leave", ""),)

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box"):
            yield Told(id="title")
            yield Rows((Column("", 24), Column("")), id="menu")
            yield Input(
                id="reason", compact=True, placeholder="a reason, for the journal (Tab; may stay empty)"
            )
            yield Told(id="keys")

    def on_mount(self) -> None:
        """Fill it in."""
        self.query_one("#title", Told).tell([Cell(self._title, "bold")])
        rows = [
            Row(one.word, [Cell(one.says, "bold"), Cell(f"$ {one.line}", "accent")]) for one in self._offered
        ]
        menu = self.query_one("#menu", Rows)
        menu.show_rows(rows)
        menu.focus()
        keys = (Choice("enter", "do it", ""), Choice("y", "copy the line", ""), Choice("escape", "leave", ""))
        self.query_one("#keys", Told).tell(keys_line(keys))

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        """Answer with the action."""
        event.stop()
        self.answer(str(event.key))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to the actions, with the reason."""
        event.stop()
        self.query_one("#menu", Rows).focus()

    def action_copy(self) -> None:
        """Copy the line at the cursor."""
        key = self.query_one("#menu", Rows).key
        self.app.copy_to_clipboard(next((one.line for one in self._offered if one.word == key), ""))


class Plan(Dialog):
    """A plan, before what it says is done; what it says at the end is what runs."""

    def __init__(
        self, title: str, line: str, plan: Sequence[Value], said: Sequence[str], choices: Sequence[Choice]
    ) -> None:
        super().__init__()
        self._title, self._line, self._plan, self._said = title, line, plan, said
        self.choices = choices

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box tall"):
            yield Told(id="title")
            yield Rows(PLAN_COLUMNS, id="plan")
            yield Told(id="said")
            yield Told(id="line")
            yield Input(
                id="reason", compact=True, placeholder="a reason, for the journal (Tab; may stay empty)"
            )
            yield Told(id="keys")

    def on_mount(self) -> None:
        """Fill it in."""
        self.query_one("#title", Told).tell([Cell(self._title, "bold")])
        self.query_one("#said", Told).tell(*([Cell(one)] for one in self._said))
        self.query_one("#line", Told).tell([Cell(f"$ {self._line}", "accent")])
        self.query_one("#keys", Told).tell(keys_line(self.choices))
        rows = self.query_one("#plan", Rows)
        rows.show_rows(plan_rows(self._plan))
        rows.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to the plan, with the reason."""
        event.stop()
        self.query_one("#plan", Rows).focus()


class Reading(Dialog):
    """A text to read."""

    def __init__(self, title: str, lines: Sequence[Line], choices: Sequence[Choice] = ()) -> None:
        super().__init__()
        self._title, self._text = title, lines
        self.choices = (
            *choices,
            Choice("escape", "leave", ""),
            *(Choice(key, "leave", "") for key in ("q", "question_mark", "enter") if not choices),
        )
        self._keys = (*choices, Choice("escape", "leave", ""))

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(classes="box"):
            yield Told(id="title")
            yield Lines(id="text")
            yield Told(id="keys")

    def on_mount(self) -> None:
        """Fill it in."""
        self.query_one("#title", Told).tell([Cell(self._title, "bold")])
        self.query_one("#keys", Told).tell(keys_line(self._keys))
        text = self.query_one("#text", Lines)
        text.show(self._text)
        text.focus()
        self.call_after_refresh(self.on_resize)

    def on_resize(self) -> None:
        """Wrap to the width there is."""
        text = self.query_one("#text", Lines)
        text.show([part for line in self._text for part in wrapped(line, text.width)])
