"""Bodies and whole prompts."""

import msgspec
import pytest
from kit.tables import each
from scores import Disk, body_of, compiled, expanded, score

from marianned.score.check.explain import explain
from marianned.score.expanded import ExpandedScore
from marianned.score.read.reader import DiskReader, StoredReader
from marianned.score.read.variables import unpack
from marianned.score.render import template as rendering
from marianned.score.render.assembly import assemble_prompt
from marianned.score.render.prompt_inputs import (
    PreviousAttempt,
    RenderError,
    UpstreamOutputs,
    upstream_sheets,
)
from marianned.score.render.template import Renderer, capture_patterns


def body(
    template: str, variables: str = "{}", sheet: int = 1, previous: UpstreamOutputs | None = None, **parts
) -> str:
    prompt = msgspec.json.encode({"template": template}).decode()[:-1] + f', "variables": {variables}}}'
    stored = msgspec.json.encode(expanded(score(prompt=prompt, **parts)))
    return body_of(msgspec.json.decode(stored, type=ExpandedScore), sheet, previous)


FAN = "{size: 1, total_items: 3, fan_out: {2: 2}}"


def test_all_names_of_the_contract_are_there():
    names = (
        "{{ sheet_num }} {{ total_sheets }} {{ start_item }} {{ end_item }} {{ stage }} {{ movement }}"
        " {{ instance }} {{ voice }} {{ fan_count }} {{ voice_count }} {{ total_stages }} {{ total_movements }}"
        " {{ workspace }} {{ instrument_name }} {{ previous_outputs }} {{ previous_files }} {{ skipped_upstream }}"
        " {{ injected_context }}{{ injected_skills }}{{ injected_tools }}[{{ stakes }}{{ thinking_method }}]"
    )
    text = body_of(expanded(score(sheet=FAN, prompt=f"{{template: '{names}'}}")), 3)
    assert text == "3 4 3 3 2 2 2 2 2 2 3 3 /home/me/workspaces/n tool {} {} [] [][][][]"


def test_variables_survive_being_stored():
    variables = (
        "{a: {1: x, '2': y, false: z}, day: 2024-01-02, n: [{1: p}], big: 123456789012345678901234567890}"
    )
    template = "{{ a[1] }}{{ a[2] }}{{ a[false] }} {{ day.year }} {{ n[0][1] }} {{ big }} {{ day }}"
    assert body(template, variables) == "xyz 2024 p 123456789012345678901234567890 2024-01-02"


def test_a_template_may_change_its_variables_for_itself_only():
    template = "{% set _ = found.append(sheet_num) %}{{ found }}"
    assert body(template, "{found: []}", sheet=2) == "[2]"


@each(
    "template",
    [
        "{% set _ = found.append(sheet_num) %}{{ found }}",
        "{% set range = found.append %}{% set _ = range(sheet_num) %}{{ found }}",
        "{% macro add(range) %}{{ range(sheet_num) }}{% endmacro %}{{ add(found.append) }}{{ found }}",
        "{% set _ = (found|attr('append'))(sheet_num) %}{{ found }}",
        "{% set _ = deep.found.insert(0, sheet_num) %}{{ deep.found }}",
        "{% for n in range(2) %}{% if n %}{% set _ = found.extend([n]) %}{% endif %}{% endfor %}{{ found }}",
        "{{ found }}{{ range(3)|list }}",
    ],
)
def test_what_one_sheet_changes_no_other_sheet_sees(template):
    variables = {"found": [], "deep": {"found": []}}
    whole = expanded(
        score(prompt=msgspec.json.encode({"template": template, "variables": variables}).decode())
    )
    together = Renderer(whole)
    for sheet in whole.sheets * 2:
        alone = body_of(whole, sheet.sheet)
        assert together.body(sheet, UpstreamOutputs()) == alone


def test_variables_are_made_once_for_all_sheets_where_the_template_changes_none(monkeypatch):
    made = []
    monkeypatch.setattr(rendering, "unpack", lambda value: made.append(1) or unpack(value))
    for count in (2, 20):
        made.clear()
        sheet = f"{{size: 1, total_items: {count}}}"
        expanded(
            score(sheet=sheet, prompt="{template: '{{ texts[0] }}{{ sheet_num }}', variables: {texts: [a]}}")
        )
        assert len(made) < 5


def test_built_ins_win_over_variables():
    assert body("{{ stage }}", "{stage: 9}", sheet=2) == "2"


def test_the_body_keeps_its_last_newline_and_is_not_escaped():
    assert body("{{ a }}\n", "{a: <b>&}") == "<b>&\n"


def test_earlier_outputs_are_given():
    previous = UpstreamOutputs(outputs={2: "b", 1: "a"}, files={"/w/f": "c"}, skipped=[1])
    template = "{{ previous_outputs }}{{ previous_files }}{{ skipped_upstream }}"
    assert body(template, sheet=3, previous=previous) == "{1: 'a', 2: 'b'}{'/w/f': 'c'}[1]"


@each(
    "template",
    [
        "{{ previous_outputs[1] }}",
        "{{ ''.__class__ }}",
        "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
        "{% for a in range(100000) %}{% for b in range(1000) %}aaaaaaaaaaaaaaaa{% endfor %}{% endfor %}",
        "{{ 10 ** 10000000 }}",
    ],
)
def test_what_cannot_be_rendered_is_an_error(template):
    plain = expanded(score())
    broken = msgspec.structs.replace(plain, prompt=msgspec.structs.replace(plain.prompt, template=template))
    with pytest.raises(RenderError):
        body_of(broken, 1)


def test_without_a_template_the_items_are_named():
    text = expanded(score(sheet="{size: 5, total_items: 12}", prompt="{}"))
    assert body_of(text, 3) == "Process items 11 to 12 (sheet 3 of 3)."


def test_a_template_may_stand_in_a_file():
    disk = Disk({"/s/t.md": "from {{ stage }}\n"})
    result = compiled(score(prompt="{template_file: t.md}"), disk)
    assert result.files == {"/s/t.md": "from {{ stage }}\n"}
    assert body_of(result.expanded, 2) == "from 2\n"
    (problem,) = compiled(score(prompt="{template_file: t.md}"), Disk({"/s/t.md": "a\n{{ b }}"})).problems
    assert (problem.code, problem.line, problem.message) == ("S202", 4, "'b' is undefined (line 2 of 't.md')")


def test_upstream_is_all_a_sheet_needs_directly_or_not():
    graph = expanded(score(sheet="{size: 1, total_items: 4, dependencies: {2: [1], 4: [2]}}"))
    assert [upstream_sheets(graph, sheet) for sheet in (1, 2, 3, 4)] == [[], [1], [], [1, 2]]


def test_outputs_may_be_asked_for_that_the_run_will_give():
    text = score(prompt='{template: "{% if stage > 1 %}{{ previous_outputs[stage - 1] }}{% endif %}."}')
    assert compiled(text).expanded is None
    text += "cross_sheet: {auto_capture_stdout: true, lookback_sheets: 1}\n"
    assert len(explain(expanded(text), prompts=False)) == 4


def test_capture_patterns_are_rendered_and_absolute():
    text = score() + "cross_sheet: {capture_files: ['{{ workspace }}/a-{{ stage }}.md', '**/*.txt']}\n"
    assert capture_patterns(expanded(text), 2) == [
        "/home/me/workspaces/n/a-2.md",
        "/home/me/workspaces/n/**/*.txt",
    ]


WHOLE = (
    score(
        name="release-notes",
        sheet="{size: 1, total_items: 3, fan_out: {2: 2}, descriptions: {1: a, 2: for users, 3: b},"
        " prompt_extensions: {2: [only here]}}",
        prompt='{template: "the body\\n", stakes: Much., thinking_method: Slowly., prompt_extensions: [x.md, "y"]}',
        validations="[{type: content_regex, path: notes.md, pattern: ^a, stage: 2, description: begins with a},"
        " {type: command_succeeds, command: 'test {stage} = 2'}]",
    )
    + "workspace: /srv/out\nparallel: {enabled: true}\nmovements: {2: {name: Drafts}}\n"
)


def whole() -> ExpandedScore:
    return expanded(WHOLE, Disk({"/s/x.md": "from x"}))


def test_a_prompt_is_assembled_in_order():
    assert (
        assemble_prompt(whole(), 2, "the body\n", None)
        == """\
[job release-notes] sheet 2 of 4, stage 2 "Drafts", instance 1 of 2
for users
Write everything this sheet produces under /srv/out unless told otherwise below.
Other sheets of this job may run at the same time in the same workspace.
Nobody can answer questions while you run. Leave no process running when you finish.

the body

Much.

Slowly.

from x

y

only here

## Acceptance checks

1. this command exits with 0: test 2 = 2
2. the file /srv/out/notes.md matches the regular expression ^a (begins with a)"""
    )


def test_a_plain_prompt_has_only_what_it_needs():
    prompt = assemble_prompt(expanded(score(validations=None)), 1, "go", None)
    assert prompt.splitlines()[0] == "[job n] sheet 1 of 4, stage 1"
    assert "at the same time" not in prompt
    assert prompt.endswith("finish.\n\ngo")


def test_a_prompt_for_an_agent_may_quote_for_the_shell_and_use_its_braces():
    text = score(prompt="{template: 'run {{ stakes | sh }} ${#a[@]}', stakes: it is}")
    (first, *_) = expanded(text).sheets
    prompt = assemble_prompt(expanded(text), first.sheet, body_of(expanded(text), 1), None)
    assert "run 'it is' ${#a[@]}" in prompt


def test_stakes_that_the_template_uses_are_not_repeated():
    text = score(prompt="{template: 'mind: {{ stakes }}', stakes: Much., thinking_method: Slowly.}")
    plain = expanded(text)
    prompt = assemble_prompt(plain, 1, body_of(plain, 1), None)
    assert prompt.count("Much.") == 1
    assert prompt.count("Slowly.") == 1


def test_the_prompt_of_a_shell_sheet_is_its_body_alone():
    attempt = PreviousAttempt(kind="retry", ending="exit code 1")
    assert assemble_prompt(expanded(score(instrument="cli")), 1, "echo a\n", attempt) == "echo a\n"


def test_a_completion_is_told_what_passed_and_what_is_missing():
    attempt = PreviousAttempt(
        kind="completion",
        ending="exit code 0, 1 of 2 checks failed",
        passed=["/w/a"],
        failed=[("/w/b", "not there")],
        stderr_tail="\n".join(f"line {n}" for n in range(30)),
    )
    told = assemble_prompt(expanded(score()), 1, "go", attempt).partition("## Previous attempt\n")[2]
    assert (
        told.index("exit code 0")
        < told.index("- /w/a")
        < told.index("- /w/b: not there")
        < told.index("line 10")
    )
    assert "line 9\n" not in told


def test_a_retry_is_not_told_what_passed():
    attempt = PreviousAttempt(kind="retry", ending="exit code 1", passed=["/w/a"])
    assert "/w/a" not in assemble_prompt(expanded(score(validations=None)), 1, "go", attempt)


def test_identical_inputs_give_identical_prompts():
    assert explain(whole(), prompts=True) == explain(whole(), prompts=True)


def test_a_stored_revision_is_compiled_from_its_files(tmp_path):
    (tmp_path / "t.md").write_text("from disk")
    stored = StoredReader({"/gone/t.md": "stored", "/gone/.marianne/instruments/a.yaml": ""})
    assert stored.read("/gone/t.md") == b"stored"
    assert stored.names("/gone") == ["t.md"]
    assert stored.is_file("/gone/t.md")
    assert stored.read(str(tmp_path / "t.md")) == b"from disk"
    assert stored.names(str(tmp_path)) == []


def test_the_disk_is_read_as_it_is(tmp_path):
    disk = DiskReader()
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("")
    assert disk.names(str(tmp_path)) == ["a", "b"]
    assert disk.names(str(tmp_path / "gone")) == []
    assert disk.is_file(str(tmp_path / "a"))
    assert disk.is_directory(str(tmp_path / "b"))
    assert disk.unwritable(str(tmp_path / "c" / "d")) is None
    assert disk.unwritable(str(tmp_path / "a" / "d")) == f"'{tmp_path / 'a'}' is a file, not a directory"
    assert disk.home("")
    assert disk.home("nobody-of-that-name") is None
    assert disk.executable("bash")
    assert not disk.executable("no-such-program")


def test_the_workspace_of_the_command_line_wins():
    assert expanded(score()).workspace == "/home/me/workspaces/n"
    assert expanded(score() + "workspace: ~/w\n").workspace == "/home/me/w"
    assert expanded(score() + "workspace: ../w\n", workspace="here").workspace == "/sub/here"
