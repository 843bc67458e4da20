"""SHEETS: which sheets a caller names, as `2,5-7`, `2.1`, `3.all`, `review.all` (docs/design/cli.md §4)."""

import re
from collections.abc import Sequence

from marianned.errors import BadRequest
from marianned.formatting import did_you_mean, listing
from marianned.score.expanded import ExpandedScore

_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?")
_INSTANCE = re.compile(r"([^.]+)\.(\d+|all)")
_SHEETS_HINT = "mzt help sheets"
_UNTYPED = re.compile(r"[\s.,]")
WORDS = frozenset({"all", "changed", "hooks"})
"""What means something else wherever sheets are named, and is no stage's name there."""


def select(text: str, score: ExpandedScore) -> list[int]:
    """Return the sheet numbers that `text` names, ascending, each once.

    Raises:
        BadRequest: it is no such list, or names a sheet that the score does not have, or not one alone.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        found = _parse_part(part.strip(), score)
        if not found:
            raise _no_such_sheet(part.strip(), score)
        chosen |= found
    return sorted(chosen)


def selectors(score: ExpandedScore) -> list[str]:
    """Return the names of stages that can be typed as SHEETS, in the order of the stages."""
    return [
        name for name, stages in _stages_by_name(score).items() if len(stages) == 1 and _can_be_typed(name)
    ]


def _parse_part(part: str, score: ExpandedScore) -> set[int]:
    last = len(score.sheets)
    if numbers := _NUMBERS.fullmatch(part):
        first, end = int(numbers[1]), int(numbers[2] or numbers[1])
        return set(range(first, end + 1)) if 1 <= first <= end <= last else set()
    instance = _INSTANCE.fullmatch(part)
    stage, which = (instance[1], instance[2]) if instance else (part, "all")
    number = int(stage) if stage.isdecimal() else _stage_number(stage, score)
    return {
        sheet.sheet
        for sheet in score.sheets
        if sheet.stage == number and which in ("all", str(sheet.instance))
    }


def _stage_number(name: str, score: ExpandedScore) -> int | None:
    """Return the number of the stage of that name; null: no stage has it.

    Raises:
        BadRequest: two have.
    """
    stages = _stages_by_name(score).get(name, []) if _can_be_typed(name) else []
    if len(stages) > 1:
        raise BadRequest(
            f"{_name_text(name, stages)}; write {' or '.join(f'{stage}.all' for stage in stages)}",
            hints=[_SHEETS_HINT],
        )
    return stages[0] if stages else None


def _stages_by_name(score: ExpandedScore) -> dict[str, list[int]]:
    """Return which stages have a name: that of `movements`, else a description that is all their sheets'."""
    said: dict[int, set[str | None]] = {}
    for sheet in score.sheets:
        said.setdefault(sheet.stage, set()).add(sheet.movement or sheet.label)
    named: dict[str, list[int]] = {}
    for stage, names in said.items():
        name = names.pop() if len(names) == 1 else None
        if name:
            named.setdefault(name, []).append(stage)
    return named


def _can_be_typed(name: str) -> bool:
    return name not in WORDS and not _UNTYPED.search(name) and not _NUMBERS.fullmatch(name)


def _name_text(name: str, stages: Sequence[int]) -> str:
    listed = listing([str(stage) for stage in stages])
    return f"'{name}' is the name of stage{'s' if len(stages) > 1 else ''} {listed}"


def _no_such_sheet(part: str, score: ExpandedScore) -> BadRequest:
    """Say why a part names nothing, and what would."""
    if stages := _stages_by_name(score).get(part):  # a name, but none that can be told from other selectors
        return BadRequest(
            f"{_name_text(part, stages)} and can't be typed; write {stages[0]}.all", hints=[_SHEETS_HINT]
        )
    known = selectors(score)
    near = did_you_mean(part.partition(".")[0], known)
    names = f", named {listing(known)}" if known else ""
    return BadRequest(
        f"there is no sheet '{part}'; the score has sheets 1-{len(score.sheets)}, "
        f"stages 1-{score.total_stages}{names}; {near or 'write 2,5-7 or 2.1,3.all'}",
        hints=[_SHEETS_HINT],
    )
