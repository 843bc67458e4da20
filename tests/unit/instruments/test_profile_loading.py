"""Profiles: what ships is whole, and whatever is wrong in anybody's own is told at its place."""

from pathlib import Path

from kit.tables import each

from marianned.instruments import loader
from marianned.instruments.loader import builtin_profiles, load_profile

NAMES = {
    *("claude-code", "gemini-cli", "codex-cli", "aider", "goose", "cline-cli", "crush", "opencode", "qwen"),
    *("pi", "copilot", "antigravity", "cli", "anthropic_api", "ollama", "claude_cli"),
}
START = "name: x\nkind: cli\n"
SMALL = START + "cli:\n  command: {executable: x}\n"


def problems(text):
    profile, found = load_profile(text, "x.yaml")
    assert profile is None
    assert all((p.code, p.severity, p.file) == ("S405", "error", "x.yaml") for p in found)
    return [(p.line, p.column, p.message) for p in found]


def test_every_built_in_profile_is_there():
    assert set(builtin_profiles()) == NAMES


def test_an_alias_is_the_profile_itself():
    assert builtin_profiles()["claude_cli"] is builtin_profiles()["claude-code"]


@each("name", sorted(NAMES - {"cli"}))
def test_a_built_in_agent_names_several_models(name):
    assert len(builtin_profiles()[name].models) >= 2


def test_the_shell_profile_takes_its_prompt_raw():
    cli = builtin_profiles()["cli"]
    assert (cli.raw_prompt, cli.script, cli.default_timeout_seconds) == (True, "shell", 300)


def test_the_example_of_the_format_loads():
    text = """
name: summariser
kind: cli
cli:
  command: {executable: summarise, prompt_via_stdin: true, model_flag: "--model", extra_flags: ["--json"]}
  output: {format: json, result_path: data.summary, input_tokens_path: usage.in, output_tokens_path: usage.out}
  errors: {rate_limit_patterns: ["slow down"], auth_error_patterns: ["bad token"]}
"""
    profile, found = load_profile(text, "summariser.yaml")
    assert found == []
    assert profile.cli.output.result_path == "data.summary"
    assert profile.default_timeout_seconds == 1800


def test_a_text_is_taken_as_it_is_written():
    profile, _ = load_profile(
        SMALL.replace("{executable: x}", "{executable: x, env: {A: 1, B: yes, C: 0x1F}}"), "x"
    )
    assert profile.cli.command.env == {"A": "1", "B": "yes", "C": "0x1F"}


def test_a_duration_may_be_written_with_units():
    profile, _ = load_profile("default_timeout_seconds: 1h30m\n" + SMALL, "x")
    assert profile.default_timeout_seconds == 5400


def test_merge_keys_are_followed():
    text = START + "cli:\n  command: &c {executable: x}\n  output: {format: text}\ncode_mode: {<<: *c}\n"
    profile, found = load_profile(text, "x")
    assert profile.code_mode == {"executable": "x"}
    assert [(p.code, p.severity, p.line) for p in found] == [("S501", "warning", 6)]


@each(
    ("text", "wanted"),
    [
        ("a: [", [(2, 1, "this can't be read: did not find expected node content")]),
        ("- 1", [(None, None, "a profile is a mapping")]),
        ("", [(None, None, "a profile is a mapping")]),
        ("kind: cli\n", [(1, 1, "'name' is missing")]),
        (START, [(2, 1, "a profile of kind 'cli' needs 'cli:'")]),
        ("name: x\nkind: http\n", [(2, 1, "a profile of kind 'http' needs 'http:'")]),
        ("name: x\nkind: tool\n", [(2, 1, "'tool' is not one of 'cli', 'http'")]),
        ("name: ' '\nkind: cli\n" + SMALL.removeprefix(START), [(1, 1, "'name' is empty")]),
        (START + "cli:\n  comand: {}\n", [(4, 3, "unknown key 'comand'")]),
        (START + "cli:\n  output: {}\n", [(3, 1, "'command' is missing")]),
        (START + "cli:\n  command: {executable: [x]}\n", [(4, 13, "expected `str`, got `array`")]),
        (START + "cli:\n  command: {executable: ''}\n", [(4, 13, "'executable' is empty")]),
        ("name: y\n" + SMALL, [(2, 1, "'name' is given twice")]),
        (SMALL + "  output: {format: xml}\n", [(5, 12, "'xml' is not one of 'text', 'json', 'jsonl'")]),
        (
            SMALL + "  output: {result_path: a..b}\n",
            [(5, 12, "'a..b' is not a path; write keys joined by dots, 'key[0]', '*'")],
        ),
        (
            SMALL + "  errors: {auth_error_patterns: [ok, '(']}\n",
            [(5, 38, "'(' is not a regular expression: missing ), unterminated subpattern at position 0")],
        ),
        (
            SMALL + "  output: {failure_when: [{path: a, matches: '*'}]}\n",
            [(5, 37, "'*' is not a regular expression: nothing to repeat at position 0")],
        ),
        (
            SMALL + "  output: {text_amounts: {cost: 'USD \\S+'}}\n",
            [(5, 27, "'USD \\S+' has no group: the amount is its first")],
        ),
        (
            SMALL + "  output: {text_amounts: {input_tokens: '('}}\n",
            [(5, 27, "'(' is not a regular expression: missing ), unterminated subpattern at position 0")],
        ),
        (
            "default_timeout_seconds: soon\n" + SMALL,
            [(1, 26, "'soon' is not a duration; write 90, 90s, 5m, 1h30m or 2d")],
        ),
        (
            "default_timeout_seconds: 0\n" + SMALL,
            [(1, 1, "a time limit is more than 0 seconds, at most 2500000d")],
        ),
        (
            "models: [{name: m, cost_per_1k_input: -1}]\n" + SMALL,
            [(1, 10, "a price is 0 or more, and finite, and 'max_concurrent' is 1 or more")],
        ),
    ],
)
def test_what_is_wrong_in_a_profile_is_told_at_its_place(text, wanted):
    assert problems(text) == wanted


def test_a_profile_that_grows_by_its_aliases_is_refused_before_it_has_grown():
    lists = "".join(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    ((line, _, message),) = problems(f"{SMALL}code_mode:\n  - &a0 [x]\n{lists}")
    assert (line, message) == (11, "this can't be read: more than 100000 values, with aliases expanded")


def test_a_key_of_its_own_comes_before_one_that_is_merged():
    text = SMALL.replace("{executable: x}", "&c {executable: x}") + "code_mode: {<<: *c, executable: y}\n"
    profile, _ = load_profile(text, "x")
    assert profile.code_mode == {"executable": "y"}


def test_all_unknown_keys_are_told_with_the_nearest_one():
    _, found = load_profile(START + "modls: []\ncli:\n  command: {executabel: x}\n", "x")
    assert [p.hint for p in found] == ["did you mean 'models'?", "did you mean 'executable'?"]


@each("depth", [70, 20_000])
def test_a_profile_nested_without_end_is_refused(depth):
    assert "nest" in problems(SMALL + "code_mode: " + "[" * depth + "]" * depth)[0][2]


def test_every_built_in_profile_is_without_problems():
    for file in (Path(loader.__file__).parent / "profiles").iterdir():
        assert load_profile(file.read_text("utf-8"), str(file))[1] == []


@each(
    ("given", "message"),
    [
        ("{}", "'stop' needs 'signal' or 'file'"),
        ("{signal: KILL}", "'KILL' is not one of INT, QUIT, HUP, USR1, USR2, TERM"),
        ("{signal: INT, wait: 0}", "a wait is more than 0 seconds, at most 2500000d"),
        ("{file: ../stop}", "'../stop' is not the name of a file of its own, without a directory"),
        ("{file: handoff.md}", "'handoff.md' is not the name of a file of its own, without a directory"),
    ],
)
def test_what_is_wrong_with_how_a_tool_is_asked_to_stop_is_told(given, message):
    assert [text for _, _, text in problems(SMALL + f"  stop: {given}\n")] == [message]


def test_how_a_tool_is_asked_to_stop():
    profile, found = load_profile(SMALL + "  stop: {signal: SIGINT, wait: 2m}\n", "x.yaml")
    assert not found
    assert (profile.cli.stop.signal_number, profile.cli.stop.wait) == (2, 120.0)
