"""What the page is made of: vendored files as they came, nothing from elsewhere, all of it in the wheel."""

import hashlib
import re
import subprocess
import sys
import tomllib
from importlib import util
from importlib.resources import files
from pathlib import Path

from kit.tables import each

from marianne_cli.faces import extras
from marianne_cli.web import statics
from marianned import formatting

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "marianne_cli" / "web" / "static"
VENDORED = statics.manifest()["files"]
OURS = [*STATIC.glob("*.*"), *(STATIC / "js").glob("*.js")]


def test_each_vendored_file_is_the_one_that_the_manifest_names_with_its_licence():
    for one in VENDORED:
        assert hashlib.sha256((STATIC / "vendor" / one["name"]).read_bytes()).hexdigest() == one["sha256"], (
            one
        )
        assert (STATIC / "vendor" / one["licence_file"]).stat().st_size > 1000
        assert one["licence"] in {"MIT", "Apache-2.0"}
    there = {file.name for file in (STATIC / "vendor").iterdir()}
    named = {one["name"] for one in VENDORED} | {one["licence_file"] for one in VENDORED} | {"manifest.json"}
    assert there == named


def test_every_import_leads_to_a_file_that_is_served():
    served = statics.load()
    for name, file in served.items():
        if name.endswith(("js", "mjs")):
            for wanted in re.findall(r'(?:from|import)\s*"([^"]+)"', file.content.decode()):
                place = wanted.removeprefix("/static/") if wanted.startswith("/") else f"js/{wanted[2:]}"
                assert place in served, (name, wanted)


@each("file", OURS)
def test_no_file_of_ours_makes_code_or_markup_of_text_or_asks_another_server(file):
    text = file.read_text()
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|dangerouslySet|javascript:|setAttribute\(.style"
    assert re.findall(forbidden, text) == []
    assert [url for url in re.findall(r"https?://[^\s\"'`)]+", text) if "www.w3.org" not in url] == []


def test_what_the_page_shows_as_an_escape_is_what_a_terminal_does():
    assert f"const CONTROL = /[{formatting.CONTROLS}]/g;" in (STATIC / "js" / "text.js").read_text()


def test_the_wheel_takes_the_whole_room_and_the_extra_is_what_the_tests_run_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "marianne_cli" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    extra = project["project"]["optional-dependencies"]
    assert set(extra["web"]) <= set(extra["test"])
    ignored = subprocess.run(
        ["git", "check-ignore", *map(str, STATIC.rglob("*.*"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout == ""
    assert (files("marianne_cli.web") / "static" / "index.html").is_file()


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch, capsys):
    from marianne_cli.main import run

    real = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name, *more: None if name == "starlette" else real(name, *more)
    )
    assert run(["dashboard"]) == 2
    assert extras.install_command("web") in capsys.readouterr().err


def test_the_command_alone_loads_nothing_of_the_extra():
    code = "import sys, marianne_cli.commands.dashboard; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"starlette", "uvicorn", "anyio", "marianne_cli.web"} & set(told.stdout.split())
