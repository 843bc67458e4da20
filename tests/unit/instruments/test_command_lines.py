"""A profile and settings become exactly this argv, environment and standard input."""

import json

import msgspec
from kit.tables import each

from marianned.instruments.command_line import ARGUMENT_LIMIT, build_command_line
from marianned.instruments.loader import builtin_profiles
from marianned.instruments.profile import CliInstrument, Profile, ToolCommand

LONG = "x" * (ARGUMENT_LIMIT + 1)
MCP_OFF = ["--strict-mcp-config", "--mcp-config", '{"mcpServers":{}}']
FULL = {
    "model": "m1",
    "allowed_tools": ["Read", "Write"],
    "cli_extra_args": ["--last", "word"],
    "system_prompt_file": "/s.md",
}


def built(profile, settings=None, prompt="do it", environ=None, **changes):
    if isinstance(profile, str):
        profile = builtin_profiles()[profile]
    given = {
        "timeout_seconds": 90.5,
        "cwd": "/srv/work",
        "directory": "/srv/attempt",
        "environ": environ or {},
        "extra_env": {},
        "marianne": {},
        "system_prompt": None,
    }
    found = build_command_line(profile, settings or {}, prompt, **(given | changes))
    assert found.env.pop("PWD") == "/srv/work", "some tools believe it more than the system"
    return found


def tool(**fields):
    return Profile(name="x", kind="cli", cli=CliInstrument(command=ToolCommand(executable="x", **fields)))


@each(
    ("name", "argv", "stdin"),
    [
        (
            "claude-code",
            [
                "claude",
                "-p",
                "--dangerously-skip-permissions",
                "--output-format",
                "stream-json",
                *MCP_OFF,
                "--verbose",
            ],
            b"do it",
        ),
        ("gemini-cli", ["gemini", "--yolo", "--output-format", "stream-json"], b"do it"),
        (
            "codex-cli",
            ["codex", "exec", "--sandbox", "workspace-write", "--json", "-", "--skip-git-repo-check"],
            b"do it",
        ),
        ("aider", ["aider", "--yes-always", "--message", "do it", "--no-stream", "--no-pretty"], None),
        (
            "goose",
            ["goose", "run", "--output-format", "json", "-i", "-", "--no-session", "--quiet"],
            b"do it",
        ),
        (
            "cline-cli",
            [
                *("cline", "--auto-approve", "true", "--json", "--timeout", "91", "do it"),
                *("--data-dir", "/srv/attempt/cline"),
            ],
            None,
        ),
        (
            "antigravity",
            ["agy", "--dangerously-skip-permissions", "--print=do it", "--print-timeout", "24h"],
            None,
        ),
        ("crush", ["crush", "run", "--yolo", "--cwd", "/srv/work", "--quiet"], b"do it"),
        (
            "opencode",
            ["opencode", "run", "--auto", "--format", "json", "--print-logs", "--log-level", "ERROR"],
            b"do it",
        ),
        ("qwen", ["qwen", "--yolo", "--output-format", "stream-json"], b"do it"),
        ("pi", ["pi", "-p", "--mode", "json"], b"do it"),
        ("copilot", ["copilot", "--allow-all-tools", "--output-format", "json", "--no-color"], b"do it"),
        ("cli", ["bash", "/srv/attempt/script.sh"], None),
    ],
)
def test_a_built_in_tool_is_called_like_this(name, argv, stdin):
    found = built(name)
    assert found.argv == argv
    assert found.stdin == stdin
    script = {"script.sh": "do it"} if name == "cli" else {}
    assert found.files == builtin_profiles()[name].cli.command.files | script


@each(
    ("name", "argv"),
    [
        (
            "claude-code",
            [
                *("claude", "-p", "--dangerously-skip-permissions", "--output-format", "stream-json"),
                *("--model", "m1", "--system-prompt", "be brief", "--allowedTools", "Read,Write"),
                *(*MCP_OFF, "--verbose", "--last", "word"),
            ],
        ),
        (
            "gemini-cli",
            ["gemini", "--yolo", "--output-format", "stream-json", "--model", "m1", "--last", "word"],
        ),
        (
            "codex-cli",
            [
                *("codex", "exec", "--sandbox", "workspace-write", "--json", "--model", "m1", "-"),
                *("--skip-git-repo-check", "--last", "word"),
            ],
        ),
    ],
)
def test_settings_stand_in_the_order_of_the_format(name, argv):
    assert built(name, FULL, system_prompt="be brief").argv == argv


def test_the_order_of_all_parts():
    profile = tool(
        subcommand="go",
        auto_approve_flag="--yes all",
        output_format_flag="--format=",
        output_format_value="json",
        model_flag="-m",
        timeout_flag="--time",
        working_dir_flag="--cd=",
        system_prompt_flag="--system",
        allowed_tools_flag="--tools",
        prompt_flag="--ask",
        prompt_via_stdin=False,
        mcp_disable_args=["--no-mcp"],
        extra_flags=["--quiet"],
    )
    assert built(profile, FULL, system_prompt="s").argv == [
        *("x", "go", "--yes", "all", "--format=json", "-m", "m1", "--time", "91", "--cd=/srv/work"),
        *(
            "--system",
            "s",
            "--tools",
            "Read,Write",
            "--ask",
            "do it",
            "--no-mcp",
            "--quiet",
            "--last",
            "word",
        ),
    ]


def test_skipping_permissions_can_be_refused():
    assert "--yolo" not in built("gemini-cli", {"skip_permissions": False}).argv


def test_mcp_servers_can_be_left_on():
    assert "--mcp-config" not in built("claude-code", {"disable_mcp": False}).argv


def test_cli_model_is_another_word_for_model():
    assert built("gemini-cli", {"cli_model": "m2"}).argv[-2:] == ["--model", "m2"]


def test_the_default_model_of_a_profile_is_passed():
    profile = msgspec.structs.replace(tool(model_flag="-m"), default_model="m0")
    assert built(profile).argv == ["x", "-m", "m0"]


@each(
    ("name", "setting", "words"),
    [
        ("claude-code", "json", ["--output-format", "json"]),
        ("claude-code", "text", ["--output-format", "text"]),
        ("claude-code", "stream-json", ["--output-format", "stream-json"]),
        ("codex-cli", "jsonl", ["--json"]),
        ("codex-cli", "text", []),
        ("aider", "json", []),
    ],
)
def test_the_output_format_of_a_score_replaces_the_profile_s(name, setting, words):
    argv = built(name, {"output_format": setting}).argv
    assert [
        word for word in argv if word in {"--output-format", "--json", "json", "text", "stream-json"}
    ] == words


def test_a_long_argument_goes_to_the_flag_for_a_file():
    found = built("aider", prompt=LONG)
    assert found.argv[2:4] == ["--message-file", "/srv/attempt/prompt.txt"]
    assert (found.files, found.stdin) == ({"prompt.txt": LONG}, None)


def test_a_long_argument_without_such_a_flag_goes_to_stdin():
    found = built("cline-cli", prompt=LONG)
    assert found.stdin == LONG.encode()
    assert LONG not in found.argv


def test_a_script_goes_to_a_file_where_no_other_user_reads_it():
    for script in ("echo the customer is ACME", LONG):
        found = built("cli", prompt=script)
        assert found.argv == ["bash", "/srv/attempt/script.sh"]
        assert found.files == {"script.sh": script}


def test_the_limit_counts_bytes():
    assert built("aider", prompt="é" * (ARGUMENT_LIMIT // 2)).files == {}
    assert built("aider", prompt="é" * (ARGUMENT_LIMIT // 2) + "x").files != {}


def test_a_prompt_with_a_zero_byte_is_never_an_argument():
    assert built("aider", prompt="a\0b").files == {"prompt.txt": "a\0b"}


def test_a_sentinel_without_a_flag_stands_alone():
    assert built(tool(stdin_sentinel="-")).argv == ["x", "-"]


def test_a_prompt_without_a_flag_is_positional():
    assert built(tool(prompt_via_stdin=False)).argv == ["x", "do it"]


def test_an_http_instrument_is_a_question_in_a_file_its_key_in_the_environment_alone():
    found = built(
        "anthropic_api", {"max_tokens": 9, "api_key_env": "MY_KEY"}, environ={"MY_KEY": "secret", "X": "1"}
    )
    ask = json.loads(found.files["ask.json"])
    assert found.argv[-1].endswith("/ask.json")
    assert (ask["url"], ask["max_tokens"]) == ("https://api.anthropic.com/v1/messages", 9)
    assert ask["key_env"] == "MY_KEY"
    assert (found.env.get("MY_KEY"), "X" in found.env, "secret" in str(found.files)) == (
        "secret",
        False,
        False,
    )


@each(
    ("name", "words"),
    [
        ("claude-code", ["--resume", "s-1", "--strict-mcp-config"]),
        ("codex-cli", ["--sandbox", "workspace-write", "--json", "resume", "s-1", "-"]),
        ("gemini-cli", ["--resume", "s-1"]),
        ("opencode", ["--session", "s-1"]),
        ("qwen", ["--resume", "s-1"]),
        ("pi", ["--session", "s-1"]),
        ("copilot", ["--resume=s-1", "--no-color"]),
        ("aider", []),
    ],
)
def test_a_session_goes_on_where_the_profile_says_how(name, words):
    resumed = built(name, session="s-1").argv
    places = [at for at in range(len(resumed)) if resumed[at : at + len(words)] == words]
    assert places
    assert ("s-1" in " ".join(resumed)) == bool(words)
    assert "s-1" not in " ".join(built(name).argv)


def test_a_file_that_a_profile_brings_is_named_by_its_place():
    found = built("gemini-cli")
    assert found.env["GEMINI_CLI_SYSTEM_DEFAULTS_PATH"] == "/srv/attempt/gemini.json"
    assert json.loads(found.files["gemini.json"])["general"]["maxAttempts"] == 1
    found = built("qwen")
    assert found.env["QWEN_CODE_SYSTEM_DEFAULTS_PATH"] == "/srv/attempt/qwen.json"
    assert json.loads(found.files["qwen.json"])["model"]["generationConfig"]["maxRetries"] == 0


BASE = {
    "PATH": "/bin",
    "HOME": "/h",
    "LC_ALL": "C",
    "XDG_RUNTIME_DIR": "/r",
    "https_proxy": "p",
    "HTTPS_PROXY": "P",
    "No_Proxy": "n",
}


def test_required_env_lets_only_these_and_the_base_list_through():
    environ = {
        **BASE,
        "ANTHROPIC_API_KEY": "k",
        "AWS_REGION": "r",
        "OPENAI_API_KEY": "other",
        "LCX": "no",
        "SECRET": "s",
    }
    env = built("claude-code", environ=environ).env
    assert env == {
        **BASE,
        "ANTHROPIC_API_KEY": "k",
        "AWS_REGION": "r",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
    }


@each(
    ("name", "passed"),
    [
        ("gemini-cli", {"GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "CLOUDSDK_CONFIG"}),
        ("codex-cli", {"OPENAI_API_KEY", "CODEX_HOME"}),
        (
            "claude-code",
            {"ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_BEDROCK", "GOOGLE_CLOUD_PROJECT", "CLOUD_ML_REGION"},
        ),
    ],
)
def test_each_agent_gets_its_own_credentials_and_no_others(name, passed):
    every = {
        *("GEMINI_API_KEY", "GEMINI_OTHER", "GOOGLE_GEMINI_BASE_URL", "CLOUDSDK_CONFIG", "OPENAI_API_KEY"),
        *("CODEX_HOME", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_BEDROCK", "CLOUD_ML_REGION", "GH_TOKEN"),
        "GOOGLE_CLOUD_PROJECT",
    }
    found = set(built(name, environ=dict.fromkeys(every, "v")).env) & every
    extra = {"GOOGLE_CLOUD_PROJECT"} if name == "gemini-cli" else set()
    assert found == passed | extra


def test_without_required_env_all_is_passed_on():
    assert built("cli", environ={"ANY": "1"}).env == {"ANY": "1"}


def test_an_empty_required_env_leaves_the_base_list():
    assert built(tool(required_env=[]), environ={**BASE, "ANY": "1"}).env == BASE


def test_the_later_environment_wins():
    profile = tool(env={"A": "profile", "B": "profile", "C": "profile", "D": "profile"})
    found = built(
        profile,
        {"env": {"C": "setting", "D": "setting"}},
        environ={"A": "daemon", "Z": "daemon"},
        extra_env={"B": "submission", "C": "submission"},
        marianne={"D": "marianne"},
    )
    assert found.env == {"Z": "daemon", "A": "profile", "B": "submission", "C": "setting", "D": "marianne"}


def test_a_profile_takes_variables_from_the_daemon_even_when_it_does_not_pass_them_on():
    profile = tool(required_env=[], env={"KEY": "${MY_KEY}-${NONE}", "PLAIN": "$MY_KEY"})
    assert built(profile, environ={"MY_KEY": "k"}).env == {"KEY": "k-", "PLAIN": "$MY_KEY"}


def test_a_private_temporary_directory_lies_in_the_attempt():
    found = built("gemini-cli", environ={"TMPDIR": "/elsewhere"})
    assert (found.make_tmp, found.env["TMPDIR"]) == (True, "/srv/attempt/tmp")
    assert not built("claude-code").make_tmp


def test_codex_goes_without_its_sandbox_where_a_score_says_so():
    flag = "--dangerously-bypass-approvals-and-sandbox"
    found = built("codex-cli", {"skip_permissions": False, "cli_extra_args": [flag]})
    assert "--sandbox" not in found.argv
    assert found.argv[-1] == flag
