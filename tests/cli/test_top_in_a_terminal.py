"""`mzt top` in a real terminal, and what it says where it can't run."""

import json
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from home_for_tests import GATED
from kit.tmux import MISSING, Tmux

from marianne_cli.faces import extras
from marianne_cli.main import run

in_tmux = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@contextmanager
def terminal(home, *arguments, **size):
    """A terminal in which `mzt top` has been started."""
    made = Tmux(home.path, home.command(["top", *arguments]), home.environment, **size)
    try:
        yield made
    finally:
        made.close()


@in_tmux
def test_a_job_is_paused_changed_and_resumed_by_keys(home, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/words of old/new words/' \"$1\"\n")
    editor.chmod(0o755)
    home.environment |= {"EDITOR": str(editor), "VISUAL": ""}
    home.mzt("run", home.score("a", GATED, words=" words of old"))
    with terminal(home, "a", columns=120, rows=40) as top:
        top.sees("sheet 1 words of old", "following")
        top.press("p")
        top.sees("$ mzt pause a --wait", "pausing")
        home.let_go(1)
        top.sees("✓ $ mzt pause a --wait", "a: paused; 1 of 3 sheets done")
        top.press("e")
        top.sees("prompt differs", "$ mzt modify a -c", "apply and go on")
        top.press("r")
        top.sees("✓ $ mzt modify a", "revision 2", "sheet 2 new words")
        home.let_go(2, 3)
        top.sees("3/3 sheets", "completed")
        top.press("Escape")
        top.sees("ENDED")
        top.press("q")
        top.sees("ended with 0", absent=("ENDED",))


@in_tmux
def test_it_fits_80_columns_and_whatever_it_is_resized_to_and_sends_no_colour_where_none_is_wanted(home):
    home.environment["NO_COLOR"] = "1"
    home.mzt("run", home.score("a", GATED))
    with terminal(home) as top:
        assert len(top.sees("RUNNING", "a ", "? keys")) == 24
        coloured = top._tmux("capture-pane", "-e", "-p", "-t", "top")
        assert "\x1b[3" not in coloured.replace("\x1b[39m", "")
        assert "38;" not in coloured
        assert "48;" not in coloured
        top.press("Enter")
        top.sees("1 output", "sheet 1", "? keys")
        top.resize(132, 43)
        top.sees("│ 1 output", "sheet 1", "? keys")
        top.resize(60, 12)
        top.sees("running since")
        top.press("q")
        top.press("q")
        top.sees("ended with 0")
    home.let_go(1, 2, 3)


def test_what_is_no_terminal_is_told(home):
    done = home.mzt("top", code=2)
    assert done.stderr.startswith("mzt: top draws on the terminal: ")


def test_a_terminal_that_can_not_be_drawn_on_is_told(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("os.isatty", lambda _number: True)
    monkeypatch.setattr("marianne_cli.top.app.TopApp.run", lambda _top: pytest.fail("it draws"))
    assert run(["top"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "mzt: top draws on the terminal: TERM says that this one can't be drawn on",
        "  mzt list --watch",
    ]


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "textual" else object())
    assert run(["top"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "mzt: mzt top needs textual, which the extra 'top' brings; to install it:",
        f"  {extras.install_command('top')}",
    ]
    assert "'marianned[top]'" in said[1]


@pytest.mark.parametrize(
    ("made_by", "command"), [("pipx_metadata.json", "pipx install"), ("uv-receipt.toml", "uv tool install")]
)
@pytest.mark.parametrize(
    ("came_from", "asked"),
    [
        (None, "'marianned[top]'"),
        ({"url": "file:///home/ann/a b", "dir_info": {}}, "'marianned[top] @ file:///home/ann/a b'"),
        (
            {"url": "https://example.org/m", "vcs_info": {"vcs": "git", "commit_id": "76e6c2f"}},
            "'marianned[top] @ git+https://example.org/m@76e6c2f'",
        ),
    ],
)
def test_an_extra_comes_from_where_the_rest_came(made_by, command, came_from, asked, tmp_path, monkeypatch):
    (tmp_path / made_by).touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    found = SimpleNamespace(read_text=lambda _file: came_from and json.dumps(came_from))
    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: found)
    assert extras.install_command("top") == f"{command} --force {asked}"


def test_nothing_but_top_loads_textual():
    look = "import sys; from marianne_cli.main import run; run(['help']); run(['top', '-h']); print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
