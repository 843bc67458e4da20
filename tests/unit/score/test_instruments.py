"""Which instrument plays a sheet, with which settings and fallbacks."""

import msgspec
from kit.tables import each
from scores import Disk, compiled, expanded, score

SHEET = "{size: 1, total_items: 3%s}"


def sheets(extra: str = "", sheet: str = "", **parts):
    return expanded(score(sheet=SHEET % sheet, **parts) + extra).sheets


def names(sheet):
    return [fallback.instrument for fallback in sheet.fallbacks]


def test_the_most_specific_place_names_the_instrument():
    played = sheets(
        "movements: {1: {instrument: other}, 2: {instrument: other}, 3: {instrument: other}}\n",
        ", instrument_map: {cli: [1, 2]}, per_sheet_instruments: {1: web}",
    )
    assert [s.instrument for s in played] == ["web", "cli", "other"]


def test_the_default_instrument_is_claude_code_and_backend_may_name_another():
    assert sheets(instrument=None)[0].instrument == "claude-code"
    assert sheets("backend: {type: other}\n", instrument=None)[0].instrument == "other"
    assert sheets("backend: {type: other}\n", instrument="other")[0].instrument == "other"


def test_the_example_of_the_contract():
    text = (
        "instrument_config: {model: m1, timeout_seconds: 600}\n"
        "instruments: {fast: {profile: other, config: {timeout_seconds: 120}}}\n"
        "movements: {2: {instrument: fast}}\n"
    )
    first, second, _ = sheets(text)
    assert (first.instrument, first.settings, first.timeout_seconds) == (
        "tool",
        {"model": "m1", "timeout_seconds": 600},
        600,
    )
    assert (second.instrument, second.settings) == ("other", {"timeout_seconds": 120})


@each(
    ("extra", "sheet", "instrument", "seconds"),
    [
        ("", "", "fast", 60),  # the score's alias stands below the score's settings
        ("movements: {1: {instrument: fast}}\n", "", "tool", 20),  # a movement's above them
        (
            "movements: {1: {instrument_config: {timeout_seconds: 70}}}\n",
            ", instrument_map: {fast: [1]}",
            "tool",
            20,
        ),
        ("movements: {1: {instrument: fast, instrument_config: {timeout_seconds: 70}}}\n", "", "tool", 70),
        (
            "",
            ", per_sheet_instruments: {1: fast}, per_sheet_instrument_config: {1: {timeout_seconds: 80}}",
            "tool",
            80,
        ),
    ],
)
def test_the_config_of_an_alias_stands_before_the_layer_that_selected_it(extra, sheet, instrument, seconds):
    common = (
        "instruments: {fast: {profile: tool, config: {timeout_seconds: 20}}}\n"
        "instrument_config: {timeout_seconds: 60}\n"
    )
    assert sheets(common + extra, sheet, instrument=instrument)[0].timeout_seconds == seconds


def test_an_alias_hides_a_profile_of_its_name():
    assert sheets("instruments: {tool: {profile: other}}\n")[0].instrument == "other"


def test_bound_settings_do_not_carry_over_to_another_profile():
    text = (
        "instrument_config: {model: m1, allowed_tools: [a], disable_mcp: true}\n"
        "movements: {1: {instrument: other, instrument_config: {model: m2}}, 2: {instrument_config: {model: m3}}}\n"
    )
    played = sheets(text, ", per_sheet_instruments: {3: other}")
    assert [s.settings for s in played] == [
        {"disable_mcp": True, "model": "m2"},
        {"model": "m3", "allowed_tools": ["a"], "disable_mcp": True},
        {"disable_mcp": True},
    ]


def test_mappings_are_merged_by_key_and_lists_replaced():
    text = (
        "instrument_config: {timeout_overrides: {1: 60, 2: 70}, allowed_tools: [a, b], env: {A: x}}\n"
        "movements: {1: {instrument_config: {timeout_overrides: {1: 90}, allowed_tools: [c], env: {B: y}}}}\n"
    )
    first, second, third = sheets(text)
    assert first.settings == {
        "timeout_overrides": {"1": 90, "2": 70},
        "allowed_tools": ["c"],
        "env": {"A": "x", "B": "y"},
    }
    assert [s.timeout_seconds for s in (first, second, third)] == [90, 70, 1800]


def test_model_and_cli_model_are_one_setting():
    text = "instrument_config: {model: m1}\nmovements: {1: {instrument_config: {cli_model: m2}}}\n"
    assert [s.settings for s in sheets(text)][:2] == [{"cli_model": "m2"}, {"model": "m1"}]


def test_the_time_limit_is_the_first_that_is_set():
    text = "backend: {timeout_seconds: 11, timeout_overrides: {1: 12, 2: 12}, sheet_overrides: {1: {timeout_seconds: 13}}}\n"
    assert [s.timeout_seconds for s in sheets(text)] == [13, 12, 11]
    text += "instrument_config: {timeout_seconds: 14}\n"
    played = sheets(text, ", per_sheet_instrument_config: {1: {timeout_seconds: 15}}")
    assert [s.timeout_seconds for s in played] == [15, 12, 14]
    assert sheets(instrument="other")[0].timeout_seconds == 900


def test_chains_of_fallbacks_replace_each_other():
    text = "instrument_fallbacks: [other]\nmovements: {2: {instrument_fallbacks: [cli, tool]}}\n"
    played = sheets(text, ", per_sheet_fallbacks: {3: []}")
    assert [names(s) for s in played] == [["other"], ["cli"], []]


def test_the_first_list_that_is_given_is_the_chain_also_an_empty_one():
    text = "instrument_fallbacks: [other]\nmovements: {1: {instrument_fallbacks: []}, 2: {name: two}}\n"
    played = sheets(text, ", per_sheet_fallbacks: {3: []}")
    assert [names(s) for s in played] == [[], ["other"], []]


def test_another_model_of_the_same_tool_is_a_fallback_and_so_is_another_account():
    text = (
        "instruments: {big: {profile: tool, config: {model: m2}}, me: {profile: tool, config: {env: {KEY: mine}}},"
        " twin: {profile: tool, config: {timeout_seconds: 60}}}\n"
        "instrument_config: {model: m1}\n"
        "instrument_fallbacks: [big, me, twin]\n"
    )
    first = sheets(text)[0]
    assert [one.settings.get("model") for one in first.fallbacks] == ["m2", "m1"]
    assert first.fallbacks[1].settings["env"] == {"KEY": "mine"}
    assert [(p.code, p.path) for p in compiled(score() + text).problems] == [
        ("S406", "instrument_fallbacks.2")
    ]


def test_a_program_is_never_played_by_an_agent_unless_its_sheet_says_so():
    text = "movements: {1: {instrument: cli}, 2: {instrument: cli}}\ninstrument_fallbacks: [tool, other]\n"
    played = sheets(text, ", per_sheet_fallbacks: {2: [other]}")
    assert [names(s) for s in played] == [[], ["other"], ["other"]]
    found = compiled(score() + text).problems
    assert [(p.code, p.path, p.sheets) for p in found] == [
        ("S406", "instrument_fallbacks.0", [3, 4]),
        ("S407", "instrument_fallbacks.0", [1, 2]),
        ("S407", "instrument_fallbacks.1", [1, 2]),
    ]


def test_an_alias_that_only_chains_use_may_name_an_unknown_profile():
    text = "instruments: {spare: {profile: nowhere}}\ninstrument_fallbacks: [spare, other]\n"
    assert [names(s) for s in sheets(text)] == [["other"]] * 3
    assert [(p.code, p.path) for p in compiled(score() + text).problems] == [
        ("S402", "instruments.spare.profile")
    ]
    used = text + "movements: {1: {instrument: spare}}\n"
    assert "S401" in [p.code for p in compiled(score() + used).problems]


def test_fallbacks_of_the_same_profile_or_of_none_are_dropped():
    text = "instruments: {same: {profile: tool}}\ninstrument_fallbacks: [same, nobody, claude-code]\n"
    assert names(sheets(text)[0]) == ["claude-code"]
    assert set(expanded(score() + text).profiles) == {"tool", "claude-code"}


def test_text_in_place_of_a_tools_stream_is_warned_of_once():
    from scores import PROFILES, ScoreSource, compile_score, tool

    from marianned.instruments.profile import CliInstrument, OutputFormat, ToolCommand

    command = ToolCommand(executable="tool", output_format_flag="--format")
    streams = tool("tool")
    streams = msgspec.structs.replace(
        streams, cli=CliInstrument(command=command, output=OutputFormat(format="jsonl"))
    )
    text = score(sheet=SHEET % "") + "instrument_config: {output_format: text}\n"
    source = ScoreSource(text=text.encode(), file="/s/n.yaml", directory="/s", submit_directory="/s")
    found = [p.code for p in compile_score(source, Disk(), PROFILES | {"tool": streams}).problems]
    assert found == ["S410"]
    assert [p.code for p in compile_score(source, Disk(), PROFILES).problems] == []


@each(
    ("where", "found"),
    [
        ("executor: slurm\n", ["S411"]),
        ("movements: {2: {executor: {type: slurm, cpus: 2}}}\n", ["S411"]),
        (
            "executor: slurm\nmovements: {1: {executor: local}, 2: {executor: local}, 3: {executor: local}}\n",
            [],
        ),
        ("", []),
    ],
)
def test_a_wall_that_no_node_has_is_warned_of_once(where, found):
    from scores import PROFILES, ScoreSource, compile_score, tool

    walled = msgspec.structs.replace(tool("tool"), contain="hide")
    text = score(sheet=SHEET % "") + where
    source = ScoreSource(text=text.encode(), file="/s/n.yaml", directory="/s", submit_directory="/s")
    problems = compile_score(source, Disk(), PROFILES | {"tool": walled}).problems
    assert [p.code for p in problems] == found
    assert [p.code for p in compile_score(source, Disk(), PROFILES).problems] == []


def test_a_setting_without_effect_is_said_once_a_profile():
    from scores import compiled

    text = score(instrument="cli") + "instrument_config: {model: m, disable_mcp: true}\n"
    codes = [(p.code, p.message) for p in compiled(text).problems]
    assert codes == [
        ("S404", "'model' has no effect on 'cli'"),
        ("S404", "'disable_mcp' has no effect on 'cli'"),
    ]


def test_paths_of_settings_count_from_the_score():
    disk = Disk({"/s/prompts/p.md": "be kind"})
    text = score() + "instrument_config: {working_directory: prompts, system_prompt_file: prompts/p.md}\n"
    sheet = expanded(text, disk).sheets[0]
    assert sheet.working_directory == sheet.settings["working_directory"] == "/s/prompts"
    assert sheet.settings["system_prompt_file"] == "/s/prompts/p.md"


PROFILE = "name: mine\nkind: cli\ncli: {command: {executable: %s}}\n"


def test_profiles_beside_the_score_win_over_those_at_home():
    home, near = "/home/me/.marianne/instruments/a.yaml", "/s/.marianne/instruments/b.yaml"
    disk = Disk({home: PROFILE % "far", near: PROFILE % "near"})
    found = expanded(score(instrument="mine"), disk, directory="/s/deep/down")
    assert found.profiles["mine"].cli.command.executable == "near"
    found = expanded(score(instrument="mine"), disk, directory="/elsewhere")
    assert found.profiles["mine"].cli.command.executable == "far"


def test_a_fallback_is_set_up_as_if_the_sheet_itself_had_named_it():
    text = (
        "instruments: {spare: {profile: other, config: {model: m3, timeout_seconds: 30}}}\n"
        "instrument_config: {model: m1, env: {A: b}, timeout_seconds: 600}\n"
        "instrument_fallbacks: [spare]\n"
    )
    own = ", per_sheet_instrument_config: {1: {model: m4, timeout_seconds: 20}}"
    first, second, _ = sheets(text, own)
    (spare,) = second.fallbacks
    assert (spare.settings["model"], spare.settings["env"], spare.timeout_seconds) == ("m3", {"A": "b"}, 30)
    assert (first.fallbacks[0].settings["model"], first.fallbacks[0].timeout_seconds) == ("m3", 20)
    moved = second.on_fallback(1)
    assert (moved.instrument, moved.timeout_seconds, moved.needs) == ("other", 30, second.needs)
    assert second.on_fallback(0) is second


def test_a_fallback_brings_its_own_system_prompt_along():
    text = (
        "instruments: {spare: {profile: other, config: {system_prompt_file: rules.md}}}\n"
        "instrument_fallbacks: [spare]\n"
    )
    read = compiled(score() + text, Disk({"/s/rules.md": "be kind"}))
    assert read.files["/s/rules.md"] == "be kind"
    missing = compiled(score() + text, Disk({}))
    assert [p.code for p in missing.problems if p.severity == "error"] == ["S304"]
