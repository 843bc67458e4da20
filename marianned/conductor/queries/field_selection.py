"""Which keys of a reply are wanted: `status`, `sheets.needs`. What is not wanted is not looked up."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from marianned.errors import BadRequest
from marianned.formatting import did_you_mean
from marianned.protocol import JobDetails, Sheet

_ALWAYS = frozenset({"job_id", "event"})
_OWN = JobDetails.__struct_fields__
_OF_SHEETS = tuple(f"sheets.{name}" for name in Sheet.__struct_fields__)
T = TypeVar("T", bound=msgspec.Struct)


class FieldSelection:
    """The keys of JobDetails and of its sheets that somebody wants."""

    def __init__(self, fields: Iterable[str] | None, without: Iterable[str]) -> None:
        """Read the two lists.

        Raises:
            BadRequest: a name is none of a key.
        """
        asked = None if fields is None else _checked_names("fields", fields)
        dropped = _checked_names("without", without)
        sheets = asked is None or "sheets" in asked
        wanted = {*(_OWN if asked is None else asked), *(_OF_SHEETS if sheets else ()), *_ALWAYS}
        if any(name.startswith("sheets.") for name in wanted):
            wanted.add("sheets")
        wanted -= dropped - _ALWAYS
        self.all = asked is None and not dropped
        self._left_out = [name for name in _OWN if name not in wanted]
        of_sheets = [name for name in _OF_SHEETS if name not in wanted]
        self._left_out_of_sheets = [name.removeprefix("sheets.") for name in of_sheets]
        self._wanted = wanted

    def __contains__(self, name: str) -> bool:
        return name in self._wanted

    def of_sheets(self, name: str) -> bool:
        """Tell whether a key of the sheets is wanted."""
        return f"sheets.{name}" in self._wanted

    def leave_out(self, reply: JobDetails) -> JobDetails:
        """Return the reply with those keys alone; the others are unset, and so not sent."""
        if not self.all:
            _unset(reply, self._left_out)
            for sheet in reply.sheets if "sheets" in self else ():
                _unset(sheet, self._left_out_of_sheets)
        return reply


def _unset(struct: msgspec.Struct, names: Iterable[str]) -> None:
    for name in names:
        setattr(struct, name, msgspec.UNSET)


def _checked_names(param: str, names: Iterable[str]) -> set[str]:
    names_given = set(names)
    for name in sorted(names_given):
        if name not in _OWN and name not in _OF_SHEETS:
            near = did_you_mean(name, [*_OWN, *_OF_SHEETS])
            raise BadRequest(f"{param}: job.status has no '{name}'{f'; {near}' if near else ''}")
    return names_given


def unchanged_reply(job_id: str, event: int) -> JobDetails:
    """Return the reply that says no more than that nothing has changed."""
    nothing = dict.fromkeys(_OWN, msgspec.UNSET)
    return JobDetails(**{**nothing, "job_id": job_id, "event": event, "unchanged": True})  # type: ignore[arg-type]
