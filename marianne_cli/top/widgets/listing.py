"""Widgets of lines: text in colours, and rows with columns and a cursor; only what is seen is drawn."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from marianne_cli.top.model.cells import Cell, Column, Line, Row, plain_text
from marianne_cli.top.widgets.theme import ThemeStyles, safe_text, theme_styles_of


def cut(text: str, width: int) -> str:
    """Return a text in exactly so many cells, with an ellipsis where it is cut."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


_MOVES: list[BindingType] = [
    Binding("j,down", "move(1)", "down", show=False),
    Binding("k,up", "move(-1)", "up", show=False),
    Binding("ctrl+d,pagedown", "page(1)", "page down", show=False),
    Binding("ctrl+u,pageup", "page(-1)", "page up", show=False),
    Binding("g,home", "end(-1)", "to the beginning", show=False),
    Binding("G,end", "end(1)", "to the end", show=False),
]


class LineView(ScrollView, can_focus=True):
    """Lines of text that can be scrolled and selected with the mouse."""

    BINDINGS: ClassVar[list[BindingType]] = _MOVES
    DEFAULT_CSS = """
    LineView { scrollbar-size: 1 1; overflow-x: hidden; scrollbar-gutter: stable; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()

    @property
    def theme_styles(self) -> ThemeStyles:
        """The styles of the theme."""
        return theme_styles_of(self.app)

    @property
    def width(self) -> int:
        """Columns that a line has: those of the widget without its scrollbar's."""
        return self.scrollable_size.width

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines, from where one has scrolled to."""
        self._lines = lines
        self.virtual_size = Size(self.width, len(lines))
        self.refresh()

    def text_lines(self) -> list[str]:
        """Return what is shown, all of it, as text."""
        return [plain_text(line) for line in self._lines]

    # --- moving -----------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Scroll by lines."""
        self.scroll_to(y=self.scroll_offset.y + by, animate=False)

    def action_page(self, by: int) -> None:
        """Scroll by pages."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_end(self, to: int) -> None:
        """Scroll to one of both ends."""
        self.scroll_to(y=0 if to < 0 else self.max_scroll_y, animate=False)

    # --- drawing ----------------------------------------------------------------------------------

    def line_at(self, index: int) -> Line:
        """Return a line."""
        return self._lines[index]

    def render_line(self, y: int) -> Strip:
        """Draw the line at a height of the screen."""
        index = self.scroll_offset.y + y
        base = self.rich_style
        if index >= self.virtual_size.height:
            return Strip.blank(self.width, base)
        return self.draw_line(self.line_at(index), index, base).apply_offsets(0, index)

    def draw_line(self, line: Line, index: int, base: Style) -> Strip:
        """Draw a line, with what is selected of it."""
        segments = [Segment(safe_text(cell), base + self.theme_styles.style(cell.style)) for cell in line]
        strip = Strip(segments).crop_extend(0, self.width, base)
        selection = self.text_selection
        span = None if selection is None else selection.get_span(index)
        if span is None:
            return strip
        start, end = span
        chosen = self.screen.get_component_rich_style("screen--selection")
        end = strip.cell_length if end == -1 else end
        parts = [strip.crop(0, start), strip.crop(start, end).apply_style(chosen), strip.crop(end)]
        return Strip.join(parts)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text that is selected."""
        return selection.extract("\n".join(self.text_lines())), "\n"

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002  Textual's signature
        """Draw what is selected."""
        self.refresh()


class RowTable(LineView):
    """Rows in columns below a head that stays, with a cursor that keeps to its row whatever comes or goes."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "open", show=False)]
    cursor: reactive[int] = reactive(0)

    class RowHighlighted(Message):
        """The cursor is at another row."""

        def __init__(self, rows: "RowTable", key: Hashable) -> None:
            super().__init__()
            self.rows, self.key = rows, key

    class RowSelected(Message):
        """A row was chosen, with Enter or a click on the row with the cursor."""

        def __init__(self, rows: "RowTable", key: Hashable) -> None:
            super().__init__()
            self.rows, self.key = rows, key

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns = columns
        self._rows: Sequence[Row] = ()
        self._widths: list[int] = [0] * len(columns)
        self._key: Hashable = None

    @property
    def key(self) -> Hashable:
        """The row at the cursor; null: there is none."""
        return self._key

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Use other columns from the next rows on."""
        if columns is not self._columns:
            self._columns, self._rows = columns, ()

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows. The cursor stays at its row, or at its place where that is gone."""
        above = self.cursor - self.scroll_offset.y
        self._rows = rows
        self._measure()
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        place = next((at for at, row in enumerate(rows) if row.key == self._key), None)
        if place is None or self._key is None:
            place = self._nearest(min(self.cursor, len(rows) - 1), 1)
        elif place != self.cursor and self.scroll_offset.y:
            self.scroll_to(y=place - above, animate=False, immediate=True)
        self._set_cursor(place)
        self.refresh()

    def put_cursor(self, key: Hashable) -> None:
        """Move the cursor to a row, if it is there."""
        for place, row in enumerate(self._rows):
            if row.key == key:
                self._set_cursor(place)
                self._uncover()
                return

    def _set_cursor(self, place: int) -> None:
        self.cursor = max(0, place)
        key = self._rows[place].key if 0 <= place < len(self._rows) else None
        if key != self._key:
            self._key = key
            self.post_message(self.RowHighlighted(self, key))
        self.refresh()

    def _nearest(self, place: int, direction: int) -> int:
        """Return the nearest row that can be chosen, from a place on in one direction, else in the other."""
        count = len(self._rows)
        place = max(0, min(place, count - 1))
        for step in (direction, -direction):
            at = place
            while 0 <= at < count:
                if self._rows[at].key is not None:
                    return at
                at += step
        return -1

    def _uncover(self) -> None:
        """Scroll as far as the cursor's row is seen, a row above it too: it may be a title."""
        top, rows = self.scroll_offset.y, self.size.height - 1
        at = self.cursor
        if at - 1 < top:
            self.scroll_to(y=max(0, at - 1), animate=False, immediate=True)
        elif at >= top + rows:
            self.scroll_to(y=at - rows + 1, animate=False, immediate=True)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._set_cursor(self._nearest(self.cursor + by, 1 if by > 0 else -1))
        self._uncover()

    def action_end(self, to: int) -> None:
        """Move the cursor to one of both ends."""
        self._set_cursor(self._nearest(0 if to < 0 else len(self._rows) - 1, -to))
        self._uncover()

    def action_choose(self) -> None:
        """Choose the row at the cursor."""
        if self._key is not None:
            self.post_message(self.RowSelected(self, self._key))

    async def _on_click(self, event: events.Click) -> None:
        at = self.scroll_offset.y + event.y - 1
        if event.y < 1 or at >= len(self._rows) or self._rows[at].key is None:
            return
        again = at == self.cursor and event.chain > 1
        self._set_cursor(at)
        if again:
            self.action_choose()

    def on_resize(self) -> None:
        """Set the columns anew."""
        self._measure()
        self._uncover()

    # --- drawing ----------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Give each column what its widest cell takes; the last one the rest."""
        widths = []
        rows = [row.cells for row in self._rows if len(row.cells) > 1]
        for place, column in enumerate(self._columns):
            has_room = self.size.width >= column.shown_from
            if place == len(self._columns) - 1:  # its texts are long, and how long is not asked
                widest = int(any(cells[place].text for cells in rows))
            else:
                widest = max((cell_len(cells[place].text) for cells in rows), default=0)
            widths.append(min(column.most, max(widest, cell_len(column.head))) if has_room and widest else 0)
        self._widths = widths

    def render_line(self, y: int) -> Strip:
        """Draw the heads, or a row below them."""
        base = self.rich_style
        if not y:
            heads = [Cell(column.head, "dim") for column in self._columns]
            return Strip(self._segments(heads, base)).crop_extend(0, self.width, base)
        index = self.scroll_offset.y + y - 1
        if index >= len(self._rows):
            return Strip.blank(self.width, base)
        row = self._rows[index]
        at_cursor = index == self.cursor and row.key is not None
        if at_cursor:
            base = self._cursor_style(base)
        one = len(row.cells) == 1
        segments = (
            [Segment(safe_text(row.cells[0]), base + self.theme_styles.style(row.cells[0].style))]
            if one
            else self._segments(row.cells, base)
        )
        return Strip(segments).crop_extend(0, self.width, base)

    def _cursor_style(self, base: Style) -> Style:
        if self.app.no_color:
            return base + Style(reverse=True) if self.has_focus else base + Style(underline=True)
        name = "rows--cursor" if self.has_focus else "rows--shadow"
        return base + self.get_component_rich_style(name)

    def _segments(self, cells: Sequence[Cell], base: Style) -> list[Segment]:
        segments: list[Segment] = []
        left = self.width
        last = max((place for place, width in enumerate(self._widths) if width), default=-1)
        for place, cell in enumerate(cells):
            width = self._widths[place]
            if not width or left <= 0:
                continue
            column = self._columns[place]
            width = left if place == last else min(width, left)
            text = safe_text(cell)
            text = text.rjust(width) if column.right and place != last else text
            segments.append(Segment(cut(text, width), base + self.theme_styles.style(cell.style)))
            left -= width
            if place != last and left > 0:
                gap = min(1 if column.head == "" else 2, left)
                segments.append(Segment(" " * gap, base))
                left -= gap
        return segments

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--shadow"}
    DEFAULT_CSS = """
    RowTable { scrollbar-gutter: auto; }
    RowTable .rows--cursor { background: $primary 30%; text-style: bold; }
    RowTable .rows--shadow { background: $panel; }
    """
