"""What is wrong in a score, with its place; `marianned.errors` has it too."""

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong in a score, with its place."""

    code: str
    """Its code, as `S102` (docs/reference/score-format.md §25), or that of an error."""
    severity: str
    """`error` or `warning`."""
    message: str
    """What is wrong, for people."""
    file: str
    """The score file, or another one that it names."""
    line: int | None = None
    """Line of that file, from 1; null: it is about no line."""
    column: int | None = None
    """Column of that line, from 1; null: it is about no line."""
    path: str | None = None
    """Place in the score, as `sheet.fan_out.2`; null: it is about none."""
    sheets: list[int] = []
    """Numbers of the sheets concerned; empty: it is about none in particular."""
    names: list[str] = []
    """Names of their stages, each once; empty: they have none."""
    hint: str | None = None
    """What to do; null: nothing is known."""
