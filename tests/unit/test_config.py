"""config.toml: defaults, values, and errors with their place."""

from pathlib import Path

import pytest
from kit.tables import each

from marianned import config
from marianned.config import (
    FIELDS,
    ConfigError,
    Settings,
    changes,
    load_configuration,
    load_settings,
    value_of,
    when_read,
    with_value,
)


def write(directory: Path, text: str) -> Path:
    (directory / "config.toml").write_text(text)
    return directory


def test_without_a_file_the_defaults_of_the_contract_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings == Settings()
    assert (settings.max_attempts, settings.max_queued, settings.kill_grace) == (16, 1_000, 10.0)


def test_values_are_read_durations_too(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, 'max_attempts = 2\nkill_grace = "1m30s"\nattempts_dir = "/a"\n'))
    assert settings == Settings(max_attempts=2, kill_grace=90.0, attempts_dir="/a")
    assert load_settings(write(tmp_path, "kill_grace = 3\n")).kill_grace == 3.0


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (
            "max_attempts = 2\n  max_atempts = 3\n",
            "2:3",
            "no setting 'max_atempts'; did you mean 'max_attempts'?",
        ),
        ("\nmax_attempts = 0\n", "2:16", ">= 1"),
        ("# comment\n\nmax_queued = 'many'\n", "3:14", "int"),
        ('max_attempts = 1\nkill_grace = "soon"\n', "2:14", "'soon' is not a duration"),
        ('kill_grace = "2h"\n', "1:14", "<= 3600"),
        ('"max_queued" = 0\n', "1:16", "'max_queued': expected int >= 1"),
        ("[scheduler]\nslots = 3\n", "1:2", "no setting 'scheduler'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, place: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(write(tmp_path, text))
    assert str(error.value).startswith(f"{tmp_path}/config.toml:{place}: ")
    assert said in str(error.value)


def test_what_is_no_toml_is_told_with_the_place_the_reader_gives(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml:1:14: expected"):
        load_settings(write(tmp_path, "max_attempts 2\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a=" + "[" * 50_000, ":1:103: it is nested too deeply"),
        ("max_attempts = 1\nmax_attempts = 2\n", ":2:17: this key has a value already"),
        ("max_queued = " + "1" * 5_000, ":1:14: a number has too many digits"),
        (".".join("a" * 5_000) + " = 1", ": it is nested too deeply"),
    ],
)
def test_what_the_reader_of_toml_can_not_take_is_told_in_the_same_form(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(write(tmp_path, text))
    assert str(error.value) == f"{tmp_path}/config.toml{told}"


def test_what_cannot_be_read_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config\.toml: not UTF-8: byte 0xff$"):
        load_settings(tmp_path)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="a directory, not a regular file"):
        load_settings(tmp_path / "below")


def test_a_key_that_is_not_found_at_the_start_of_a_line_is_told_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(write(tmp_path, '"max\\u005fattempts" = 0\n'))
    assert str(error.value).startswith(f"{tmp_path}/config.toml: ")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(write(tmp_path, "max_queued = 0\nfleet = 1\nkeep_days = 3\n"))
    assert [problem.rpartition("config.toml:")[2][:3] for problem in error.value.problems] == ["1:1", "2:1"]


def test_each_value_has_the_place_it_comes_from(tmp_path: Path) -> None:
    found = load_configuration(write(tmp_path, "\nkeep_days = 3\n"))
    assert found.settings == Settings(keep_days=3)
    assert found.sources["keep_days"] == f"{tmp_path}/config.toml:2"
    assert found.sources["keep_runs"] == "default"


@pytest.mark.parametrize("place", ["shared/attempts", "~/attempts", ""])
def test_a_directory_that_is_relative_is_refused_with_its_place(tmp_path: Path, place: str) -> None:
    with pytest.raises(
        ConfigError, match=r"config.toml:1:16: 'attempts_dir': '.*' is relative, and the daemon"
    ):
        load_settings(write(tmp_path, f'attempts_dir = "{place}"\n'))


@each("name", FIELDS)
def test_each_setting_can_be_kept_as_it_was(name: str) -> None:
    other = with_value(Settings(), name, "another")
    assert changes(Settings(), other) == [name]
    assert with_value(other, name, value_of(Settings(), name)) == Settings()


@each("name", FIELDS)
def test_a_setting_that_does_not_say_when_it_is_read_is_refused_by_its_name(name: str) -> None:
    """A reload would claim to have read it, whatever it did."""
    assert when_read(name, FIELDS[name].type) in config.WhenRead
    with pytest.raises(TypeError, match=f"'{name}'"):
        when_read(name, FIELDS[name].type.__origin__)


@each("name", [name for name in FIELDS if isinstance(value_of(Settings(), name), float)])
def test_each_float_is_a_duration_and_written_with_units(tmp_path: Path, name: str) -> None:
    section, _, own = name.rpartition(".")
    header = f"[{section}]\n" if section else ""
    assert value_of(load_settings(write(tmp_path, f'{header}{own} = "1m30s"\n')), name) == 90.0
