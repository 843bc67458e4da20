"""Which instrument plays a sheet, with which settings, and what it falls back to.

Source: docs/reference/score-format.md §8.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from marianned.instruments import command_line
from marianned.instruments.profile import Profile
from marianned.score.check.sheet_layout import SheetPosition
from marianned.score.read.common_mistakes import INSTRUMENTS
from marianned.score.read.model import INSTRUMENT_SPECIFIC, Score
from marianned.score.read.report import ProblemReport
from marianned.yaml_tree import KeyPath

DEFAULT = "claude-code"
OLDER_NAMES = {"claude_cli": "claude-code"}
_NOT_SETTINGS = {"type", "sheet_overrides", "ollama", "recursive_light"}
_SYNONYMS = {"model": "cli_model", "cli_model": "model"}
_DEFAULT_TIMEOUT = 1800.0
_LEFT_OUT = {
    "S406": "the fallback '{}' is the instrument itself",
    "S407": "the fallback '{}' is an agent, and the sheet runs a program: it will not be used",
}


class NamedInstrument(NamedTuple):
    """What an instrument's name stands for: a profile, and the config of an alias (with its path)."""

    profile: Profile
    config: dict[str, Any]
    path: KeyPath


class SettingsLayer(NamedTuple):
    """Settings of one place; `owner` is the profile that its instrument-specific keys are for (null: any)."""

    settings: dict[str, Any]
    path: KeyPath
    owner: str | None = None


class InstrumentReference(NamedTuple):
    """An instrument as §8.2 selects it: its name, where that stands, at which level."""

    name: str
    path: KeyPath
    level: str


class ResolvedInstrument(NamedTuple):
    """The instrument of a sheet; `origins` tells where each setting comes from."""

    selected: InstrumentReference
    profile: Profile
    settings: dict[str, Any]
    origins: dict[str, KeyPath]
    timeout_seconds: float
    fallbacks: "tuple[ResolvedFallback, ...]"


class ResolvedFallback(NamedTuple):
    """A fallback of a sheet, with its settings, among them its time limit; `origins` as above."""

    profile: Profile
    settings: dict[str, Any]
    origins: dict[str, KeyPath]


class InstrumentResolver:
    """Resolves the instrument of each sheet of a score; unknown names are reported once, at the start."""

    def __init__(self, score: Score, profiles: dict[str, Profile], report: ProblemReport) -> None:
        self.score = score
        self.profiles = profiles
        self.backend = {k: v for k, v in (score.backend or {}).items() if k not in _NOT_SETTINGS}
        self.overrides: dict[int, dict[str, Any]] = (score.backend or {}).get("sheet_overrides", {})
        self.mapped = self._instrument_map(report)
        self.left_out: dict[tuple[str, KeyPath, str], list[int]] = {}
        self._chosen: dict[tuple[InstrumentReference, int | None], ResolvedInstrument] = {}
        named = [*self._references()]
        for selected in named:
            self._check_name(selected, report, "S401")
        for path, names in self._fallback_lists():
            for index, name in enumerate(names):
                self._check_name(InstrumentReference(name, (*path, index), ""), report, "S402")
        chained = {name for _, names in self._fallback_lists() for name in names} - {
            one.name for one in named
        }
        for name, alias in score.instruments.items():
            reference = InstrumentReference(alias.profile, ("instruments", name, "profile"), "alias")
            self._check_name(reference, report, "S402" if name in chained else "S401")
        self._check_type(report)

    def lookup(self, name: str) -> NamedInstrument | None:
        """Return what a name stands for: an alias first, then a profile."""
        alias = self.score.instruments.get(name)
        profile = self.profiles.get(_current_name(alias.profile if alias else name))
        if profile is None:
            return None
        return NamedInstrument(profile, alias.config if alias else {}, ("instruments", name, "config"))

    def resolve(self, position: SheetPosition) -> ResolvedInstrument | None:
        """Return the instrument of a sheet and its settings; None when its name is unknown.

        Sheets for which the score says the same share one, unless something names a sheet.
        """
        selected = self.select(position)
        named = self.lookup(selected.name)
        if named is None:
            return None
        shared = (selected, position.stage if position.stage in self.score.movements else None)
        known = None if self._has_own_settings(position) else self._chosen.get(shared)
        if known is None:
            known = self._resolve(position, selected, named)
            if not self._has_own_settings(position) and "timeout_overrides" not in known.settings:
                self._chosen[shared] = known
        return known

    def _has_own_settings(self, position: SheetPosition) -> bool:
        """Tell whether something is said of this sheet alone, or of each for itself."""
        sheet = self.score.sheet
        own = position.sheet in sheet.per_sheet_instrument_config or position.sheet in self.overrides
        return own or bool(self.fallback_names(position)[1])

    def _resolve(
        self, position: SheetPosition, selected: InstrumentReference, named: NamedInstrument
    ) -> ResolvedInstrument:
        settings, origins = self._merge_settings(position, named, selected.level)
        return ResolvedInstrument(
            selected,
            named.profile,
            settings,
            origins,
            self._timeout(position, settings, named.profile),
            tuple(self._fallbacks(position, _identity(named.profile, settings), named.profile)),
        )

    def select(self, position: SheetPosition) -> InstrumentReference:
        """Select by §8.2: sheet, map, movement, score, backend, default."""
        sheet = self.score.sheet
        if position.sheet in sheet.per_sheet_instruments:
            path: KeyPath = ("sheet", "per_sheet_instruments", position.sheet)
            return InstrumentReference(sheet.per_sheet_instruments[position.sheet], path, "sheet")
        if position.sheet in self.mapped:
            name = self.mapped[position.sheet]
            return InstrumentReference(name, ("sheet", "instrument_map", name), "sheet")
        movement = self.score.movements.get(position.stage)
        if movement is not None and movement.instrument:
            return InstrumentReference(
                movement.instrument, ("movements", position.stage, "instrument"), "movement"
            )
        return self._score_reference()

    def fallback_names(self, position: SheetPosition) -> tuple[KeyPath, list[str]]:
        """Return the fallbacks of a sheet as written, and where: the first list that is given (§8.4)."""
        own = self.score.sheet.per_sheet_fallbacks.get(position.sheet)
        if own is not None:
            return ("sheet", "per_sheet_fallbacks", position.sheet), own
        movement = self.score.movements.get(position.stage)
        if movement is not None and movement.instrument_fallbacks is not None:
            return ("movements", position.stage, "instrument_fallbacks"), movement.instrument_fallbacks
        return ("instrument_fallbacks",), self.score.instrument_fallbacks

    def _score_reference(self) -> InstrumentReference:
        if self.score.instrument:
            return InstrumentReference(self.score.instrument, ("instrument",), "score")
        if self.score.backend is not None:
            return InstrumentReference(self.score.backend.get("type", DEFAULT), ("backend", "type"), "score")
        return InstrumentReference(DEFAULT, ("instrument",), "score")

    def _profile_name(self, name: str) -> str:
        named = self.lookup(name)
        return named.profile.name if named else name

    def _merge_settings(
        self, position: SheetPosition, named: NamedInstrument, level: str
    ) -> tuple[dict[str, Any], dict[str, KeyPath]]:
        """Layer the settings (§8.3); `level` is where the alias's config stands."""
        settings: dict[str, Any] = {}
        origins: dict[str, KeyPath] = {}
        for layer in self._layers(position, named, level):
            for key, value in layer.settings.items():
                if key in INSTRUMENT_SPECIFIC and layer.owner not in {None, named.profile.name}:
                    continue
                settings.pop(_SYNONYMS.get(key, ""), None)
                before = settings.get(key)
                merge = isinstance(value, dict) and isinstance(before, dict)
                settings[key] = {**before, **value} if merge and before else value
                origins[key] = (*layer.path, key)
        return settings, origins

    def _layers(self, position: SheetPosition, named: NamedInstrument, level: str) -> Iterator[SettingsLayer]:
        own = SettingsLayer(named.config, named.path)
        score_owner = self._profile_name(self._score_reference().name)
        movement = self.score.movements.get(position.stage)
        if level == "score":
            yield own
        yield SettingsLayer(self.backend, ("backend",), score_owner)
        yield SettingsLayer(self.score.instrument_config, ("instrument_config",), score_owner)
        if level == "movement":
            yield own
        if movement is not None:
            owner = self._profile_name(movement.instrument) if movement.instrument else score_owner
            yield SettingsLayer(
                movement.instrument_config, ("movements", position.stage, "instrument_config"), owner
            )
        if level in {"sheet", "fallback"}:
            yield own
        nobody = "" if level == "fallback" else None
        yield SettingsLayer(
            self.overrides.get(position.sheet, {}), ("backend", "sheet_overrides", position.sheet), nobody
        )
        path = ("sheet", "per_sheet_instrument_config", position.sheet)
        yield SettingsLayer(
            self.score.sheet.per_sheet_instrument_config.get(position.sheet, {}), path, nobody
        )

    def _timeout(self, position: SheetPosition, settings: dict[str, Any], profile: Profile) -> float:
        """Return the time limit of an attempt (§16.1)."""
        own = self.score.sheet.per_sheet_instrument_config.get(position.sheet, {})
        for seconds in (
            own.get("timeout_seconds"),
            self.overrides.get(position.sheet, {}).get("timeout_seconds"),
            settings.get("timeout_overrides", {}).get(position.sheet),
            settings.get("timeout_seconds"),
            profile.default_timeout_seconds,
        ):
            if seconds is not None:
                return float(seconds)
        return _DEFAULT_TIMEOUT

    def _fallbacks(
        self, position: SheetPosition, identity: tuple[Any, ...], primary: Profile
    ) -> Iterator[ResolvedFallback]:
        """Yield the fallbacks of a sheet; note those that are left out.

        That is the instrument itself, and an agent where the sheet runs a program, unless it is the sheet's
        own chain: a program's text is no task for an agent.
        """
        path, names = self.fallback_names(position)
        for index, name in enumerate(names):
            named = self.lookup(name)
            if named is None:
                continue
            settings, origins = self._merge_settings(position, named, "fallback")
            if _identity(named.profile, settings) == identity:
                self.left_out.setdefault(("S406", (*path, index), name), []).append(position.sheet)
            elif primary.raw_prompt and not named.profile.raw_prompt and path[0] != "sheet":
                self.left_out.setdefault(("S407", (*path, index), name), []).append(position.sheet)
            else:
                limit = self._timeout(position, settings, named.profile)
                settings.pop("timeout_overrides", None)
                settings["timeout_seconds"] = limit
                yield ResolvedFallback(named.profile, settings, origins)

    def finish(self, report: ProblemReport) -> None:
        """Report the fallbacks that were left out of some sheets."""
        for (code, place, name), sheets in self.left_out.items():
            report.add(code, place, _LEFT_OUT[code].format(name), sheets=sheets)

    def _instrument_map(self, report: ProblemReport) -> dict[int, str]:
        mapped: dict[int, str] = {}
        for name, sheets in self.score.sheet.instrument_map.items():
            for index, sheet in enumerate(sheets):
                if sheet in mapped:
                    message = f"sheet {sheet} is assigned to '{mapped[sheet]}' and to '{name}'"
                    report.add("S108", ("sheet", "instrument_map", name, index), message, sheets=[sheet])
                mapped.setdefault(sheet, name)
        return mapped

    def _references(self) -> Iterator[InstrumentReference]:
        """Yield every place where an instrument must be named."""
        yield self._score_reference()
        for stage, movement in self.score.movements.items():
            if movement.instrument:
                yield InstrumentReference(movement.instrument, ("movements", stage, "instrument"), "")
        for name in self.score.sheet.instrument_map:
            yield InstrumentReference(name, ("sheet", "instrument_map", name), "map")
        for sheet, name in self.score.sheet.per_sheet_instruments.items():
            yield InstrumentReference(name, ("sheet", "per_sheet_instruments", sheet), "")

    def _fallback_lists(self) -> Iterator[tuple[KeyPath, Iterable[str]]]:
        yield ("instrument_fallbacks",), self.score.instrument_fallbacks
        for stage, movement in self.score.movements.items():
            yield ("movements", stage, "instrument_fallbacks"), movement.instrument_fallbacks or ()
        for sheet, names in self.score.sheet.per_sheet_fallbacks.items():
            yield ("sheet", "per_sheet_fallbacks", sheet), names

    def _check_name(self, selected: InstrumentReference, report: ProblemReport, code: str) -> None:
        name, path, level = selected
        if not name or report.wrong(*path):
            return
        key = level == "map"
        aliases = {} if level == "alias" else self.score.instruments
        if name in OLDER_NAMES and name not in aliases:
            report.add("S019", path, f"'{name}' is the older name of '{_current_name(name)}'", key=key)
        if name not in aliases and _current_name(name) not in self.profiles:
            what = "profile" if level == "alias" else "fallback" if code == "S402" else "instrument"
            known = [*aliases, *(profile for profile in self.profiles if profile not in OLDER_NAMES)]
            meant = INSTRUMENTS.get(name.lower())
            hint = f"did you mean '{meant}'?" if meant in known else report.nearest(name, known)
            report.add(code, path, f"unknown {what} '{name}'", key=key, hint=hint)

    def _check_type(self, report: ProblemReport) -> None:
        named = (self.score.backend or {}).get("type")
        if (
            not named
            or not self.score.instrument
            or report.wrong("backend", "type")
            or report.wrong("instrument")
        ):
            return
        if self._profile_name(named) != self._profile_name(self.score.instrument):
            message = f"'backend.type' is '{named}', 'instrument' is '{self.score.instrument}'"
            report.add("S015", ("backend", "type"), message)


def _identity(profile: Profile, settings: dict[str, Any]) -> tuple[Any, ...]:
    """Return what makes two instruments the same one: whom they ask, for which model, as whom."""
    return profile.name, command_line.requested_model(profile, settings), settings.get("env", {})


def _current_name(name: str) -> str:
    return OLDER_NAMES.get(name, name)
