"""Each problem code: the smallest score that has it, its severity, and its place (marked with «)."""

import re
from pathlib import Path

import pytest
from kit.tables import each
from scores import Disk, compiled, marked, score

from marianned.problem import SEVERITIES, severity_of

FAN = "{size: 1, total_items: 2, fan_out: {2: 2}}"
PAR = "{enabled: true}"
ISOLATED = score() + "isolation: {enabled: true}\n"

CASES = [
    ("S002", "name: [a\n«"),
    ("S002", "name: «\x01\n"),
    ("S002", "name: «!custom a\n"),
    ("S002", "name: «*nowhere\n"),
    ("S002", "day: «2024-13-45\n"),
    ("S002", "? «[a]\n: b\n"),
    ("S002", "<<: «5\n"),
    ("S003", score() + "«name: again\n"),
    ("S003", score(sheet="{size: 1, total_items: 4, fan_out: {2: 1, «2: 1}}")),
    ("S003", score(sheet='{size: 1, total_items: 4, fan_out: {2: 1, «"2": 1}}')),
    ("S004", "«"),
    ("S004", "«- a\n"),
    ("S004", "name: a\n«--- \nname: b\n"),
    ("S004", "«fleet: {a: b}\n"),
    ("S004", "x: 1\n«scheduler: {a: b}\n"),
    ("S005", "a: " + "[" * 64 + "«[]" + "]" * 64),
    ("S005", "a: &a [«*a]\n"),
    ("S005", "a: &a [1, 1, 1]\nb: &b [" + "*a, " * 200 + "*a]\nc: [" + "*b, " * 123 + "«*b]\n"),
    ("S010", score() + "«validation: []\n"),
    ("S010", score(sheet="{size: 1, total_items: 4, «fanout: {}}")),
    ("S010", score() + "backend: {«color: red}\n"),
    ("S011", "«" + score(name=None)),
    ("S011", score(sheet="«{size: 1}")),
    ("S011", score(validations="[«{type: file_exists}]")),
    ("S011", score(validations="[«{type: command_succeeds}]")),
    ("S011", score(validations="[«{type: content_regex, path: a}]")),
    ("S011", score() + "cost_limits: «{enabled: true}\n"),
    ("S011", score() + "on_success: [«{type: run_job}]\n"),
    ("S011", score() + "notifications: [«{type: webhook}]\n"),
    ("S012", score(sheet="«[]")),
    ("S012", score(sheet="{size: «many, total_items: 4}")),
    ("S012", score(name="«[a]")),
    ("S012", score() + "retry: {jitter: «maybe}\n"),
    ("S012", score() + "parallel: {stagger_delay_ms: «[1]}\n"),
    ("S012", score(sheet="{size: 1, total_items: 4, fan_out: {«two: 2}}")),
    ("S012", score() + "instrument_fallbacks: «other\n"),
    ("S012", score() + "learning: «yes\n"),
    ("S012", score(sheet="{size: 1, total_items: 4, fan_out: «[2]}")),
    ("S012", score() + "instrument_config: «[a]\n"),
    ("S012", score() + "retry: «[a]\n"),
    ("S012", score(validations="[{type: file_exists, path: a, timeout_seconds: «[5]}]")),
    ("S013", score(sheet="{size: «0, total_items: 4}")),
    ("S013", score(sheet="{size: 1, total_items: 4, start_item: «5}")),
    ("S013", score(sheet="{size: 1, total_items: 4, fan_out: {«0: 2}}")),
    ("S013", score(validations="[{type: «file_missing, path: a}]")),
    ("S013", score() + "parallel: {max_concurrent: «1001}\n"),
    ("S013", score() + "parallel: {budget_partition: «false}\n"),
    ("S013", score() + "retry: {base_delay_seconds: 60, max_delay_seconds: «30}\n"),
    ("S013", score() + "isolation: {branch_prefix: «9a}\n"),
    ("S013", score() + "stale_detection: {idle_timeout_seconds: 10, check_interval_seconds: «10}\n"),
    ("S014", score() + "instrument_config: {timeout_seconds: «soon}\n"),
    ("S014", score() + "instrument_config: {timeout_seconds: «-5}\n"),
    ("S014", score() + "pause_between_sheets_seconds: «999999999999\n"),
    ("S015", score(prompt="{template: a, «template_file: b}")),
    ("S015", score() + "instrument_config: {model: a, «cli_model: b}\n"),
    ("S015", score() + "backend: {type: «other}\n"),
    ("S015", score(sheet="{size: 1, total_items: 4, prelude: [«{as: tool}]}")),
    ("S016", score(name="«-n")),
    ("S016", score(name="«" + "n" * 101)),
    ("S017", score(validations="[{type: content_regex, path: a, pattern: «'a('}]")),
    ("S017", score() + "rate_limit: {detection_patterns: [«'a(']}\n"),
    ("S018", score(sheet="{size: 1, total_items: 4, «total_sheets: 4}")),
    ("S019", score() + "«backend: {skip_permissions: true}\n"),
    ("S019", score(instrument="«claude_cli")),
    ("S020", score(validations="[{type: content_contains, path: a, pattern: «''}]")),
    ("S020", "name:«\n" + score(name=None)),
    ("S020", score() + "workspace: «''\n"),
    ("S101", score(sheet="{size: 1, total_items: 4, dependencies: {4: [«7]}}")),
    ("S102", score(sheet="{size: 1, total_items: 4, dependencies: {2: «[3], 3: [4], 4: [2]}}")),
    ("S103", score(sheet="{size: 1, total_items: 4, dependencies: {2: [1, «2]}}")),
    ("S104", score(sheet="{size: «2, total_items: 4, fan_out: {2: 2}}")),
    ("S104", score(sheet="{size: 1, start_item: «2, total_items: 4, fan_out: {2: 2}}")),
    ("S105", score(sheet="{size: 1, total_items: 4, fan_out: {«5: 2}}")),
    ("S105", score() + "movements: {«5: {name: a}}\n"),
    ("S105", score(sheet="{size: 1, total_items: 4, dependencies: {«9: [1]}}")),
    ("S106", score(sheet=FAN) + "movements: {2: {voices: «3}}\n"),
    ("S107", score(sheet="{size: 1, total_items: 4, per_sheet_instruments: {«5: other}}")),
    ("S107", score(sheet="{size: 1, total_items: 4, instrument_map: {other: [«5]}}")),
    ("S107", score() + "instrument_config: {timeout_overrides: {«5: 60}}\n"),
    ("S107", score(validations="[{type: file_exists, path: a, sheet: «5}]")),
    ("S108", score(sheet="{size: 1, total_items: 4, instrument_map: {other: [2], cli: [«2]}}")),
    ("S109", score(sheet=FAN) + "instrument_config: {«timeout_overrides: {2: 60}}\n"),
    ("S110", score(sheet="{size: 1, total_items: 2, «fan_out: {2: 2}}")),
    ("S110", score() + "parallel: {enabled: «true}\n"),
    ("S111", score(sheet="{size: 1, total_items: «10001}")),
    (
        "S112",
        score(sheet="{size: 1, total_items: 2, fan_out: {2: 2}, «per_sheet_instruments: {2: tool}}")
        + "parallel: {enabled: true}\n",
    ),
    ("S113", score(sheet="{size: 1, total_items: 4, dependencies: {3: [1]}, loops: {«2-3: {}}}")),
    ("S511", score(sheet="{size: 1, total_items: 4, loops: {1-2: {}, «2-3: {}}}")),
    ("S111", score(sheet="{size: 1, total_items: 2, fan_out: {1: 2000, 2: 3000}, dependencies: «{2: [1]}}")),
    ("S201", score(prompt="\n  template: |\n    a\n    «{% if %}\n")),
    ("S202", score(prompt="\n  template: |\n    a\n    b {{ «audience }}\n  variables: {audiences: 1}")),
    ("S202", score(prompt="{template: 'a {{ «b }}'}")),
    ("S202", score(prompt='{template: «"a\n\n  {{ b }}"}')),
    ("S202", score() + "cross_sheet: {capture_files: [«'{{ b }}/*.md']}\n"),
    ("S203", score(prompt="\n  template: |\n    a\n    «{{ 1 / 0 }}\n")),
    ("S203", score(prompt="\n  template: |\n    a\n    «{{ 'a' * 10 ** 9 }}\n")),
    ("S203", score(prompt="\n  template: |\n    «{% include 'a' %}\n")),
    ("S203", score(prompt="\n  template: «|\n    {{ '%c' | format(55296) }}\n")),
    ("S204", score(validations="[{type: file_exists, path: «'{color}/a'}]")),
    ("S204", score(validations="[{type: file_exists, path: «'{stage:q}/a'}]")),
    ("S204", score(validations="[{type: command_succeeds, command: a, working_directory: «'{color}'}]")),
    ("S204", score(validations="[{type: file_exists, path: «'{stage:>99999}/a'}]")),
    ("S205", score(validations="[{type: file_exists, path: a, condition: «'stage == " + "9" * 30 + "'}]")),
    ("S205", score(validations="[{type: file_exists, path: a, condition: «'stage = 1'}]")),
    ("S205", score(validations="[{type: file_exists, path: a, condition: «'colour == 1'}]")),
    ("S205", score(validations="[{type: file_exists, path: a, condition: «'stage > workspace'}]")),
    ("S206", score(sheet="{size: 1, total_items: 4, skip_when: {2: «'open(1)'}}")),
    ("S207", score(validations="[{type: file_exists, path: «'{{ workspace }}/a'}]")),
    ("S208", score(prompt="\n  template: |\n    a\n    write {«workspace}/a\n")),
    ("S209", score(prompt="{template: a, variables: {«stage: 1}}")),
    ("S210", score(prompt="{template: «' '}")),
    ("S212", score(validations="[{type: file_exists, path: a, condition: «'stage == 9'}]")),
    ("S220", score(validations="[{type: file_exists, path: a, «sheet: 2, condition: 'stage == 2'}]")),
    (
        "S213",
        score(instrument="cli", prompt="\n  template: «|\n    # Do\n\n    ```bash\n    true\n    ```\n"),
    ),
    (
        "S512",
        score(instrument="cli", prompt="\n  template: «|\n    true {# one\n    two #}\n"),
    ),
    (
        "S513",
        score(instrument="cli", prompt="\n  template: «|\n    echo {{ previous_outputs }}\n"),
    ),
    ("S514", score(validations="[{type: command_succeeds, command: «'test -f {workspce}/x'}]")),
    (
        "S516",
        score(
            validations='[{type: file_exists, path: «"{workspace}/logs/sheet-{sheet_num:02d}.stdout.log"}]'
        ),
    ),
    (
        "S516",
        score(
            validations="[{type: command_succeeds, command: «'grep -q OK {workspace}/logs/sheet-01.stdout.log'}]"
        ),
    ),
    (
        "S515",
        score(validations="[{type: command_succeeds, command: «'echo `cat {who}`'}]").replace(
            "prompt: {", "prompt: {variables: {who: a b}, "
        ),
    ),
    ("S016", score() + "parameters: {«a-b: {}}\n"),
    ("S013", score() + "parameters: {a: {default: «3, choices: [1, 2]}}\n"),
    ("S015", score() + "parameters: {a: {default: 3, required: «true}}\n"),
    ("S209", score() + "parameters: {«stage: {}}\n"),
    ("S217", score() + "parameters: {«a: {required: true}}\n"),
    ("S214", score(prompt="{template: a, variables: {b: «'{{ nothing }}'}}")),
    ("S215", score(prompt="{template: a, variables: {«b: '{{ b }}'}}")),
    ("S208", score(prompt="{template: a, stakes: «'sheet {{ sheet_num }}'}")),
    ("S208", score(prompt="{template: a, thinking_method: «'{{ x }}'}")),
    ("S208", score(prompt="{template: a, prompt_extensions: [«'see {{ workspace }}']}")),
    ("S301", score(prompt="{template_file: «gone.md}")),
    ("S307", score(sheet="{size: 1, total_items: 4, prelude: [{directory: «deep, as: tool}]}")),
    ("S302", score(sheet="{size: 1, total_items: 4, prelude: [{file: «gone.md, as: tool}]}")),
    ("S304", score() + "instrument_config: {system_prompt_file: «gone.md}\n"),
    ("S305", score() + "instrument_config: {working_directory: «gone}\n"),
    ("S306", score() + "on_success: [{type: run_job, job_path: «gone.yaml}]\n"),
    ("S308", score() + "on_success: [{type: run_job, job_path: gone.yaml}]\nconcert: {pinned: «true}\n"),
    ("S401", score(instrument="«toool")),
    ("S401", score(sheet="{size: 1, total_items: 4, instrument_map: {«toool: [1]}}")),
    ("S401", score() + "instruments: {fast: {profile: «toool}}\n"),
    ("S402", score() + "instrument_fallbacks: [«toool]\n"),
    ("S404", score(instrument="cli") + "instrument_config: {«model: m}\n"),
    ("S404", score() + "instrument_config: {«colour: red}\n"),
    ("S404", score() + "instrument_config: {«temperature: 1}\n"),
    ("S406", score() + "instrument_fallbacks: [other, «tool]\n"),
    ("S407", score(instrument="cli") + "instrument_fallbacks: [«tool]\n"),
    ("S501", score() + "«learning: {a: b}\n"),
    ("S501", score() + "«state_path: a\n"),
    ("S501", score() + "backend: {«ollama: {a: b}}\n"),
    ("S501", score() + "notifications: [{type: «email}]\n"),
    ("S502", score(prompt="\n  template: |\n    a\n    b [«CHANGE THIS: it]\n")),
    ("S503", score() + "instrument_config: {timeout_seconds: «5}\n"),
    ("S503", score() + "instrument_config: {timeout_seconds: «2d}\n"),
    ("S504", "«" + score(validations=None)),
    ("S506", score() + "stale_detection: {enabled: true, idle_timeout_seconds: «1h}\n"),
    ("S507", score() + "on_success: [{type: run_job, job_path: «n.yaml}]\n"),
    ("S509", score(sheet=FAN) + "parallel: {enabled: true}\n«isolation: {enabled: true}\n"),
    ("S517", ISOLATED + "instrument_config: {«working_directory: .}\n"),
    ("S517", ISOLATED + "movements: {1: {instrument_config: {«working_directory: .}}}\n"),
    (
        "S517",
        ISOLATED
        + "instruments: {a: {profile: other, config: {«working_directory: .}}}\ninstrument_fallbacks: [a]\n",
    ),
]

WARNINGS = {code for code, kind in SEVERITIES.items() if kind == "warning"}


def found(text: str, disk: Disk | None = None) -> list[tuple[str, str, int, int]]:
    problems = compiled(text, disk or Disk({"/s/n.yaml": "", "/s/deep/down/a": ""})).problems
    return [(p.code, p.severity, p.line, p.column) for p in problems]


@each(("code", "text"), CASES)
def test_a_problem_is_found_at_its_place(code, text):
    text, line, column = marked(text)
    kind = "warning" if code in WARNINGS else "error"
    assert (code, kind, line, column) in found(text)


@each(("code", "text"), CASES)
def test_one_error_is_one_problem(code, text):
    errors = [problem[0] for problem in found(marked(text)[0]) if problem[1] == "error"]
    assert errors == ([] if code in WARNINGS else [code])


@each("text", [score(), score(sheet=FAN) + f"parallel: {PAR}\n"])
def test_a_plain_score_has_no_problems(text):
    assert found(text) == []


@each(
    "part",
    [
        "stale_detection: {enabled: false}",
        "isolation: {enabled: true, mode: none}",
        "instrument_fallbacks: []",
        "workspace_lifecycle: {archive_on_fresh: false}",
        "concert: {enabled: false}",
        "state_backend: sqlite",
        "on_failure: pause",
        "description: ~",
    ],
)
def test_what_is_switched_off_is_not_warned_about(part):
    assert found(f"{score()}{part}\n") == []


def test_a_file_that_is_not_utf8_says_where():
    from marianned.score.check.compiler import compile_score
    from marianned.score.read.reader import ScoreSource

    text = b"name: a\nb: \xff\n"
    source = ScoreSource(text=text, file="f", directory="/s", submit_directory="/s")
    (problem,) = compile_score(source, Disk(), {}).problems
    assert (problem.code, problem.line, problem.column) == ("S006", 2, 4)


def test_a_byte_order_mark_is_allowed():
    assert found("\ufeff" + score()) == []


def test_a_file_of_more_than_four_mebibytes_is_refused():
    assert found("#" * (4 * 1024 * 1024 + 1)) == [("S005", "error", 1, 1)]


def test_a_workspace_that_cannot_be_made_is_an_error():
    assert ("S303", "error", 1, 1) in found(score(), Disk(read_only=True))


def test_an_executable_that_is_missing_here_is_a_warning():
    from scores import PROFILES, tool

    from marianned.score.check.compiler import compile_score
    from marianned.score.read.reader import ScoreSource

    source = ScoreSource(text=score().encode(), file="f", directory="/s", submit_directory="/s")
    problems = compile_score(
        source, Disk(), PROFILES | {"tool": tool("tool", command={"executable": "absent"})}
    )
    assert [(p.code, p.line, p.column) for p in problems.problems] == [("S403", 2, 13)]


def test_a_bad_profile_beside_the_score_is_reported_in_its_own_file():
    file = "/s/.marianne/instruments/x.yaml"
    problems = compiled(score(), Disk({file: "name: x\nkind: cli\ncolor: red\n"})).problems
    assert {(p.code, p.file) for p in problems} == {("S405", file)}


def test_a_failure_of_several_sheets_is_one_problem_that_lists_them():
    text = score(
        prompt='{template: "{% if stage > 2 %}{{ audience }}{% endif %}.", variables: {audiences: 1}}'
    )
    (problem,) = compiled(text).problems
    assert (problem.code, problem.sheets, problem.path) == ("S202", [3, 4], "prompt.template")
    assert problem.message == "'audience' is undefined"
    assert problem.hint == "did you mean 'audiences'?"


def test_problems_are_ordered_by_place():
    text = "validation: []\nname: '-'\nsheet: {size: x, total_items: y}\nprompt: {}\n"
    places = [(p.line, p.column, p.code) for p in compiled(text).problems]
    assert places == sorted(places)
    assert [p[2] for p in places] == ["S010", "S504", "S016", "S012", "S012"]


def test_a_file_that_is_all_wrong_is_told_wholly_with_the_first_suggestions():
    keys = "".join(f"instrumen{number}: 1\n" for number in range(1_000))
    unknown = [problem for problem in compiled(score() + keys).problems if problem.code == "S010"]
    assert len(unknown) == 1_000
    assert unknown[0].hint == "did you mean 'instrument'?"
    assert unknown[-1].hint is None


def test_a_cycle_is_listed_from_its_lowest_stage():
    text = score(sheet="{size: 1, total_items: 5, dependencies: {5: [2], 2: [5], 3: [1]}}")
    (problem,) = compiled(text).problems
    assert problem.message == "dependency cycle: 2 → 5 → 2"
    assert problem.path == "sheet.dependencies.2"


def test_a_file_that_cannot_be_read_is_a_problem_without_a_line():
    from marianned.score.check.compiler import failed_result

    (problem,) = failed_result("gone.yaml", "S001", "no such file").problems
    assert (problem.code, problem.severity, problem.file, problem.line) == (
        "S001",
        "error",
        "gone.yaml",
        None,
    )


def test_every_code_is_tested():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "score.md").read_text()
    tested = {code for code, _ in CASES} | {
        "S001",
        "S006",
        "S216",
        "S218",
        "S219",
        "S303",
        "S403",
        "S405",
        "S409",
        "S408",
        "S410",
        "S411",
        "S412",
        "S510",
        *("S601", "S602", "S603", "S604"),
    }
    assert tested == set(re.findall(r"^\| (S\d{3}) \|", page, re.MULTILINE))


def test_a_code_has_a_severity_of_its_own_or_cannot_be_reported():
    with pytest.raises(KeyError, match="S999"):
        severity_of("S999")


@each(
    ("text", "code", "hint"),
    [
        (score() + "env: {A: b}\n", "S010", "mzt run --env NAME"),
        (score() + "inputs: {a: b}\n", "S010", "'parameters'"),
        (score() + "cron: 0 3 * * *\n", "S010", "let cron or a timer"),
        (score() + "schedule: 0 3 * * *\n", "S501", "let cron or a timer"),
        (score(prompt='{template: "{{.Version}}"}'), "S201", "write '{{ Version }}'"),
        (score(prompt='{template: "{{- .Values.image }}"}'), "S201", "write '{{ Values }}'"),
    ],
)
def test_words_of_other_tools_are_answered_with_what_does_that_here(text, code, hint):
    found = [problem.hint for problem in compiled(text).problems if problem.code == code]
    assert len(found) == 1
    assert hint in found[0]


@each(
    ("parts", "codes"),
    [
        (
            {
                "sheet": "{size: 1, total_items: 4, dependencies: {2: [9]}}",
                "prompt": '{template: "do {{ nope }}"}',
            },
            {"S101", "S202"},
        ),
        (
            {
                "sheet": "{size: 1, total_items: 4, dependencies: {2: [3], 3: [2]}}",
                "validations": '[{type: file_exists, path: "{nope}"}]',
            },
            {"S102", "S204"},
        ),
        ({"validations": '[{type: content_regex, path: "{nope}", pattern: "("}]'}, {"S017", "S204"}),
    ],
)
def test_one_problem_hides_no_other(parts, codes):
    found = compiled(score(**parts))
    assert found.expanded is None
    assert codes <= {problem.code for problem in found.problems}


def test_a_check_of_a_log_that_the_sheet_itself_writes_is_none_of_a_log():
    text = score(
        instrument="cli",
        prompt='{template: "make > {{ workspace }}/logs/sheet-01.stdout.log"}',
        validations='[{type: file_exists, path: "{workspace}/logs/sheet-01.stdout.log"}]',
    )
    assert "S516" not in {problem.code for problem in compiled(text).problems}


def test_sheets_that_leave_a_worktree_are_named_by_the_place_that_makes_them():
    text = ISOLATED + "movements: {2: {instrument_config: {working_directory: sub}}}\n"
    (told,) = [
        problem for problem in compiled(text, Disk({"/s/sub/a": ""})).problems if problem.code == "S517"
    ]
    assert told.message == "isolation has no effect: the work is done in '/s/sub'"
    assert (told.path, told.sheets) == ("movements.2.instrument_config.working_directory", [2])
    off = text.replace("{enabled: true}", "{enabled: true, mode: none}")
    assert "S517" not in {problem.code for problem in compiled(off, Disk({"/s/sub/a": ""})).problems}


@each(
    ("code", "part", "message"),
    [
        ("S305", "instrument_config: {working_directory: gone}", "'/s/gone' is not there"),
        ("S305", "instrument_config: {working_directory: a}", "'/s/a' is a file, not a directory"),
        (
            "S304",
            "instrument_config: {system_prompt_file: gone}",
            "'/s/gone' cannot be read: No such file or directory",
        ),
        ("S301", "prompt_file", "'/s/gone' cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_path_is_said_as_it_is(code, part, message):
    text = score(prompt="{template_file: gone}") if part == "prompt_file" else f"{score()}{part}\n"
    told = [
        problem.message for problem in compiled(text, Disk({"/s/a": ""})).problems if problem.code == code
    ]
    assert told == [message]
