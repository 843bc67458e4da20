"""SHEETS: which sheets a caller names, as `2,5-7`, `2.1`, `3.all` (docs/design/cli.md §4)."""

import re

from marianned.errors import BadRequest
from marianned.score.expanded import Expanded

_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?")
_INSTANCE = re.compile(r"(\d+)\.(\d+|all)")


def select(text: str, score: Expanded) -> list[int]:
    """Return the sheet numbers that `text` names, ascending, each once.

    Raises:
        BadRequest: it is no such list, or names a sheet that the score does not have.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        found = _part(part.strip(), score)
        if not found:
            raise BadRequest(
                f"there is no sheet '{part.strip()}'; the score has sheets 1-{len(score.sheets)}, "
                f"stages 1-{score.total_stages}; write 2,5-7 or 2.1,3.all"
            )
        chosen |= found
    return sorted(chosen)


def _part(part: str, score: Expanded) -> set[int]:
    last = len(score.sheets)
    if numbers := _NUMBERS.fullmatch(part):
        first, end = int(numbers[1]), int(numbers[2] or numbers[1])
        return set(range(first, end + 1)) if 1 <= first <= end <= last else set()
    if instance := _INSTANCE.fullmatch(part):
        return {
            sheet.sheet
            for sheet in score.sheets
            if sheet.stage == int(instance[1]) and instance[2] in ("all", str(sheet.instance))
        }
    return set()
