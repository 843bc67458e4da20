"""What needs no worker is what a worker would have said: bodies without a mark, ends of scripts that went well."""

import msgspec
import pytest

from marianned import workers
from marianned.instruments.loader import builtin_profiles
from marianned.score.read.reader import ScoreSource
from marianned.score.render.plain import plain_body
from marianned.score.render.prompt_inputs import UpstreamOutputs

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_pool")]
CLI, CLAUDE = builtin_profiles()["cli"], builtin_profiles()["claude-code"]
ENDED = {"exit_code": 0, "signal_name": None, "timed_out": False, "timeout_seconds": 60.0}


async def expanded(tmp_path, template):
    text = msgspec.json.encode(
        {
            "name": "plain",
            "workspace": str(tmp_path / "work"),
            "instrument": "cli",
            "sheet": {"size": 1, "total_items": 2},
            "prompt": {"template": template},
        }
    )
    source = ScoreSource(
        text=text, file=str(tmp_path / "s.yaml"), directory=str(tmp_path), submit_directory=str(tmp_path)
    )
    compiled = await workers.compile_score(source)
    assert compiled.expanded is not None, compiled.problems
    return compiled.expanded


@pytest.mark.parametrize(
    "template",
    [
        "true",
        "true\n",
        "\n\ntrue\n\n",
        "a { b } c }} %} #} $ { {x} \\{ \\n",
        "# a comment\n## another\n% {\n",
        "tab\tand é, 漢\n",
    ],
)
async def test_a_body_without_a_mark_is_what_the_engine_makes_of_it(tmp_path, template):
    score = await expanded(tmp_path, template)
    assert score.prompt.template == template
    stored = msgspec.msgpack.encode(score)
    rendered = await workers.render_prompt(f"1@{template}", stored, 2, UpstreamOutputs(), None)
    body = plain_body(score)
    assert (body, body, []) == rendered


@pytest.mark.parametrize(
    "template", ["{{ sheet_num }}", "{% if 1 %}a{% endif %}", "a {# no #}", "${#a}", "a\r\nb", "x" * 70_000]
)
async def test_a_body_with_a_mark_or_a_long_one_is_rendered_by_a_worker(tmp_path, template):
    assert plain_body(await expanded(tmp_path, template)) is None


@pytest.fixture
def outputs(tmp_path):
    (tmp_path / "stderr").write_bytes(b"error: rate limit exceeded, 429\n")
    return {"stdout": str(tmp_path / "stdout"), "stderr": str(tmp_path / "stderr")}


@pytest.mark.parametrize(
    "printed",
    [b"", b"\n", b"one\ntwo  \n\n", b"half \xe6\xbc", b"a\0\0b\n", b"429 too many requests\n", b"x" * 65_536],
)
@pytest.mark.parametrize("settings", [{}, {"max_output_capture_bytes": 5}])
async def test_the_end_of_a_script_that_went_well_is_what_a_worker_reads(
    tmp_path, outputs, printed, settings
):
    (tmp_path / "stdout").write_bytes(printed)
    plain = workers.read_plain_end(CLI, settings, **outputs, exit_code=0)
    assert plain == await workers.read_end(CLI, settings, **outputs, **ENDED)


@pytest.mark.parametrize("code", [1, None])
def test_a_script_that_failed_is_read_by_a_worker(tmp_path, outputs, code):
    (tmp_path / "stdout").write_bytes(b"")
    assert workers.read_plain_end(CLI, {}, **outputs, exit_code=code) is None


def test_an_agent_much_output_and_none_to_be_had_are_read_by_a_worker(tmp_path, outputs):
    assert workers.read_plain_end(CLI, {}, **outputs, exit_code=0) is None
    (tmp_path / "stdout").write_bytes(b"x" * 65_537)
    assert workers.read_plain_end(CLI, {}, **outputs, exit_code=0) is None
    (tmp_path / "stdout").write_bytes(b"{}")
    assert workers.read_plain_end(CLAUDE, {}, **outputs, exit_code=0) is None
    assert workers.read_plain_end(CLI, {"output_format": "json"}, **outputs, exit_code=0) is None
    (tmp_path / "stderr").unlink()
    assert workers.read_plain_end(CLI, {}, **outputs, exit_code=0) is None
