"""What newer scores use (docs/reference/score-format.md §9.2, §9.6, §14, §28), as it is read."""

import pytest
from kit.tables import each
from scores import Disk, body_of, compiled, expanded, score

from marianned.score.render.assembly import describe_check
from marianned.score.render.injected_files import inject
from marianned.score.render.prompt_inputs import RenderError, UpstreamOutputs
from marianned.score.render.template import Renderer
from marianned.score.render.templated_variables import TemplatedVariables

TWO = "{size: 1, total_items: 2}"


def problems(text: str, disk: Disk | None = None) -> list[tuple[str, str | None]]:
    return [(one.code, one.path) for one in compiled(text, disk).problems]


def bodies(text: str) -> list[str]:
    found = expanded(text)
    return [body_of(found, sheet.sheet) for sheet in found.sheets]


def test_score_dir_is_known_in_templates_checks_skip_commands_hooks_and_injected_paths():
    text = score(
        prompt='{template: "see {{ score_dir }}/a"}',
        sheet='{size: 1, total_items: 2, skip_when: {2: {command: "test -e {score_dir}/done"}},'
        ' prelude: [{file: "{{ score_dir }}/rules.md", as: skill}]}',
        validations='[{type: command_succeeds, command: "test -d {score_dir}/patterns"}]',
        on_success='[{type: run_command, command: "ls {score_dir}"}]',
        cross_sheet='{capture_files: ["{{ score_dir }}/*.md"]}',
    )
    found = expanded(text)
    assert bodies(text) == ["see /s/a", "see /s/a"]
    assert found.sheets[0].checks[0].target == "test -d /s/patterns"
    assert found.sheets[1].skip.command == "test -e /s/done"
    assert found.hooks[0].argv[-1] == "ls /s"
    assert found.sheets[0].injections[0].path == "{{ score_dir }}/rules.md"
    assert problems(text) == []
    assert ("S209", "prompt.variables.score_dir") in problems(
        score(prompt="{template: x, variables: {score_dir: a}}")
    )


def test_a_variable_that_is_a_template_is_rendered_for_each_sheet_wherever_it_is_used():
    text = score(
        workspace="/w",
        sheet='{size: 1, total_items: 2, skip_when_command: {2: {command: "test -e {out}"}}}',
        prompt='{template: "echo > {{ out }}; {{ all.files[0] }} {{ all.deep.a }}", variables: {'
        'out: "{{ base }}/{{ sheet_num }}.txt", base: "{{ workspace }}/out", fine: 3,'
        ' all: {files: ["{{ out }}"], deep: {a: "{{ fine + 1 }}"}}}}',
        validations='[{type: file_exists, path: "{out}"}, {type: file_exists, path: a, condition: "out == \'/w/out/2.txt\'"}]',
        on_success='[{type: run_command, command: "ls {base} {out}"}]',
    )
    found = expanded(text)
    assert bodies(text) == [f"echo > /w/out/{n}.txt; /w/out/{n}.txt 4" for n in (1, 2)]
    assert [[check.target for check in sheet.checks] for sheet in found.sheets] == [
        ["/w/out/1.txt"],
        ["/w/out/2.txt", "/w/a"],
    ]
    assert found.sheets[1].skip.command == "test -e /w/out/2.txt"
    assert (
        found.hooks[0].argv[-1] == "ls /w/out '{{ base }}/{{ sheet_num }}.txt'"
    )  # a hook belongs to no sheet
    assert problems(text) == []


def test_what_cannot_be_rendered_stays_as_it_is_with_a_warning():
    text = score(
        prompt='{template: "{{ a }} {{ b }}", variables: {a: "{{ nothing }}!", b: ["{% if %}", "{{ 1 }}"]}}'
    )
    assert bodies(text)[0] == "{{ nothing }}! ['{% if %}', '1']"
    assert problems(text) == [("S214", "prompt.variables.a"), ("S214", "prompt.variables.b")]
    raw = score(prompt='{template: "{{ a }}", variables: {a: "{% raw %}{{ x }}{% endraw %}"}}')
    assert bodies(raw)[0] == "{{ x }}"
    assert problems(raw) == []


def test_outputs_of_earlier_sheets_are_no_part_of_a_variable():
    text = score(prompt='{template: "{{ a }}", variables: {a: "{{ previous_outputs }}"}}')
    assert problems(text) == [("S214", "prompt.variables.a")]


def test_variables_that_need_each_other_are_an_error():
    text = score(prompt='{template: "{{ a }}", variables: {a: "{{ b }}", b: "{{ a }}", c: "{{ a }}"}}')
    assert problems(text) == [("S215", "prompt.variables.a"), ("S215", "prompt.variables.b")]


def test_templates_are_rendered_in_an_order_that_serves_their_needs():
    names = {"c": {"b"}, "b": {"a"}, "a": frozenset()}
    found = TemplatedVariables({"c": "{{ b }}", "b": "{{ a }}", "a": "{{ 1 }}"}, frozenset(), lambda text: names[
        {"{{ b }}": "c", "{{ a }}": "b", "{{ 1 }}": "a"}[text]
    ])  # fmt: skip
    assert found.order == ["a", "b", "c"]


def test_a_modify_compares_what_a_variable_is_rendered_to():
    text = 'prompt: {template: "{{ a }}", variables: {a: "{{ %s }}"}}\n'
    same, other = (expanded(score(prompt=None) + text % said) for said in ("1 + 1", "2"))
    assert [a.digests for a in same.sheets] == [b.digests for b in other.sheets]
    changed = expanded(score(prompt=None) + text % "3")
    assert all(
        a.digests["prompt"] != b.digests["prompt"] for a, b in zip(same.sheets, changed.sheets, strict=True)
    )


def test_skip_when_may_be_a_command():
    text = score(
        sheet='{size: 1, total_items: 2, skip_when: {2: {command: "true", description: d, timeout_seconds: 5}}}'
    )
    skip = expanded(text).sheets[1].skip
    assert (skip.when, skip.command, skip.description, skip.timeout_seconds) == (None, "true", "d", 5)


@each(
    ("rules", "found"),
    [
        (
            "skip_when: {2: {command: a}}, skip_when_command: {2: {command: b}}",
            [("S015", "sheet.skip_when.2")],
        ),
        ("skip_when: {2: [a]}", [("S012", "sheet.skip_when.2")]),
        ("skip_when: {2: {description: d}}", [("S011", "sheet.skip_when.2.command")]),
        ("skip_when: {2: 'stage =='}", [("S206", "sheet.skip_when.2")]),
    ],
)
def test_a_wrong_skip_rule_is_one_problem(rules, found):
    assert problems(score(sheet=f"{{size: 1, total_items: 2, {rules}}}")) == found


def test_a_workspace_that_is_left_out_is_the_jobs_own():
    assert expanded(score()).workspace == "/home/me/workspaces/n"
    assert expanded(score(name="m")).workspace == "/home/me/workspaces/m"
    assert expanded(score(), workspace="x").workspace == "/sub/x"


def test_an_extension_is_a_file_only_without_blanks_and_is_never_rendered():
    text = score(
        prompt='{template: x, prompt_extensions: ["Write it to summary.md", "under {{ workspace }}", rules.md]}'
    )
    disk = Disk({"/s/rules.md": "be kind"})
    assert expanded(text, disk).prompt.extensions == (
        "Write it to summary.md",
        "under {{ workspace }}",
        "be kind",
    )
    assert problems(text, disk) == [("S208", "prompt.prompt_extensions.1")]


@each(
    ("check", "found"),
    [
        ("path_in_scope", [("S011", "path")]),
        ("field_match, path: a, expected_value: 1", [("S011", "field_path")]),
        ("field_match, path: a, field_path: b", [("S015", None)]),
        ("field_match, path: a, field_path: b, expected_value: 1, source_path: c", [("S015", None)]),
        ("field_match, path: a, field_path: b, expected_value: null", []),
        ("field_match, path: a, field_path: b..c, expected_value: 1", [("S013", "field_path")]),
        ("file_sha256, path: a", [("S011", "sha256")]),
        ("file_sha256, path: a, sha256: abc", [("S013", "sha256")]),
        ("csv_unique_key, path: a", [("S011", "key_field")]),
        ("field_match, path: a, field_path: b, source_path: '{gone}/c'", [("S204", "source_path")]),
    ],
)
def test_what_a_check_of_data_needs(check, found):
    said = [(code, (path or "").removeprefix("validations.0").lstrip(".") or None) for code, path in problems(
        score(validations=f"[{{type: {check}}}]")
    )]  # fmt: skip
    assert said == found


def test_checks_of_data_are_file_checks_with_placeholders_and_stand_in_the_prompt():
    text = score(
        validations="[{type: path_in_scope, path: '{workspace}/a', path_scope: '{score_dir}'},"
        " {type: field_match, path: 'r{stage}.json', field_path: done, expected_value: true},"
        " {type: field_match, path: r.json, field_path: n, source_path: '{score_dir}/m.yaml', source_field_path: k}]"
    )
    checks = expanded(text).sheets[0].checks
    assert [(check.retry_count, check.target) for check in checks] == [
        (3, "/home/me/workspaces/n/a"),
        (3, "/home/me/workspaces/n/r1.json"),
        (3, "/home/me/workspaces/n/r.json"),
    ]
    assert [describe_check(check) for check in checks] == [
        "the path /home/me/workspaces/n/a lies in /s",
        "in the file /home/me/workspaces/n/r1.json the field done is true",
        "in the file /home/me/workspaces/n/r.json the field n is that of /s/m.yaml, k",
    ]


def test_directories_below_an_injected_one_are_told_of():
    text = score(sheet="{size: 1, total_items: 1, prelude: [{directory: d, as: context}]}")
    disk = Disk({"/s/d/a": "1", "/s/d/sub/e": "4", "/s/d/.git/x": ""})
    assert problems(text, disk) == [("S307", "sheet.prelude.0.directory")]
    found = inject(Renderer(expanded(text, disk)), expanded(text, disk).sheets[0], UpstreamOutputs(), disk)
    assert found.passed_over == [
        "of the directory 'd' only its own files are injected, not what lies in 'sub'"
    ]


def test_a_required_directory_has_a_file():
    text = score(sheet="{size: 1, total_items: 1, prelude: [{directory: d, as: context, required: true}]}")
    whole = expanded(text, Disk({"/s/d/sub/e": "4"}))
    with pytest.raises(RenderError, match="has no file, and it is required"):
        inject(Renderer(whole), whole.sheets[0], UpstreamOutputs(), Disk({"/s/d/sub/e": "4"}))


def test_what_other_readers_have_is_accepted_and_said_to_be_without_effect():
    text = score(schedule="0 3 * * *", judgment="{enabled: true}", code_execution="true")
    assert [code for code, _ in problems(text)] == ["S501"] * 3
    settings = score(
        instrument_config="{interactive: true, interactive_max_nudges: 3, response_format: json}"
    )
    assert [code for code, _ in problems(settings)] == ["S404"] * 3


def test_the_input_of_a_compiler_is_no_score():
    (problem,) = compiled("name: a\nagents: [a]\ndefaults: {}\n").problems
    assert (problem.code, problem.message) == ("S004", "this is the input of a compiler, not a score")


def test_a_profile_that_says_so_is_not_usable():
    profile = (
        "name: later\nkind: cli\nexecution_status: unsupported\nexecution_status_detail: waits for a screen\n"
        "cli: {command: {executable: later, json_schema_flag: --schema}, interactive: {a: b}}\n"
    )
    disk = Disk({"/s/.marianne/instruments/later.yaml": profile})
    found = compiled(score(instrument="later"), disk).problems
    assert [(p.code, p.message) for p in found] == [
        ("S403", "'later' can't be used: waits for a screen"),
        ("S501", "'json_schema_flag' is accepted and has no effect"),
        ("S501", "'interactive' is accepted and has no effect"),
    ]


def test_a_stage_may_be_tried_again_in_its_own_way():
    text = score(
        retry="{max_retries: 5, base_delay_seconds: 7}",
        movements="{2: {retry: {max_retries: 0}}, 3: {retry: {base_delay_seconds: 2h}}}",
    )
    found = expanded(text)
    ways = [found.retry_of(sheet) for sheet in (1, 2, 3)]
    assert [(way.max_retries, way.base_delay_seconds, way.max_delay_seconds) for way in ways] == [
        (5, 7, 3600),
        (0, 7, 3600),
        (5, 7200, 7200),
    ]
    plain = expanded(score(retry="{max_retries: 5, base_delay_seconds: 7}"))
    differ = [
        a.digests["retry"] != b.digests["retry"] for a, b in zip(found.sheets, plain.sheets, strict=True)
    ]
    assert differ == [False, True, True, False]
    wrong = score(movements="{2: {retry: {max_delay_seconds: 1}}}")
    assert problems(wrong) == [("S013", "movements.2.retry.max_delay_seconds")]
