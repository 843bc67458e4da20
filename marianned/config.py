"""The daemon's settings: config.toml in the configuration directory, each with where it comes from.

An unknown key or a wrong value is an error with its place. Source: docs/design/control.md §9.
"""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from marianned.words import read_duration

_KEPT_RUNS = "completed and cancelled runs of a job that are kept however old they are"
_KEPT_DAYS = "days for which ended runs are kept however many they are"
_OUTPUT = "bytes of each stream of an attempt that are kept: the first and the last half of them"
_QUEUED = "how many jobs may be neither ended nor held; then `mzt run` is refused, E508"
_DISK = "bytes; with less free on the disk of the state directory no slots are granted"
_ATTEMPTS = "where the files of attempts are kept; without it `attempts` in the state directory"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults; durations in seconds (`"10s"` in the file), sizes in bytes."""

    max_attempts: Annotated[
        int, Meta(ge=1, le=10_000, description="how many attempts may be in flight, over all jobs")
    ] = 16
    max_queued: Annotated[int, Meta(ge=1, description=_QUEUED)] = 1_000
    min_free_disk: Annotated[int, Meta(ge=0, description=_DISK)] = 512 * 1024**2
    keep_runs: Annotated[int, Meta(ge=1, description=_KEPT_RUNS)] = 50
    keep_days: Annotated[int, Meta(ge=1, description=_KEPT_DAYS)] = 90
    output_cap: Annotated[int, Meta(ge=1024**2, description=_OUTPUT)] = 256 * 1024**2
    kill_grace: Annotated[
        float, Meta(ge=0, le=3600, description="from TERM to KILL when an attempt is ended")
    ] = 10.0
    attempts_dir: Annotated[str | None, Meta(description=_ATTEMPTS)] = None


DURATIONS = frozenset({"kill_grace"})
ONLY_AT_START = frozenset({"attempts_dir"})
"""Settings that a reload leaves as they are: attempts in flight write there."""
_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


class ConfigError(Exception):
    """config.toml can't be used; each of `problems` has the file and, where it can be told, its place."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Configuration(NamedTuple):
    """The settings, and for each one where its value comes from: `default`, or the file and the line."""

    settings: Settings
    sources: dict[str, str]


def load_settings(directory: Path) -> Settings:
    """Return the settings of `load_configuration`."""
    return load_configuration(directory).settings


def load_configuration(directory: Path) -> Configuration:
    """Read config.toml of a configuration directory; without the file, the defaults.

    Raises:
        ConfigError: it can't be read, is no TOML, or has unknown keys or wrong values: all of them.
    """
    path = directory / "config.toml"
    defaults = dict.fromkeys(_FIELDS, "default")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        return Configuration(Settings(), defaults)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    checked: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: list[str] = []
    for name, value in values.items():
        place = _Place.of(name, text)
        try:
            checked[name] = _checked(name, value)
        except KeyError:
            problems.append(f"{path}{place.of_key}: no setting '{name}'{_near(name)}")
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(f"{path}{place.of_value}: '{name}': {_plain(str(error))}")
        sources[name] = f"{path}{place.line}"
    if problems:
        raise ConfigError(*problems)
    return Configuration(Settings(**checked), defaults | sources)


def changes(old: Settings, new: Settings) -> list[str]:
    """Return the names of the settings that differ."""
    return [name for name in _FIELDS if getattr(old, name) != getattr(new, name)]


def _checked(name: str, value: Any) -> Any:
    field = _FIELDS[name]
    if name in DURATIONS and isinstance(value, str):
        value = read_duration(value)
    return msgspec.convert(value, field.type)


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, _FIELDS, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _plain(message: str) -> str:
    said = message.replace("`", "").removesuffix(" - at $")
    return said[:1].lower() + said[1:]


class _Place(NamedTuple):
    """Where a setting stands: `:line`, and with the column of its key or of its value; else empty."""

    line: str
    of_key: str
    of_value: str

    @classmethod
    def of(cls, name: str, text: str) -> "_Place":
        word = re.escape(name)
        key = re.compile(rf"""[\[ \t]*(?P<key>"{word}"|'{word}'|{word})\s*[\].=]\s*(?P<value>)""")
        for number, line in enumerate(text.splitlines(), 1):
            found = key.match(line)
            if found:
                at = (f":{number}:{found.start(group) + 1}" for group in ("key", "value"))
                return cls(f":{number}", *at)
        return cls("", "", "")
