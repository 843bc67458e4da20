"""What is wrong in a score or a profile, with its place, and how severe each kind of it is.

`marianned.errors` has `Problem`, too. Source: docs/reference/score-format.md §25.
"""

from collections.abc import Iterable

import msgspec

ERROR = "error"
WARNING = "warning"

SEVERITIES = {
    "S001": ERROR,
    "S002": ERROR,
    "S003": ERROR,
    "S004": ERROR,
    "S005": ERROR,
    "S006": ERROR,
    "S010": ERROR,
    "S011": ERROR,
    "S012": ERROR,
    "S013": ERROR,
    "S014": ERROR,
    "S015": ERROR,
    "S016": ERROR,
    "S017": ERROR,
    "S018": WARNING,
    "S019": WARNING,
    "S020": ERROR,
    "S101": ERROR,
    "S102": ERROR,
    "S103": ERROR,
    "S104": ERROR,
    "S105": ERROR,
    "S106": ERROR,
    "S107": ERROR,
    "S108": ERROR,
    "S109": WARNING,
    "S110": WARNING,
    "S111": ERROR,
    "S112": WARNING,
    "S113": ERROR,
    "S201": ERROR,
    "S202": ERROR,
    "S203": ERROR,
    "S204": ERROR,
    "S205": ERROR,
    "S206": ERROR,
    "S207": WARNING,
    "S208": WARNING,
    "S209": WARNING,
    "S210": WARNING,
    "S212": WARNING,
    "S213": WARNING,
    "S214": WARNING,
    "S215": ERROR,
    "S216": ERROR,
    "S217": ERROR,
    "S218": ERROR,
    "S219": WARNING,
    "S220": WARNING,
    "S301": ERROR,
    "S302": WARNING,
    "S303": ERROR,
    "S304": ERROR,
    "S305": ERROR,
    "S306": WARNING,
    "S307": WARNING,
    "S308": ERROR,
    "S401": ERROR,
    "S402": WARNING,
    "S403": WARNING,
    "S404": WARNING,
    "S405": ERROR,
    "S406": WARNING,
    "S407": WARNING,
    "S408": WARNING,
    "S409": WARNING,
    "S410": WARNING,
    "S411": WARNING,
    "S412": ERROR,
    "S501": WARNING,
    "S502": WARNING,
    "S503": WARNING,
    "S504": WARNING,
    "S506": WARNING,
    "S507": WARNING,
    "S509": WARNING,
    "S510": WARNING,
    "S511": ERROR,
    "S512": WARNING,
    "S513": WARNING,
    "S514": WARNING,
    "S515": ERROR,
    "S516": WARNING,
    "S517": WARNING,
    "S601": WARNING,
    "S602": WARNING,
    "S603": ERROR,
    "S604": WARNING,
}
"""The severity that each code always has; its meaning and its cure are told in tests/docs/score_codes.py."""


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


def severity_of(code: str) -> str:
    """Return the severity that a code always has; a code without one is a bug of ours."""
    return SEVERITIES[code]


def make_problem(
    code: str,
    message: str,
    file: str,
    *,
    line: int | None = None,
    column: int | None = None,
    path: str | None = None,
    sheets: Iterable[int] = (),
    hint: str | None = None,
) -> Problem:
    """Return the problem of a code, with the severity that the code always has."""
    return Problem(
        code=code,
        severity=severity_of(code),
        message=message,
        file=file,
        line=line,
        column=column,
        path=path,
        sheets=sorted(sheets),
        hint=hint,
    )
