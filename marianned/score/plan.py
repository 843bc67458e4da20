"""Plans what becomes of each sheet under a new score, both to show it and to do it.

Sheets of the two revisions are matched (matching.py); what differs is named by the aspects of a sheet's
definition. Linear in the sheets and their needs. Source: docs/reference/score-format.md §7.3,
docs/design/control.md §5.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from marianned import formatting
from marianned.protocol import PlanAction, PlanLine, SheetStatus
from marianned.score.expanded import ExpandedScore, SheetDefinition

_ASPECTS = ("prompt", "files", "instrument", "settings", "fallbacks", "validations", "needs", "skip", "retry")
_PLURAL = frozenset({"files", "settings", "fallbacks", "validations", "needs"})
_STAYS = (SheetStatus.COMPLETED, SheetStatus.SKIPPED)
_COMMAND = frozenset({"prompt", "files", "instrument", "settings", "skip"})
"""Aspects of what was run, or whether it was to run at all; the others are about what follows."""
THROWN_AWAY = "; its attempt that has succeeded is thrown away"
"""What a plan says of a sheet whose parked attempt it gives up, whatever the reason is."""
FAILED = ["failed"]
"""The reasons of a sheet that has failed, its definition unchanged, and runs again."""
JUDGED = ["judged"]
"""The reasons of a sheet that has failed by the judgement of its loop alone, where it is judged again."""
_STARTS_AGAIN = (SheetStatus.FAILED, SheetStatus.CANCELLED)


class SheetProgress(msgspec.Struct, frozen=True):
    """How far a sheet of the old revision has come; `begun`: it was attempted, or its skip rules evaluated.

    `parked`: it has an attempt that has succeeded and whose checks are still to run; `moved`: on a fallback;
    `judged_again`: only the judgement of its loop has failed it, and under the new score it may be another.
    """

    status: SheetStatus
    in_flight: bool
    begun: bool
    parked: bool = False
    moved: bool = False
    judged_again: bool = False


class RestoredSheet(NamedTuple):
    """A sheet that an earlier revision took out and the new one restores.

    `status` is the one it had then, `revision` that of its newest attempt.
    """

    status: SheetStatus
    revision: int | None


class RevisionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The lines to show, and what to do: which new sheet number is which old one.

    `restarts` are the new numbers of the sheets that return to pending with fresh tries; `rechecks` those
    whose attempt that has succeeded stays, and is checked by the new definition. `spaced` are done, and
    differ in white space only; `judged` have played their round, which is judged again. `rounds` says of
    loops what no line of a sheet does.
    """

    lines: list[PlanLine]
    matched: dict[int, int]
    restarts: list[int]
    rechecks: list[int] = []
    spaced: list[int] = []
    judged: list[int] = []
    rounds: list[str] = []


def plan_revision(
    old: ExpandedScore,
    new: ExpandedScore,
    matched: dict[int, int],
    standing: Mapping[int, SheetProgress],
    old_revision: int,
    variables: Sequence[str] = (),
    back: Mapping[int, RestoredSheet] | None = None,
) -> RevisionPlan:
    """Plan the change from `old`, whose sheets stand as `standing` says by number, to `new`.

    `matched` are, by new number, the old ones of those that are one of `old`; `back` sheets that are not in
    `old` and were done under an earlier revision;
    `variables` are those whose values alone make the difference, where that is so; the lines name them.
    Lines come in ascending new number; a sheet that is removed follows its neighbour of before.
    """
    old_sheets = {sheet.sheet: sheet for sheet in old.sheets}
    new_stages = {
        sheet.stage for sheet in new.sheets if sheet.sheet in matched or sheet.sheet in (back or ())
    }
    lines: dict[int, PlanLine] = {}
    restarts: list[int] = []
    rechecks: list[int] = []
    spaced: list[int] = []
    judged: list[int] = []
    for sheet in new.sheets:
        if back and sheet.sheet in back:
            lines[sheet.sheet] = _restored_line(sheet, back[sheet.sheet])
            continue
        if sheet.sheet not in matched:
            lines[sheet.sheet] = _added_line(sheet, stage_is_new=sheet.stage not in new_stages)
            continue
        before = old_sheets[matched[sheet.sheet]]
        stands = standing[before.sheet]
        differences = _differences(before, sheet, matched)
        line = _matched_line(
            before, sheet, stands, differences, old_revision, _differences_text(differences, variables)
        )
        lines[sheet.sheet] = line
        if line.action == PlanAction.KEPT and differences:
            spaced.append(sheet.sheet)
        if line.reasons == JUDGED:
            judged.append(sheet.sheet)
        if _is_rechecked(line, stands):
            rechecks.append(sheet.sheet)
        elif _restarts(line, stands):
            restarts.append(sheet.sheet)
    stages = {old_sheets[before].stage for before in matched.values()}
    removed = _removed_lines(old, stages, matched, standing, old_revision)
    ordered = list(removed[0])
    for number in sorted(lines):
        ordered.append(lines[number])
        ordered += removed[number]
    return RevisionPlan(
        lines=ordered, matched=matched, restarts=restarts, rechecks=rechecks, spaced=spaced, judged=judged
    )


def _differences(old: SheetDefinition, new: SheetDefinition, matched: Mapping[int, int]) -> list[str]:
    before, now = old.digests, new.digests
    differ = [] if before == now else [one for one in _ASPECTS if before.get(one) != now.get(one)]
    needs = tuple([matched.get(need) for need in new.needs])
    if needs != old.needs and {*needs} != {*old.needs} and "needs" not in differ:
        return [one for one in _ASPECTS if one == "needs" or one in differ]
    return differ


def _matched_line(
    old: SheetDefinition,
    new: SheetDefinition,
    stands: SheetProgress,
    differences: list[str],
    revision: int,
    words: str,
) -> PlanLine:
    runs = stands.status not in _STAYS
    reasons = differences
    if stands.in_flight:
        action, why, runs = PlanAction.IN_FLIGHT, f"finishes under revision {revision}", False
    elif differences and runs:
        action, why = PlanAction.CHANGED, f"{words}{_parked_text(stands, differences)}"
    elif differences == ["prompt"] and old.words and old.words == new.words:
        action, why = PlanAction.KEPT, f"prompt differs in white space only; {stands.status}, stays"
    elif differences:
        action, why = PlanAction.KEPT_CHANGED, f"{words}; {stands.status}, stays"
    elif stands.judged_again:
        action, why, reasons, runs = PlanAction.KEPT, "its round is judged again", JUDGED, False
    elif stands.status == SheetStatus.FAILED:
        action, why, reasons = PlanAction.CHANGED, "failed, runs again", FAILED
    else:
        again = "; its attempt has succeeded, its checks run again" if stands.parked else ""
        action, why = PlanAction.KEPT, f"definition unchanged{again}"
    return PlanLine(
        sheet=new.sheet,
        old_sheet=old.sheet,
        stage=new.stage,
        instance=new.instance,
        name=new.movement,
        status=stands.status,
        action=action,
        runs=runs,
        why=why,
        reasons=reasons,
    )


def _keeps_attempt(stands: SheetProgress, differences: Collection[str]) -> bool:
    """Tell whether an attempt that has succeeded is still one of this sheet: its command and prompt are."""
    told = stands.moved and "fallbacks" in differences
    return stands.parked and not told and not _COMMAND.intersection(differences)


def _parked_text(stands: SheetProgress, differences: Collection[str]) -> str:
    if not stands.parked:
        return ""
    if _keeps_attempt(stands, differences):
        return "; its attempt has succeeded, the new checks run on it"
    return THROWN_AWAY


def _is_rechecked(line: PlanLine, stands: SheetProgress) -> bool:
    """Tell whether a sheet begins anew beside its attempt, on which only the checks run."""
    anew = line.action == PlanAction.CHANGED or stands.status in _STARTS_AGAIN
    return line.runs and anew and _keeps_attempt(stands, line.reasons)


def _differences_text(differences: list[str], variables: Sequence[str]) -> str:
    one = len(differences) == 1 and differences[0] not in _PLURAL
    named = f" ({formatting.listing(variables)})" if variables else ""
    return f"{', '.join(differences)} {'differs' if one else 'differ'}{named}"


def _restarts(line: PlanLine, stands: SheetProgress) -> bool:
    """Tell whether a sheet begins anew: it had ended badly, or was tried under another definition."""
    if not line.runs:
        return False
    begun = stands.begun or stands.status != SheetStatus.PENDING
    return stands.status in _STARTS_AGAIN or (line.action == PlanAction.CHANGED and begun)


def _added_line(sheet: SheetDefinition, *, stage_is_new: bool) -> PlanLine:
    return PlanLine(
        sheet=sheet.sheet,
        old_sheet=None,
        stage=sheet.stage,
        instance=sheet.instance,
        name=sheet.movement,
        status=None,
        action=PlanAction.ADDED,
        runs=True,
        why=f"{_place_text(sheet, whole_stage=stage_is_new)} is new",
        reasons=["new"],
    )


def restored_line(line: PlanLine, revision: int | None) -> PlanLine:
    """Return the line of a sheet that is done and again what it was done as; `revision`: of its attempt."""
    why = f"is back as it was; {line.status}{_revision_text(revision)}, stays"
    return msgspec.structs.replace(line, action=PlanAction.KEPT, why=why, reasons=[])


def _revision_text(revision: int | None) -> str:
    return f" under revision {revision}" if revision is not None else ""


def _restored_line(sheet: SheetDefinition, stood: RestoredSheet) -> PlanLine:
    return PlanLine(
        sheet=sheet.sheet,
        old_sheet=None,
        stage=sheet.stage,
        instance=sheet.instance,
        name=sheet.movement,
        status=stood.status,
        action=PlanAction.KEPT,
        runs=False,
        why=f"is back as it was; {stood.status}{_revision_text(stood.revision)}, stays",
        reasons=[],
    )


def _removed_lines(
    old: ExpandedScore,
    stages: set[int],
    matched: Mapping[int, int],
    standing: Mapping[int, SheetProgress],
    revision: int,
) -> defaultdict[int, list[PlanLine]]:
    """Return the lines of the sheets that are gone, by the new number that they follow (0: none)."""
    new_numbers = {before: number for number, before in matched.items()}
    lines: defaultdict[int, list[PlanLine]] = defaultdict(list)
    neighbour = 0
    for sheet in old.sheets:
        if sheet.sheet in new_numbers:
            neighbour = new_numbers[sheet.sheet]
            continue
        stands = standing[sheet.sheet]
        gone = f"{_place_text(sheet, whole_stage=sheet.stage not in stages)} is gone"
        gone += THROWN_AWAY if stands.parked else ""
        lines[neighbour].append(
            PlanLine(
                sheet=None,
                old_sheet=sheet.sheet,
                stage=sheet.stage,
                instance=sheet.instance,
                name=sheet.movement,
                status=stands.status,
                action=PlanAction.REMOVED,
                runs=False,
                why=f"{gone}; finishes under revision {revision}" if stands.in_flight else gone,
                reasons=["gone"],
            )
        )
    return lines


def _place_text(sheet: SheetDefinition, *, whole_stage: bool) -> str:
    return f"stage {sheet.stage}" if whole_stage else f"instance {sheet.instance} of stage {sheet.stage}"
