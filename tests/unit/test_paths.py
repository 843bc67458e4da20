"""Where things lie: both sides find the same socket, whatever the environment has."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from marianned import paths

HOME = Path("/home/nobody-here")
"""Short, so that a socket below it fits into an address; nothing is made there."""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MARIANNE_SOCKET", "XDG_RUNTIME_DIR", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(HOME))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_named_socket_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("MARIANNE_SOCKET", "/named/s")
    assert paths.socket_path() == Path("/named/s")


def test_a_named_socket_is_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    monkeypatch.setenv("MARIANNE_SOCKET", "s")
    assert paths.socket_path() == Path("/tmp/s")


def test_the_runtime_directory_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert paths.socket_path() == Path("/run/user/1000/marianne/marianned.sock")


def test_without_a_runtime_directory_it_is_the_login_s_if_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")  # a temporary one may be too long for a socket
    login = Path(f"/run/user/{os.getuid()}")
    ours = login.is_dir() and login.stat().st_uid == os.getuid()
    expected = login / "marianne" if ours else paths.state_directory()
    assert paths.socket_path() == expected / "marianned.sock"


def test_without_any_it_is_below_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    monkeypatch.setenv("STATE_DIRECTORY", "/state:/elsewhere")
    assert paths.socket_path() == Path("/state/marianned.sock")


def test_a_login_directory_of_somebody_else_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paths, "isdir", lambda path: True)
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((0,) * 10))
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert paths.socket_path() == paths.state_directory() / "marianned.sock"


def test_a_login_directory_of_ours_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "isdir", lambda path: True)
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((0, 0, 0, 0, 4_000_000_001, 0, 0, 0, 0, 0)))
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert paths.socket_path() == Path("/run/user/4000000001/marianne/marianned.sock")


def test_a_socket_path_of_107_bytes_passes_and_one_more_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIANNE_SOCKET", "/" + "s" * 106)
    assert len(str(paths.socket_path())) == 107
    monkeypatch.setenv("MARIANNE_SOCKET", "/" + "ä" * 53 + "s")
    with pytest.raises(paths.SocketPathTooLongError, match="108 bytes long, at most 107"):
        paths.socket_path()


def test_state_and_configuration_have_directories_of_their_own() -> None:
    assert paths.state_directory() == HOME / ".local/state/marianne"
    assert paths.configuration_directory() == HOME / ".config/marianne"


def test_they_are_where_the_base_directories_are_if_those_are_absolute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/kept")
    monkeypatch.setenv("XDG_CONFIG_HOME", "set")
    assert paths.state_directory() == Path("/kept/marianne")
    assert paths.configuration_directory() == HOME / ".config/marianne"


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_of_the_environment_they_are_in_that_of_the_user_database(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    assert paths.state_directory() == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".local/state/marianne"


def test_under_systemd_they_are_where_the_unit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/marianne")
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", "/etc/marianne")
    assert paths.state_directory() == Path("/var/lib/marianne")
    assert paths.configuration_directory() == Path("/etc/marianne")
    assert paths.lock_path(paths.state_directory()) == Path("/var/lib/marianne/lock")
    assert paths.database_path(paths.state_directory()) == Path("/var/lib/marianne/marianne.db")


def test_a_private_directory_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    paths.make_private_directory(tmp_path / "a" / "b")
    paths.make_private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_what_is_made_above_a_private_directory_is_private_too_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        paths.make_private_directory(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "a", tmp_path / "a" / "b")]
    assert modes == [0o700, 0o700]


def test_a_private_directory_is_not_made_of_a_file_or_below_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(FileExistsError):
        paths.make_private_directory(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        paths.make_private_directory(tmp_path / "a" / "b" / "c")


def test_a_user_whom_nobody_knows_has_the_root_as_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    assert paths.home_directory() == Path("/")
    assert paths.state_directory() == Path("/.local/state/marianne")
