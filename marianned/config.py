"""The daemon's settings: config.toml in the configuration directory, each with where it comes from.

An unknown key or a wrong value is an error with its place. Source: docs/design/control.md §9.
"""

import errno
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from marianned import files
from marianned.decoding import Undecodable, from_toml
from marianned.formatting import did_you_mean, read_duration
from marianned.places import CLUSTERS, LOCAL, ExecutorName
from marianned.score.read import sbatch

_KEPT_RUNS = "completed and cancelled runs of a job that are kept, however old they are"
_KEPT_DAYS = "days for which ended runs are kept, however many there are"
_OUTPUT = "bytes kept of each stream of an attempt: half from its beginning, half from its end"
_QUEUED = "jobs that may be neither ended nor held; beyond that `mzt run` is refused, E508"
_DISK = "bytes; if less is free on the disk of the state directory, nothing starts"
_DRAIN = (
    "how long processes that a command left behind may go on writing its output; 0: they are ended at once"
)
_SHEETS_MAY = (
    "requests allowed from inside an attempt: `look`, `ask` (also pause its own job, submit) or `all`"
)
_CONTAIN = "`hide`: what jobs run sees neither the daemon's directories nor its processes; needs bubblewrap"
_ON_CLUSTERS = " or ".join(f"`{cluster}`" for cluster in CLUSTERS)
_EXECUTOR = f"where sheets run of which neither run nor score says so: `local` (this host) or {_ON_CLUSTERS}"
_ON_SLURM = (
    "attempts that Slurm may have at once, over all jobs; what goes beyond counts for `max_attempts`, too"
)
_CHECKS = (
    "where the commands of a sheet's checks run that runs on Slurm: `local` (this host), or `with_attempt`, "
    "on its node, in its job"
)
_LOST_AFTER = "how long what runs may be unknown to Slurm before it is ended, if it can be, and lost"
_ATTEMPTS = "where the files of attempts are kept; by default `attempts` in the state directory"


class WhenRead(Enum):
    """When a setting is read, which each one says."""

    ANEW = "also by a reload: what uses it looks at the newest settings"
    AT_START = "when the daemon starts; a reload leaves it as it is: attempts in flight were started by it"


class AttemptsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The section `[attempts]`."""

    drain: Annotated[float, WhenRead.ANEW, Meta(ge=0, le=3600, description=_DRAIN)] = 10.0
    contain: Annotated[Literal["off", "hide"], WhenRead.ANEW, Meta(description=_CONTAIN)] = "off"


class SlurmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The section `[slurm]`."""

    max_attempts: Annotated[int, WhenRead.ANEW, Meta(ge=1, le=10_000, description=_ON_SLURM)] = 2_000
    python: Annotated[
        str, WhenRead.AT_START, Meta(min_length=1, description="the nodes' Python, 3.9 or newer")
    ] = "python3"
    arguments: Annotated[
        list[str], WhenRead.AT_START, Meta(description="further arguments of every sbatch")
    ] = []
    lost_after: Annotated[float, WhenRead.AT_START, Meta(ge=1, le=3600, description=_LOST_AFTER)] = 30.0
    checks: Annotated[Literal["local", "with_attempt"], WhenRead.ANEW, Meta(description=_CHECKS)] = "local"


class SecuritySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The section `[security]`."""

    sheets_may: Annotated[Literal["look", "ask", "all"], WhenRead.ANEW, Meta(description=_SHEETS_MAY)] = "ask"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults; each float is a duration, in seconds (`"10s"` in the file).

    Sizes are in bytes. Each says beside its type when it is read.
    """

    max_attempts: Annotated[
        int,
        WhenRead.ANEW,
        Meta(ge=1, le=10_000, description="attempts that may be in flight at once, over all jobs"),
    ] = 16
    max_queued: Annotated[int, WhenRead.ANEW, Meta(ge=1, description=_QUEUED)] = 1_000
    min_free_disk: Annotated[int, WhenRead.ANEW, Meta(ge=0, description=_DISK)] = 512 * 1024**2
    keep_runs: Annotated[int, WhenRead.ANEW, Meta(ge=1, description=_KEPT_RUNS)] = 50
    keep_days: Annotated[int, WhenRead.ANEW, Meta(ge=1, description=_KEPT_DAYS)] = 90
    output_cap: Annotated[int, WhenRead.ANEW, Meta(ge=1024**2, description=_OUTPUT)] = 256 * 1024**2
    kill_grace: Annotated[
        float,
        WhenRead.ANEW,
        Meta(ge=0, le=3600, description="time between TERM and KILL when an attempt is ended"),
    ] = 10.0
    attempts_dir: Annotated[str | None, WhenRead.AT_START, Meta(description=_ATTEMPTS)] = None
    executor: Annotated[ExecutorName, WhenRead.ANEW, Meta(description=_EXECUTOR)] = LOCAL
    attempts: AttemptsSettings = AttemptsSettings()
    slurm: SlurmSettings = SlurmSettings()
    security: SecuritySettings = SecuritySettings()


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "attempts": AttemptsSettings,
    "slurm": SlurmSettings,
    "security": SecuritySettings,
}
"""What stands below a header of its own, `[attempts]`; such a setting is called `attempts.drain`."""
FIELDS = {field.name: field for field in msgspec.structs.fields(Settings) if field.name not in SECTIONS} | {
    f"{section}.{field.name}": field
    for section, kind in SECTIONS.items()
    for field in msgspec.structs.fields(kind)
}
"""Each setting by its name."""


def when_read(name: str, annotation: Any) -> WhenRead:
    """Return when a setting is read, as its annotation says.

    Raises:
        TypeError: it does not say so; a reload would claim to have read it, whatever it did.
    """
    said = [one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, WhenRead)]
    if len(said) != 1:
        raise TypeError(f"setting '{name}': write Read.ANEW or Read.AT_START beside its type")
    return said[0]


ONLY_AT_START = frozenset(
    name for name, field in FIELDS.items() if when_read(name, field.type) is WhenRead.AT_START
)
DURATIONS = frozenset(
    name for name, field in FIELDS.items() if float in (one := field.type.__origin__, *get_args(one))
)
"""Settings that are written with units, too: each float is one."""


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
    defaults = dict.fromkeys(FIELDS, "default")
    try:
        text = _read_text(path)
        values = from_toml(text)
    except FileNotFoundError:
        return Configuration(Settings(), defaults)
    except OSError as error:
        raise ConfigError(f"{path}: it is not read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: byte 0x{error.object[error.start]:02x}") from None
    except Undecodable as error:
        where = "" if error.line is None else f":{error.line}:{error.column}"
        raise ConfigError(f"{path}{where}: {error}") from None
    checked: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: list[str] = []
    for name, value in _flat_settings(values):
        place = _SettingPosition.of(name, text)
        try:
            checked[name] = _checked(name, value)
        except KeyError:
            problems.append(f"{path}{place.of_key}: no setting '{name}'{_suggestion(name)}")
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(f"{path}{place.of_value}: '{name}': {_plain_message(str(error))}")
        sources[name] = f"{path}{place.line}"
    if problems:
        raise ConfigError(*problems)
    return Configuration(_settings(checked), defaults | sources)


def value_of(settings: Settings, name: str) -> Any:
    """Return the value of a setting by its name."""
    section, _, own = name.rpartition(".")
    return getattr(getattr(settings, section) if section else settings, own)


def _flat_settings(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name in SECTIONS and isinstance(value, dict):
            yield from ((f"{name}.{own}", one) for own, one in value.items())
        else:
            yield name, value


def _settings(checked: dict[str, Any]) -> Settings:
    flat = {name: value for name, value in checked.items() if "." not in name}
    for section, kind in SECTIONS.items():
        own = {
            name.rpartition(".")[2]: value
            for name, value in checked.items()
            if name.startswith(f"{section}.")
        }
        flat[section] = kind(**own)
    return Settings(**flat)


def _read_text(path: Path) -> str:
    """Return the text of the settings, if nobody but this user and root can have written it."""
    why = files.distrusted(path.parent)
    if why is not None:
        raise files.UnsuitableFile(errno.EPERM, f"of '{path.parent}', {why}; type: chmod go-w {path.parent}")
    return files.read_trusted(path, files.TEXT_MOST).decode("utf-8")


def with_value(settings: Settings, name: str, value: Any) -> Settings:
    """Return settings of which one, by its name, has another value."""
    section, _, own = name.rpartition(".")
    if section:
        value = msgspec.structs.replace(getattr(settings, section), **{own: value})
    return msgspec.structs.replace(settings, **{section or own: value})


def changes(old: Settings, new: Settings) -> list[str]:
    """Return the names of the settings that differ."""
    return [name for name in FIELDS if value_of(old, name) != value_of(new, name)]


def _checked(name: str, value: Any) -> Any:
    field = FIELDS[name]
    if name in DURATIONS and isinstance(value, str):
        value = read_duration(value)
    if name == "attempts_dir" and isinstance(value, str) and not value.startswith("/"):
        raise ValueError(f"'{value}' is relative, and the daemon works in '/'; write it from '/' on")
    checked = msgspec.convert(value, field.type)
    for word in checked if name == "slurm.arguments" else ():
        if not word.startswith("-"):
            raise ValueError(f"'{word}' is not {sbatch.OPTION}")
        if (why := sbatch.reason_to_refuse(word)) is not None:
            raise ValueError(f"{why}; remove it")
    return checked


def _suggestion(name: str) -> str:
    hint = did_you_mean(name, FIELDS)
    return f"; {hint}" if hint else ""


def _plain_message(message: str) -> str:
    said = message.replace("`", "").removesuffix(" - at $")
    return said[:1].lower() + said[1:]


class _SettingPosition(NamedTuple):
    """Where a setting stands: `:line`, and with the column of its key or of its value; else empty."""

    line: str
    of_key: str
    of_value: str

    @classmethod
    def of(cls, name: str, text: str) -> "_SettingPosition":
        section, _, own = name.rpartition(".")
        word, header = re.escape(own), re.compile(rf"""\s*\[\s*["']?{re.escape(section)}["']?\s*\]""")
        key = re.compile(rf"""[\[ \t]*(?P<key>"{word}"|'{word}'|{word})\s*[\].=]\s*(?P<value>)""")
        below = not section
        for number, line in enumerate(text.splitlines(), 1):
            below = below or bool(header.match(line))
            found = key.match(line)
            if found and below:
                at = (f":{number}:{found.start(group) + 1}" for group in ("key", "value"))
                return cls(f":{number}", *at)
        return cls("", "", "")
