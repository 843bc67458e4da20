"""Loops and triggers as they are read: what they expand to, and what is wrong with them."""

from types import SimpleNamespace

from kit.tables import each
from scores import body_of, compiled, expanded, score

from marianned.score.expanded import LoopDefinition, StagePauses
from marianned.score.language.expressions import SheetValue, evaluate
from marianned.score.render.prompt_inputs import UpstreamOutputs

FOUR = "size: 1, total_items: 4"


CALLED = (
    'what can be asked: file("p").exists, file("p").contains("t"), file("p").matches("re"), sheets.get(3)'
)


def looped(loops: str, sheet: str = FOUR, **parts) -> str:
    return score(sheet=f"{{{sheet}, loops: {loops}}}", **parts)


def problems(text: str) -> list[tuple[str, str | None]]:
    return [
        (one.code, one.path) for one in compiled(text).problems if one.code not in {"S501", "S504", "S110"}
    ]


def test_a_loop_knows_its_sheets_and_those_that_end_its_round():
    text = looped(
        '{"2-3": {index: go, until: "loop.passed", max_iterations: 5, cost_limit_usd: 2, on_exhausted: continue}}',
        f"{FOUR}, fan_out: {{3: 2}}",
    )
    (loop,) = expanded(text).loops
    assert loop == LoopDefinition(
        first=2, last=3, sheets=(2, 3, 4), ends=(3, 4), index="go", until="loop.passed", rounds=5,
        exhausted="continue", cost_limit_usd=2,
    )  # fmt: skip
    assert (loop.span, LoopDefinition(first=2, last=2, sheets=(2,), ends=(2,)).span) == ("2-3", "2")
    assert [expanded(text).loop_of(stage) for stage in (1, 2, 3, 4)] == [None, loop, loop, None]


@each(
    ("said", "rounds", "exact"),
    [
        ("{}", 10, False),
        ("{count: 3}", 3, True),
        ("{count: 3, until: 'loop.passed'}", 3, False),
        ("{max_iterations: 4}", 4, False),
        ("{count: 4, max_iterations: 4}", 4, True),
    ],
)
def test_how_many_rounds_there_are(said, rounds, exact):
    (loop,) = expanded(looped(f"{{2: {said}}}")).loops
    assert (loop.rounds, loop.exact) == (rounds, exact)


def test_loops_stand_in_the_order_of_their_stages():
    assert [loop.span for loop in expanded(looped('{"3-4": {}, "1-2": {}}')).loops] == ["1-2", "3-4"]


@each(
    ("loops", "found"),
    [
        ("{2-3-4: {}}", [("S012", "sheet.loops.2-3-4")]),
        ("{2-9: {}}", [("S105", "sheet.loops.2-9")]),
        ("{3-2: {}}", [("S013", "sheet.loops.3-2")]),
        ("{2-3: {}, 3-4: {}}", [("S511", "sheet.loops.3-4")]),
        ("{1-4: {}, 2-3: {}}", [("S511", "sheet.loops.2-3")]),
        ("{2-3: {index: passed}}", [("S013", "sheet.loops.2-3.index")]),
        ("{2-3: {index: my round}}", [("S013", "sheet.loops.2-3.index")]),
        ("{2-3: {index: pass, until: 'loop.round == 2'}}", [("S013", "sheet.loops.2-3.index")]),
        ("{2-3: {until: 'sheets[9].exit_code == 0'}}", [("S206", "sheet.loops.2-3.until")]),
        ("{2-3: {until: 'sheets.get(9) is None or sheets[4].exit_code == 0'}}", []),
        ("{2-3: {count: 2, max_iterations: 3}}", [("S015", "sheet.loops.2-3.count")]),
        ("{2-3: {until: 'round == 2'}}", [("S206", "sheet.loops.2-3.until")]),
        ("{2-3: {until: 'loop.previous'}}", [("S206", "sheet.loops.2-3.until")]),
        ("{2-3: {until: 'open(\"a\")'}}", [("S206", "sheet.loops.2-3.until")]),
        ('{2-3: {until: \'file("a").matches("(")\'}}', [("S017", "sheet.loops.2-3.until")]),
        ("{2-3: {until: 'file(\"{nowhere}/a\").exists'}}", [("S204", "sheet.loops.2-3.until")]),
        ("{2-3: {rounds: 3}}", [("S010", "sheet.loops.2-3.rounds")]),
    ],
)
def test_what_is_wrong_with_a_loop_is_said_at_its_place(loops, found):
    assert problems(looped(loops)) == found


@each(
    "loops",
    [
        *("{2-3-4: {index: go}}", "{2-9: {index: go}}", "{3-2: {index: go}}", "{two: {index: go}}", "[2-3]"),
        *("{0-3: {index: go}}", "{2-3: go}", "{2-3: {index: go}, 3-4: {index: go}}"),
        *("{1-4: {index: go}, 2-3: {index: go}}", "{2-3: {index: go}, 2: {index: go}}"),
        *("{2-3: {index: passed}}", "{2-3: {index: my round}}", "{2-3: {index: 5}}"),
        *("{2-3: {index: go, until: 'sheets[9].exit_code == 0'}}", "{2-3: {index: go, until: 'round == 2'}}"),
        *("{2-3: {index: go, until: ''}}", "{2-3: {index: go, until: 'loop.passed and'}}"),
        *("{2-3: {index: go, until: '{{ loop.passed }}'}}", "{2-3: {index: go, until: 'true'}}"),
        *("{2-3: {index: go, count: 2, max_iterations: 3}}", "{2-3: {index: go, rounds: 3}}"),
        *("{2-3: {index: go, max_iterations: 0}}", "{2-3: {index: go, max_iterations: many}}"),
        *("{2-3: {index: go, on_exhausted: stop}}", "{2-3: {index: go, cost_limit_usd: 0}}"),
    ],
)
def test_one_mistake_in_a_loop_gives_one_problem_whatever_uses_its_round(loops):
    body = "{% if stage in (2, 3) %}{{ loop.round }} {{ loop.go }} {{ loop.previous[3] }}{% endif %} x"
    text = looped(loops, f"{FOUR}, skip_when: {{2: 'loop.go > 1'}}", prompt=f'{{template: "{body}"}}')
    assert len(problems(text)) == 1


@each(("word", "hint"), [("rond", "did you mean 'round'?"), ("xyz", "it has 'round' and 'previous'")])
def test_what_a_template_asks_of_a_loop_and_it_has_not_is_told(word, hint):
    text = looped(
        "{2-3: {}}", prompt=f'{{template: "{{% if stage == 2 %}}{{{{ loop.{word} }}}}{{% endif %}} x"}}'
    )
    (found,) = [one for one in compiled(text).problems if one.severity == "error"]
    assert (found.code, found.message, found.hint) == ("S202", f"'loop' has no attribute '{word}'", hint)


def test_beside_a_wrong_loop_other_mistakes_of_a_template_are_found():
    text = looped("{2-9: {}}", prompt='{template: "{{ loop.round }} {{ nothing }}"}')
    assert problems(text) == [("S105", "sheet.loops.2-9"), ("S202", "prompt.template")]


@each(
    ("dependencies", "found"),
    [
        ("{2: [1], 3: [1], 4: [2, 3]}", ["S113"]),
        ("{2: [1], 4: [2], 3: [4]}", ["S113"]),
        ("{2: [1], 3: [2], 4: [2]}", []),
    ],
)
def test_each_stage_of_a_loop_leads_to_its_last_and_nothing_goes_out_and_back(dependencies, found):
    text = looped("{2-3: {}}", f"{FOUR}, dependencies: {dependencies}")
    assert [code for code, _ in problems(text)] == found


@each(
    ("until", "hint"),
    [
        ("true", "write 'True'"),
        ("loop.passed == false", "write 'False'"),
        ("passed", "write 'loop.passed'"),
        ("go > 2", "write 'loop.go'"),
        ("iteration > 2", "write 'loop.round'"),
        ("exit_code == 0", "write 'sheets[3].exit_code'"),
        ("DONE", "a variable is meant, or a text, which stands in quotes"),
        ("loop.pass", "did you mean 'passed'?"),
        ("loop.rounds > 2", "did you mean 'round'?"),
        ("loop.attempt > 2", "there are: go, passed, round"),
        ("sheet[3].exit_code == 0", "write 'sheets[3]'"),
        ("sheets.3.exit_code == 0", "write 'sheets[3]' for sheet 3"),
        ("sheets[3].passed", "there are: status, validation_passed, exit_code, attempts, error"),
        ("sheets[9].exit_code == 0", "sheets are numbered from 1 to 4"),
        ("sheets[-1].exit_code == 0", "sheets are counted from 1"),
        ("sheets['check'].exit_code == 0", "sheets go by number: sheets[3]"),
        ("sheets.get(3, None).exit_code == 0", "sheets.get(N) takes one number"),
        ("sheets[3].status == 'complete'", "did you mean 'completed'?"),
        ("job.status == 'x'", "there are: name, run, workspace"),
        ("file('x').exist", "did you mean 'exists'?"),
        ("file('x').exists()", "write 'file('x').exists', without brackets"),
        ("file('x').contain('a')", "did you mean 'contains'?"),
        ("file('x').contains()", "'contains' takes one text"),
        ("file('x').lines > 3", "there are: exists, contains, matches"),
        ("file().exists", 'file("p") takes one path'),
        ("loop.passed and file('x')", """write 'file('x').exists', '.contains("t")' or '.matches("re")'"""),
        ("file('{nope}').exists", "a variable, or a name of templates, is meant"),
        ("os.path.exists('x')", CALLED),
        ("sheets[3]", "write 'sheets[3].exit_code == 0', '.status' or '.validation_passed'"),
        ("not loop", "write 'loop.passed' or 'loop.round == 3'"),
        ("'loop.passed'", "an expression stands without quotes of its own"),
        ("'DONE' in previous_outputs[3]", 'let the sheet write it into a file: file("p").contains("t")'),
        ("loop.previous[3]", 'let the sheet write it into a file: file("p").contains("t")'),
        ("loop.passed && loop.round > 2", "write 'and', 'or', 'not'"),
        ("!loop.passed", "write 'and', 'or', 'not'"),
        ("loop.round = 3", "write '==' to compare"),
        ("loop.round => 3", "write '>=' or '<='"),
        ("loop.round > '3'", "a number is written without quotes"),
        ("{{ loop.passed }}", "an expression stands without '{{' and '}}'"),
        ("loop.passed; 1", "it is one expression: 'and' and 'or' join several"),
        ("loop.passed and", "as in: loop.passed or file('p').exists"),
        ("1 if loop.passed else 0", "as in: loop.passed or file('p').exists"),
    ],
)  # fmt: skip
def test_an_until_that_can_t_be_meant_so_is_said_at_its_place_with_what_to_write(until, hint):
    text = looped(f"{{2-3: {{index: go, until: {until!r}}}}}")
    (found,) = [one for one in compiled(text).problems if one.severity == "error"]
    assert (found.code[:2], found.path, found.hint) == ("S2", "sheet.loops.2-3.until", hint)
    line = text.splitlines()[found.line - 1]
    assert line[found.column - 1 :].startswith(repr(until)[0])


def test_an_until_may_stand_in_a_block_of_lines():
    text = looped('{2-3: {until: "\\n  loop.passed\\n  and loop.round > 1\\n"}}')
    assert problems(text) == []
    values = {"loop": SimpleNamespace(round=2, passed=True)}
    assert evaluate("\n loop.passed\n  and loop.round > 1\n", values)
    assert not evaluate("loop.passed  # a remark\n  and loop.round > 2  # another", values)
    wrong = looped('{2-3: {until: "loop.passed\\n  and loop.round >\\n"}}')
    assert [code for code, _ in problems(wrong)] == ["S206"]


def test_until_asks_of_files_rounds_and_sheets():
    file = SimpleNamespace(exists=True, contains=lambda text: text == "DONE", matches=lambda _: False)
    values = {
        "file": lambda _: file,
        "loop": SimpleNamespace(round=2, go=2, passed=False),
        "sheets": {3: SheetValue(status="completed", validation_passed=False)},
    }
    assert evaluate('file("a").exists and file("a").contains("DONE") and not file("a").matches("x")', values)
    assert evaluate("loop.go == 2 and loop.round < 3 and not loop.passed", values)
    assert not evaluate("sheets[3].validation_passed", values)


def test_a_template_knows_its_round_and_what_the_one_before_said():
    text = looped(
        "{2-3: {index: go}}",
        prompt='{template: "{% if loop is defined %}{{ loop.round }} {{ loop.go }} {{ loop.previous }}{% else %}once{% endif %}"}',
    )
    found = expanded(text)
    assert body_of(found, 1) == "once"
    assert body_of(found, 2) == "1 1 {}"
    assert body_of(found, 2, UpstreamOutputs(round=2, earlier={3: "x"})) == "2 2 {3: 'x'}"


def test_what_only_a_later_round_is_told_is_checked_and_part_of_the_definition():
    body = "{{% if stage == 2 and loop.round > 1 %}}{}{{% else %}}go{{% endif %}}"
    assert problems(looped("{2-3: {}}", prompt=f'{{template: "{body.format("{{ nothing }}")}"}}')) == [
        ("S202", "prompt.template")
    ]
    one, other = (
        expanded(looped("{2-3: {}}", prompt=f'{{template: "{body.format(text)}"}}')) for text in ("a", "b")
    )
    differ = [a.sheet for a, b in zip(one.sheets, other.sheets, strict=True) if a.digests != b.digests]
    assert differ == [2]


def test_a_skip_rule_inside_a_loop_knows_the_round():
    text = looped("{2-3: {}}", f"{FOUR}, skip_when: {{2: loop.round > 1}}")
    assert expanded(text).sheets[1].skip.when == "loop.round > 1"
    outside = looped("{2-3: {}}", f"{FOUR}, skip_when: {{4: loop.round > 1}}")
    assert problems(outside) == [("S206", "sheet.skip_when.4")]


def test_triggers_say_where_the_job_pauses():
    text = score(
        sheet=f"{{{FOUR}, triggers: {{1: {{on_success: [{{pause: true}}]}}, "
        "2: {on_fail: [{escalate: look at it}], on_success: [{continue: true}]}, 3: {on_fail: [{pause: true}]}}}"
    )
    assert expanded(text).triggers == {
        1: StagePauses(pause_after=True),
        2: StagePauses(pause_on_fail=True, reason="look at it"),
        3: StagePauses(pause_on_fail=True),
    }


@each(
    ("triggers", "found"),
    [
        ("{1: {on_fail: [{goto: 1}]}}", [("S511", "sheet.triggers.1.on_fail.0.goto")]),
        ("{1: {on_success: [{run: x}]}}", [("S511", "sheet.triggers.1.on_success.0.run")]),
        ("{1: {on_success: [{escalate: x}]}}", [("S511", "sheet.triggers.1.on_success.0.escalate")]),
        ("{1: {on_fail: [{pause: true, escalate: x}]}}", [("S013", "sheet.triggers.1.on_fail.0")]),
        ("{9: {on_fail: [{pause: true}]}}", [("S105", "sheet.triggers.9")]),
    ],
)
def test_an_action_that_is_none_of_ours_is_said_at_its_place(triggers, found):
    assert problems(score(sheet=f"{{{FOUR}, triggers: {triggers}}}")) == found


def test_hooks_of_a_failed_job_know_that_it_failed():
    text = score(on_failure="[{type: run_command, command: 'tell {job_status} {score_dir}'}]")
    found = expanded(text)
    assert found.on_failure == "fail"
    assert found.failure_hooks[0].argv == ("bash", "-c", "tell failed /s")
    assert found.hooks == ()
    done = score(on_success="[{type: run_command, command: 'tell {job_status}'}]")
    assert expanded(done).hooks[0].argv[-1] == "tell completed"


@each(
    ("hook", "found"),
    [
        (
            "{type: run_job, job_path: n.yaml}",
            [("S013", "on_failure.0.detached"), ("S306", "on_failure.0.job_path")],
        ),
        (
            "{type: run_command, command: a, pause_before_chain: true}",
            [("S015", "on_failure.0.pause_before_chain")],
        ),
        ("{type: run_command}", [("S011", "on_failure.0.command")]),
    ],
)
def test_a_hook_of_a_failed_job_neither_waits_nor_pauses(hook, found):
    assert problems(score(on_failure=f"[{hook}]")) == found
