"""Arguments, paths and variables are bytes: those that are no text are refused by name, never by a traceback."""

import os
import subprocess

import pytest
from home_for_tests import QUICK
from kit import zygote

pytestmark = pytest.mark.one_daemon

RAW = os.fsdecode(b"caf\xe9")

ARGUMENTS = {
    "a job": ["pause", RAW],
    "a reason": ["pause", "solo", "--reason", RAW],
    "a key": ["cancel", "solo", "--key", RAW],
    "sheets": ["resume", "solo", "--from", RAW],
    "a variable's value": ["run", "solo.yaml", "-e", f"X={RAW}"],
    "a variable's name": ["run", "solo.yaml", "-e", f"{RAW}=1"],
    "a variable of the caller's": ["run", "solo.yaml", "-e", "NO_TEXT"],
    "a value": ["run", "solo.yaml", "--var", f"x={RAW}"],
    "a value's name": ["run", "solo.yaml", "--var", f"{RAW}=1"],
    "a file of values": ["run", "solo.yaml", "--vars-file", f"{RAW}.yaml"],
    "a workspace": ["run", "solo.yaml", "-w", RAW],
    "a score that is there": ["run", f"{RAW}.yaml"],
    "a score that is not there": ["run", f"{RAW}-none.yaml"],
    "a new score": ["modify", "solo", "-c", f"{RAW}.yaml"],
    "an instrument": ["instruments", "show", RAW],
    "a limit": ["clear-rate-limits", RAW],
    "a place for a copy": ["backup", f"{RAW}.db"],
    "a score to check": ["validate", f"{RAW}.yaml"],
    "a score to write": ["init", f"{RAW}-new.yaml"],
    "an option": [f"--{RAW}"],
    "a command": [RAW],
    "a method": ["rpc", RAW],
    "params": ["rpc", "job.status", f'{{"job_id": "{RAW}"}}'],
    "a socket": ["--socket", RAW, "list"],
}


@pytest.mark.parametrize("what", ARGUMENTS)
@pytest.mark.parametrize("form", ["text", "json"])
def test_bytes_that_are_no_text_end_in_no_traceback(shared, what, form):
    arguments = ARGUMENTS[what] + (["--json"] if form == "json" else [])
    done = zygote.run(
        shared.command(arguments),
        cwd=shared.path,
        env=shared.environment | {"NO_TEXT": RAW},
        capture_output=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = (done.stdout + done.stderr).decode()  # which is UTF-8
    assert "Traceback" not in said, said
    assert done.returncode in {0, 1, 2, 3, 4}
    if what in {"a reason", "a key", "a variable's value", "a variable of the caller's"}:
        assert done.returncode == 4
        assert "is not UTF-8: 'caf\\\\udce9'" in said or "is not UTF-8: 'caf\\udce9'" in said


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    from home_for_tests import Home

    home = Home(tmp_path_factory.mktemp("bytes"))
    home.score("solo", QUICK)
    (home.path / f"{RAW}.yaml").write_text((home.path / "solo.yaml").read_text())
    home.mzt("start")
    yield home
    home.close()


def test_a_directory_that_is_no_text_is_named(home):
    place = home.path / RAW
    place.mkdir()
    done = zygote.run(
        home.command(["run", str(home.path / home.score("solo"))]),
        cwd=place,
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 4
    assert "the current directory is not UTF-8" in done.stderr


def test_what_a_locale_cannot_write_is_shown_as_an_escape(home):
    home.mzt("run", home.score("odd", "printf 'caf\\303\\251 \\342\\202\\254 \\377\\n'"), "--wait")
    for encoding, arguments, shown in (
        ("latin-1", ["logs", "odd", "1"], b"caf\xe9 \\u20ac \\ufffd"),
        ("ascii", ["logs", "odd", "1"], b"caf\\xe9 \\u20ac \\ufffd"),
        ("ascii", ["status", "odd"], b"odd"),
        ("ascii", ["history", "odd"], b"submitted"),
        ("ascii", ["logs", "odd", "--json"], b'"job_id"'),
    ):
        done = subprocess.run(
            home.command(arguments),
            cwd=home.path,
            env=home.environment | {"PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stderr) == (0, b""), (encoding, arguments)
        assert shown in done.stdout, (encoding, arguments)
