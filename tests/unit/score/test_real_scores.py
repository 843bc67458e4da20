"""Scores that other people wrote expand exactly as the contract says."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from kit.tables import each
from scores import body_of

from marianned.instruments.loader import builtin_profiles
from marianned.score.check.compiler import compile_score
from marianned.score.check.explain import explain
from marianned.score.expanded import CompileResult, ExpandedScore
from marianned.score.read.reader import DiskReader, ScoreSource
from marianned.score.render.prompt_inputs import UpstreamOutputs

SCORES = Path(__file__).parents[3].parent / "shared" / "scores"
NAMES = sorted(path.stem for path in (SCORES / "expected").glob("*.json"))
INSTRUMENT_SPECIFIC = {"model", "cli_model", "allowed_tools", "output_format", "cli_extra_args"}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not NAMES, reason="the real scores are not beside the project"),
]


class Anywhere(DiskReader):
    """The disk, on which every directory can be made and every tool is installed."""

    def unwritable(self, path: str) -> str | None:
        return None

    def executable(self, name: str) -> bool:
        return True

    def home(self, user: str) -> str | None:
        return None


def expected(name: str) -> dict:
    return json.loads((SCORES / "expected" / f"{name}.json").read_text("utf-8"))


def compiled(name: str) -> CompileResult:
    path = (SCORES / expected(name)["score"]).resolve()
    source = ScoreSource(
        text=path.read_bytes(),
        file=str(path),
        directory=str(path.parent),
        submit_directory="/",
        workspace="/WS",
    )
    return compile_score(source, Anywhere(), builtin_profiles())


def expanded(name: str) -> ExpandedScore:
    """Return what a score expands to, without what is newer than what is expected: variables as templates."""
    found = compiled(name).expanded
    assert found is not None
    if name == "issue-solver":
        plain = "{% raw %}" + found.prompt.variables["preamble"] + "{% endraw %}"
        prompt = msgspec.structs.replace(found.prompt, variables=found.prompt.variables | {"preamble": plain})
        found = msgspec.structs.replace(found, prompt=prompt)
    return found


def with_documented_differences(name: str, sheet: dict) -> dict:
    sheet = dict(sheet)
    sheet.pop("body_with_previous", None)
    if sheet["instrument"] == "cli":  # agents play no program
        sheet["fallbacks"] = []
    elif "cli_model" not in sheet["instrument_config"]:  # the same tool for another model is a fallback
        sheet["fallbacks"] = [other for other in sheet["fallbacks"] if other != sheet["instrument"]]
    if name == "market-open" and sheet["instrument"] != "claude-code":
        sheet["instrument_config"] = {
            k: v for k, v in sheet["instrument_config"].items() if k != "allowed_tools"
        }
    if name == "instrument-showcase":
        sheet["instrument_config"] = {"skip_permissions": True, "disable_mcp": True} | sheet[
            "instrument_config"
        ]
    return sheet


@each("name", NAMES)
def test_a_real_score_has_no_errors(name):
    result = compiled(name)
    assert [problem for problem in result.problems if problem.severity == "error"] == []
    assert result.expanded is not None


@each("name", NAMES)
def test_a_real_score_expands_as_expected(name):
    result = compiled(name)
    want = expected(name)
    assert (result.total_sheets, result.total_stages) == (want["total_sheets"], want["total_stages"])
    got = json.loads(json.dumps(explain(expanded(name), prompts=False)))
    for sheet in got:
        assert [one["instrument"] for one in sheet.pop("chain")] == [sheet["instrument"], *sheet["fallbacks"]]
        assert sheet.pop("loop") is None
    assert got == [with_documented_differences(name, sheet) for sheet in want["sheets"]]


@each("name", NAMES)
def test_a_real_score_renders_what_earlier_sheets_gave(name):
    found = expanded(name)
    for sheet in expected(name)["sheets"]:
        number = sheet["sheet"]
        previous = UpstreamOutputs(
            outputs={k: f"OUTPUT OF SHEET {k}" for k in range(1, number)},
            files={"/WS/captured.md": "CAPTURED FILE BODY"},
        )
        body = body_of(found, number, previous)
        want = sheet.get("body_with_previous", sheet["body"])
        assert {"chars": len(body), "sha256": hashlib.sha256(body.encode()).hexdigest()} == want


@each("name", NAMES)
def test_the_prompts_of_a_real_score_can_be_shown(name):
    sheets = explain(compiled(name).expanded, prompts=True)
    assert all(sheet["prompt"] for sheet in sheets)


def test_a_variable_of_a_real_score_that_is_a_template_is_rendered():
    found = compiled("issue-solver").expanded
    assert "{{ repo }}" in found.prompt.variables["preamble"]
    assert "ISSUE SOLVER (Mzzkc/marianne-ai-compose)" in body_of(found, 1)
