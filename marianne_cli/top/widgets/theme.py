"""Colours and text styles by their names, in the colours of a Textual theme."""

from collections.abc import Mapping
from typing import Protocol, cast

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from marianne_cli import terminal
from marianne_cli.top.model.cells import Cell

DARK = Theme(
    name="marianne",
    primary="#7aa2f7",
    secondary="#8fa1c7",
    accent="#bb9af7",
    success="#9ece6a",
    warning="#e0af68",
    error="#f7768e",
    foreground="#c8cfe4",
    background="#16181f",
    surface="#1b1e27",
    panel="#252a37",
    dark=True,
)
_COLOURS = {
    "good": "success",
    "run": "primary",
    "warn": "warning",
    "bad": "error",
    "accent": "accent",
    "key": "footer-key-foreground",
}
_ATTRIBUTES = {
    "dim": Style(dim=True),
    "bold": Style(bold=True),
    "reverse": Style(reverse=True),
    "under": Style(underline=True),
}


class ThemeStyles:
    """Styles by their names, in the colours of a theme: words like `warn bold`, empty for plain text."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._known: dict[str, Style] = {"": Style.null()}

    def style(self, name: str) -> Style:
        """Return a style by its name."""
        if name not in self._known:
            self._known[name] = Style.combine(self._part(word) for word in name.split())
        return self._known[name]

    def _part(self, word: str) -> Style:
        if word in _COLOURS:
            return Style(color=Color.parse(self._variables[_COLOURS[word]]).rich_color)
        return _ATTRIBUTES[word]


def safe_text(cell: Cell) -> str:
    """Return a cell's text as a terminal may have it: the last place before it, whatever came in where."""
    return terminal.line(cell.text)


class _StyledApp(Protocol):
    theme_styles: ThemeStyles


def theme_styles_of(app: object) -> ThemeStyles:
    """Return the styles of the app that a widget is in: the one app of this package has them."""
    return cast("_StyledApp", app).theme_styles
