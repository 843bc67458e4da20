"""Scores that other people wrote, as they lie beside the project: submitted, and what fulfils their checks."""

import json
import runpy
from pathlib import Path

import pytest
import yaml

from kit.daemon import AGENTS

SCORES = Path(__file__).parents[2].parent / "shared" / "scores"
NAMES = sorted(path.stem for path in (SCORES / "expected").glob("*.json"))
LEFT_OUT = ("on_success", "concert", "pause_between_sheets_seconds")
MARKS = [
    pytest.mark.shared,
    pytest.mark.skipif(not NAMES, reason="the real scores are not beside the project"),
]
_wanted = runpy.run_path(str(AGENTS / "obliging"))["wanted"]


def asked(house, name, text=None, work=None):
    """Return what to ask of a score; `work` names its workspace."""
    path = SCORES / json.loads((SCORES / "expected" / f"{name}.json").read_text())["score"]
    return {
        "text": text or alone(path.read_text()),
        "file": str(path.resolve()),
        "directory": str(path.resolve().parent),
        "submit_directory": str(house.home),
        "workspace": str(house.home / "work" / (work or name)),
    }


def alone(text, **changed):
    """Return a score without what it chains to, which lies on its writer's machine, and without its rests."""
    score = yaml.load(text, yaml.CSafeLoader)
    if not score.keys() & set(LEFT_OUT) and not changed:
        return text
    kept = {key: part for key, part in score.items() if key not in LEFT_OUT}
    return yaml.safe_dump({**kept, **changed}, sort_keys=False)


def validated(house, **params):
    found = house.rpc("score.validate", prompts=True, **params)
    assert found["valid"], found["problems"]
    return found


def files_of(sheet):
    """Return the files that a sheet's checks ask for, each with a text that passes."""
    files = {}
    for path, texts in _wanted(sheet["prompt"]):
        files.setdefault(path, []).extend(texts)
    return {
        path: "".join(f"{text}\n" for text in (*texts, "Made by a stand-in."))
        for path, texts in files.items()
    }
