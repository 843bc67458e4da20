"""The daemon's settings: config.toml in the configuration directory, each with where it comes from.

An unknown key or a wrong value is an error with its place. Source: design/control.md §9.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from marianned.words import read_duration

Count = Annotated[int, msgspec.Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings with their defaults; durations in seconds (`"10s"` in the file), sizes in bytes."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 16
    max_queued: Count = 1_000
    min_free_disk: Annotated[int, msgspec.Meta(ge=0)] = 512 * 1024**2
    keep_runs: Count = 50
    keep_days: Count = 90
    output_cap: Annotated[int, msgspec.Meta(ge=1024**2)] = 256 * 1024**2
    kill_grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    attempts_dir: str | None = None


class ConfigError(Exception):
    """config.toml can't be used; the message has the file and, where it can be told, the line."""


def load_settings(directory: Path) -> Settings:
    """Read config.toml of a configuration directory; without the file, the defaults.

    Raises:
        ConfigError: it can't be read, is no TOML, or has an unknown key or a wrong value.
    """
    path = directory / "config.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return msgspec.convert(_durations(values), Settings)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{path}{_place(text, values, str(error))}: {error}") from None


def _durations(values: dict[str, Any]) -> dict[str, Any]:
    grace = values.get("kill_grace")
    if not isinstance(grace, str):
        return values
    try:
        return values | {"kill_grace": read_duration(grace)}
    except ValueError as error:
        raise ValueError(f"{error} - at `$.kill_grace`") from None


def _place(text: str, values: dict[str, Any], message: str) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        name = line.split("=")[0].strip()
        if name in values and (f"`{name}`" in message or f"$.{name}" in message):
            return f":{number}"
    return ""
