"""Injected files: which are found, what of them goes into a prompt, and where."""

import os

import pytest
from scores import MARK, Disk, compiled, expanded, marked, score

from marianned.score.check.explain import explain
from marianned.score.read.reader import DiskReader
from marianned.score.render.assembly import assemble_prompt
from marianned.score.render.injected_files import FILE_MOST, inject
from marianned.score.render.prompt_inputs import RenderError, UpstreamOutputs
from marianned.score.render.template import Renderer

SECTIONS = "{size: 1, total_items: 2, prelude: [{file: c.md, as: context}, {file: t.md, as: tool}],"
SHEET = f"{SECTIONS} cadenzas: {{2: [{{file: s.md, as: skill}}, {{file: d.md, as: context}}]}}}}"
FILES = {"/s/c.md": "see", "/s/t.md": "use\n", "/s/s.md": "know", "/s/d.md": "see too"}


def prompt(text: str, disk: Disk, sheet: int = 1) -> str:
    return explain(expanded(text, disk), prompts=True, reader=disk)[sheet - 1]["prompt"]


def injected(text: str, disk, sheet: int = 1, **source):
    whole = expanded(text, Disk(), **source)
    return inject(Renderer(whole), whole.sheets[sheet - 1], UpstreamOutputs(), disk)


def test_sections_stand_between_preamble_and_body_and_the_preludes_items_come_first():
    whole = prompt(score(sheet=SHEET), Disk(FILES), 2)
    preamble, _, rest = whole.partition("## Skills\n")
    assert preamble.startswith("[job n] sheet 2 of 2")
    assert rest.startswith(
        "\n[file: s.md]\nknow\n\n## Tools\n\n[file: t.md]\nuse\n\n"
        "## Context\n\n[file: c.md]\nsee\n\n[file: d.md]\nsee too\n\ndo 2\n\n## Acceptance checks"
    )


def test_a_cadenza_goes_into_its_sheet_only():
    assert "know" not in prompt(score(sheet=SHEET), Disk(FILES), 1)


def test_the_workspace_goes_before_the_scores_directory():
    text = score(sheet="{size: 1, total_items: 1, prelude: [{file: a.md, as: context}]}")
    there = {"/s/a.md": "beside the score", "/home/me/workspaces/n/a.md": "in the workspace"}
    assert injected(text, Disk(there)).texts("context") == ["in the workspace"]
    assert injected(text, Disk({"/s/a.md": "beside the score"})).texts("context") == ["beside the score"]


def test_a_path_is_a_template_and_is_named_as_given():
    text = score(
        sheet="{size: 1, total_items: 1, prelude: [{file: '{{ workspace }}/{{ stage }}.md', as: tool}]}"
    )
    (piece,) = injected(text, Disk({"/home/me/workspaces/n/1.md": "one"})).pieces
    assert (piece.section, piece.name, piece.text) == ("tool", "/home/me/workspaces/n/1.md", "one")


def test_of_a_directory_every_file_counts_by_name_but_hidden_ones():
    text = score(sheet="{size: 1, total_items: 1, prelude: [{directory: d, as: context}]}")
    disk = Disk({"/s/d/b": "2", "/s/d/a": "1", "/s/d/.c": "3", "/s/d/sub/e": "4"})
    assert [(piece.name, piece.text) for piece in injected(text, disk).pieces] == [("a", "1"), ("b", "2")]


def test_what_is_missing_is_said_and_what_is_required_is_an_error():
    item = "{size: 1, total_items: 1, prelude: [{file: a.md, as: context}, {directory: d, as: tool}]}"
    found = injected(score(sheet=item), Disk())
    assert found.pieces == []
    assert found.missing == ["the file 'a.md' is not there", "the directory 'd' is not there"]
    with pytest.raises(RenderError, match=r"'a.md' is not there, and it is required"):
        injected(score(sheet=item.replace("as: context", "as: context, required: true")), Disk())


def test_binary_and_long_files_are_told_of(tmp_path):
    (tmp_path / "bin").write_bytes(b"\xff\x00")
    (tmp_path / "zero").write_bytes(b"a\0b")
    (tmp_path / "long").write_text("é" * FILE_MOST)
    (tmp_path / "odd").write_text("a" + "é" * FILE_MOST)
    items = ", ".join(f"{{file: {name}, as: context}}" for name in ("bin", "zero", "long", "odd"))
    text = score(sheet=f"{{size: 1, total_items: 1, prelude: [{items}]}}")
    found = injected(text, DiskReader(), directory=str(tmp_path)).texts("context")
    assert found[0] == f"[bin is binary, 2 bytes; read it at {tmp_path}/bin]"
    assert found[1] == f"[zero is binary, 3 bytes; read it at {tmp_path}/zero]"
    first, _, said = found[2].partition("\n")
    assert (first, said) == (
        "é" * (FILE_MOST // 2),
        f"[long has {2 * FILE_MOST} bytes; this is the first MiB, the whole is at {tmp_path}/long]",
    )
    assert found[3].partition("\n")[0] == "a" + "é" * (FILE_MOST // 2 - 1)


def test_an_unreadable_thing_is_missing_and_no_pipe_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    text = score(
        sheet="{size: 1, total_items: 1, prelude: [{file: pipe, as: context}, {file: 'a\\0b', as: tool}]}"
    )
    found = injected(text, DiskReader(), directory=str(tmp_path))
    assert len(found.missing) == 2


def test_a_template_may_use_the_texts_and_a_file_that_comes_later_is_no_error():
    text = score(
        sheet="{size: 1, total_items: 1, prelude: [{file: a.md, as: skill}]}",
        prompt='{template: "{{ injected_skills[0] }}!"}',
    )
    disk = Disk({"/s/a.md": "sing"})
    assert explain(expanded(text, disk), prompts=False, reader=disk)[0]["body"]["chars"] == len("sing!")
    assert [problem.code for problem in compiled(text, Disk()).problems] == ["S302"]


def test_a_file_that_changes_leaves_the_definition_and_a_path_does_not():
    prompt_of = '{template: "{{ injected_skills }}"}'
    text = score(sheet="{size: 1, total_items: 1, prelude: [{file: a.md, as: skill}]}", prompt=prompt_of)

    def digests(source: str, content: str) -> dict[str, str]:
        return expanded(source, Disk({"/s/a.md": content, "/s/b.md": content})).sheets[0].digests

    assert digests(text, "one") == digests(text, "two")
    one, other = digests(text, "one"), digests(text.replace("a.md", "b.md"), "one")
    assert {aspect for aspect in one if one[aspect] != other[aspect]} == {"files"}


def test_a_raw_prompt_is_its_body_alone():
    text = score(
        sheet="{size: 1, total_items: 1, prelude: [{file: a.md, as: skill, required: true}]}",
        instrument="cli",
    )
    assert injected(text, Disk()).pieces == []
    assert prompt(text, Disk({"/s/a.md": "sing"})) == "do 1"


def test_an_undefined_name_in_a_path_is_found_at_its_place():
    text = score(
        sheet=f"{{size: 1, total_items: 2, cadenzas: {{2: [{{file: {MARK}'{{{{ wrkspace }}}}', as: tool}}]}}}}"
    )
    text, line, column = marked(text)
    (problem,) = compiled(text).problems
    assert (problem.code, problem.severity, problem.line, problem.column) == ("S202", "error", line, column)
    assert (problem.sheets, problem.hint) == ([2], "did you mean 'workspace'?")


def test_identical_files_make_identical_prompts():
    whole = expanded(score(sheet=SHEET), Disk(FILES))
    found = inject(Renderer(whole), whole.sheets[1], UpstreamOutputs(), Disk(FILES))
    assert assemble_prompt(whole, 2, "x", None, found) == assemble_prompt(whole, 2, "x", None, found)
