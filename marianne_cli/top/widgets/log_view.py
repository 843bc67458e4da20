"""The widget that shows an output: at its end it follows, scrolled up it stays; searched and filtered."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, chop_cells
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from marianne_cli.top.model.cells import Cell, Line
from marianne_cli.top.output import OutputBuffer, OutputLine, SearchPattern
from marianne_cli.top.widgets.listing import LineView

_STYLES = {"tool": "run", "result": "dim", "note": "dim", "error": "bad"}
_EARLIER = -1
_BEGUN = -2


class WrappedRow(NamedTuple):
    """A row of the screen: a part of a line that is wrapped."""

    line: int
    start: int
    end: int


class LogView(LineView):
    """Shows an `OutputBuffer`; `following` is whether it stays at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "hit(1)", "next match", show=False),
        Binding("N", "hit(-1)", "match before", show=False),
        Binding("f", "only", "only matches", show=False),
        Binding("w", "wrap", "wrap", show=False),
        Binding("l", "screen.pager", "pager", show=False),
        Binding("less_than_sign", "earlier", "further back", show=False),
    ]

    class EarlierRequested(Message):
        """The person asks for lines before the first one shown."""

    class SearchChanged(Message):
        """Another text is searched for."""

    class StatusChanged(Message):
        """The search's matches, or whether the end is followed, may have changed."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.output = OutputBuffer()
        self.following = True
        self.wraps = True
        self.only = False
        self.pattern = SearchPattern("")
        self.in_all: str | None = None
        """How many lines of the whole output match, where not all of it is here; null: not known."""
        self._pieces: list[WrappedRow] = []
        self._seen = 0
        self._dropped = 0
        self._width = 0
        self._tail = 0
        self._hits: list[int] = []
        self._hit: int | None = None

    def show_output(self, output: OutputBuffer) -> None:
        """Show another output, from its end on."""
        self.output = output
        self.following = True
        self._hit = self.in_all = None
        self._rebuild()

    def show_new_lines(self) -> None:
        """Show what has come."""
        if self.output.dropped != self._dropped or self.width != self._width:
            self._rebuild()
        else:
            self._extend()

    def find(self, text: str) -> None:
        """Mark a text; from the end, or from what is seen, to the nearest line before."""
        self.pattern = SearchPattern(text)
        self._hit = None
        self.in_all = None
        self._rebuild()
        self.post_message(self.SearchChanged())
        if text and self._hits:
            self.action_hit(-1)

    def search_status(self) -> str:
        """Say what was found, of what."""
        if not self.pattern.text:
            return ""
        of = f"{len(self.output.lines):,} lines"
        before = "" if not self.output.earlier else " shown"
        which = "" if self._hit is None else f"{self._hits.index(self._hit) + 1} of "
        only = ", the others hidden" if self.only else ""
        in_all = f", {self.in_all} in all of it" if self.in_all and before else ""
        return f"/{self.pattern.text}: {which}{len(self._hits):,} matching in the {of}{before}{in_all}{only}"

    def text_lines(self) -> list[str]:
        """Return the rows that are shown as text."""
        return [self._text_of(piece) for piece in self._pieces]

    def shown_text(self) -> str:
        """Return the lines that are shown, each whole."""
        lines = self._hits if self.only and self.pattern.text else range(len(self.output.lines))
        return "\n".join(self.output.lines[line].text for line in lines) + "\n"

    # --- rows -------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Wrap anew."""
        if self.width != self._width:
            self._rebuild()
        elif self.following:
            self.action_end(1)

    def _rebuild(self) -> None:
        """Set all rows anew; the line at the top stays there."""
        at = self._pieces[self.scroll_offset.y].line if self.scroll_offset.y < len(self._pieces) else 0
        shift = self.output.dropped - self._dropped
        self._dropped, self._width = self.output.dropped, self.width
        self._pieces, self._hits, self._seen, self._tail = [], [], 0, 0
        if self.output.earlier:
            self._pieces.append(WrappedRow(_EARLIER, 0, 0))
        self._extend()
        if not self.following:
            wanted = max(0, at - shift)
            place = next((row for row, piece in enumerate(self._pieces) if piece.line >= wanted), 0)
            self.scroll_to(y=place, animate=False, immediate=True)

    def _extend(self) -> None:
        if self._tail:
            del self._pieces[-self._tail :]
        lines = self.output.lines
        for number in range(self._seen, len(lines)):
            matches = self.pattern.is_in(lines[number].text)
            if matches:
                self._hits.append(number)
            if matches or not (self.only and self.pattern.text):
                self._pieces += self._wrapped_rows(number, lines[number].text)
        self._seen = len(lines)
        last = list(self._wrapped_rows(_BEGUN, self.output.begun)) if self.output.begun else []
        self._pieces += last
        self._tail = len(last)
        self.virtual_size = Size(self.width, len(self._pieces))
        if self.following:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.StatusChanged())

    def _wrapped_rows(self, number: int, text: str) -> Iterator[WrappedRow]:
        width = self.width
        if not self.wraps or width <= 0 or (len(text) * 2 <= width) or cell_len(text) <= width:
            yield WrappedRow(number, 0, len(text))
            return
        start = 0
        for part in chop_cells(text, width):
            yield WrappedRow(number, start, start + len(part))
            start += len(part)

    def _text_of(self, piece: WrappedRow) -> str:
        return self._line_of(piece).text[piece.start : piece.end]

    def _line_of(self, piece: WrappedRow) -> OutputLine:
        if piece.line == _EARLIER:
            return OutputLine("note", self.output.earlier)
        if piece.line == _BEGUN:
            return OutputLine("plain", self.output.begun)
        return self.output.lines[piece.line]

    def line_at(self, index: int) -> Line:
        """Return a row, with what matches marked."""
        piece = self._pieces[index]
        told = self._line_of(piece)
        style = _STYLES.get(told.kind, "")
        if piece.line == _EARLIER:
            return [Cell(f"↑ {told.text}", "dim")]
        text = told.text[piece.start : piece.end]
        cells: list[Cell] = []
        at = 0
        mark = "accent reverse bold" if piece.line == self._hit else "warn reverse"
        for start, end in self.pattern.spans(told.text):
            first, last = max(start, piece.start) - piece.start, min(end, piece.end) - piece.start
            if first < last:
                cells += [Cell(text[at:first], style), Cell(text[first:last], mark)]
                at = last
        return [*cells, Cell(text[at:], style)]

    # --- moving -----------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow where the end is seen, and only there."""
        super().watch_scroll_y(old_value, new_value)
        follows = new_value >= self.max_scroll_y - 0.5
        if follows != self.following:
            self.following = follows
            self.post_message(self.StatusChanged())

    def action_hit(self, by: int) -> None:
        """Go to the next match, or the one before; from what is seen, where none is marked."""
        if not self._hits:
            return
        if self._hit in self._hits:
            place = (self._hits.index(self._hit) + by) % len(self._hits)
        else:
            at = min(self.scroll_offset.y + self.size.height, len(self._pieces)) - 1
            line = self._pieces[at].line if at >= 0 else 0
            seen = [place for place, hit in enumerate(self._hits) if hit <= (line if line >= 0 else hit)]
            place = seen[-1] if seen else 0
        self._hit = self._hits[place]
        row = next((row for row, piece in enumerate(self._pieces) if piece.line == self._hit), 0)
        if not self.scroll_offset.y <= row < self.scroll_offset.y + self.size.height:
            self.scroll_to(y=max(0, row - self.size.height // 2), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.StatusChanged())

    def action_only(self) -> None:
        """Show the lines that match alone, or all again."""
        if self.pattern.text:
            self.only = not self.only
            self._rebuild()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.wraps = not self.wraps
        self._rebuild()

    def action_earlier(self) -> None:
        """Ask for what lies before the first line."""
        if self.output.before and not self.output.dropped:
            self.post_message(self.EarlierRequested())

    def show_earlier(self, output: OutputBuffer) -> None:
        """Show the same output read from further back, from where one is."""
        before = len(self.output.lines)
        self.output = output
        self._hit = None
        self._dropped = output.dropped
        at = self.scroll_offset.y
        rows = len(self._pieces)
        self.following = False
        self._rebuild()
        if len(output.lines) > before:
            self.scroll_to(y=max(0, at + len(self._pieces) - rows), animate=False, immediate=True)
