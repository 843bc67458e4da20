"""A tool as data: what its command line is, and how its output is to be read.

Source: docs/reference/score-format.md §23.
"""

import signal
from typing import Any

import msgspec

SIGNALS = ("INT", "QUIT", "HUP", "USR1", "USR2", "TERM")
"""Names of the signals that a tool may be asked to stop by."""
HANDOFF_NAME = "handoff.md"
"""Name of the file in the same place that an agent's note goes into."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of an instrument. Prices are data, not promises."""

    name: str
    """What the tool calls the model."""
    context_window: int | None = None
    """Tokens it takes; for people, without effect."""
    cost_per_1k_input: float | None = None
    """USD per 1,000 input tokens; 0: free; null: not known."""
    cost_per_1k_output: float | None = None
    """USD per 1,000 output tokens; 0: free; null: not known."""
    cost_per_1k_cached_input: float | None = None
    """USD per 1,000 input tokens read from the service's cache; null: as other input."""
    cost_per_1k_cache_write: float | None = None
    """USD per 1,000 input tokens written to the service's cache; null: as other input."""
    max_output_tokens: int | None = None
    """Tokens it returns at the most; for people, without effect."""
    max_concurrent: int = 4
    """The most attempts that use it at once, over all jobs, where a sheet names this model."""


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool is called; docs/reference/score-format.md §23.2 has the order of the words.

    A flag is followed by its value, or joined with it where the flag ends in `=`.
    """

    executable: str
    """The program: a name that is looked up on PATH of the attempt's environment, or a path."""
    subcommand: str | None = None
    """The second word; null: none."""
    auto_approve_flag: str | None = None
    """Flag that makes the tool ask for no approval; `skip_permissions: false` in a score leaves it out."""
    output_format_flag: str | None = None
    """Flag that selects the output's format; null: none."""
    output_format_value: str | None = None
    """Value of that flag; null: the flag alone."""
    model_flag: str | None = None
    """Flag for the model, if one is named; null: the tool is not told."""
    timeout_flag: str | None = None
    """Flag for the attempt's time limit in whole seconds; null: the tool is not told."""
    working_dir_flag: str | None = None
    """Flag for the working directory; null: the tool is only started there."""
    system_prompt_flag: str | None = None
    """Flag for the text of `system_prompt_file`; null: none."""
    system_prompt_file_flag: str | None = None
    """Flag for a file with that text, where it is over 100,000 bytes; null: none."""
    allowed_tools_flag: str | None = None
    """Flag for `allowed_tools`, joined by commas; null: none."""
    prompt_flag: str | None = None
    """Flag for the prompt; null: it is an argument without a flag."""
    prompt_via_stdin: bool = True
    """The prompt is the standard input, of any length; false: an argument."""
    stdin_sentinel: str | None = None
    """What stands in the prompt's place on the command line, behind `prompt_flag`, when the prompt is the
    standard input; null: nothing."""
    prompt_file_flag: str | None = None
    """Flag for a file with the prompt, where an argument would be over 100,000 bytes; null: it goes to the
    standard input then."""
    mcp_config_flag: str | None = None
    """Accepted, without effect."""
    mcp_config_workspace_path: str | None = None
    """Accepted, without effect (S501)."""
    mcp_config_workspace_merge_key: str | None = None
    """Accepted, without effect (S501)."""
    mcp_config_prefix_args: Any = None
    """Accepted, without effect (S501)."""
    json_schema_flag: str | None = None
    """Accepted, without effect (S501)."""
    mcp_disable_args: list[str] = []
    """Arguments that switch MCP servers off; `disable_mcp: false` in a score leaves them out."""
    extra_flags: list[str] = []
    """Arguments behind all these; `{directory}` in them is the attempt's own directory."""
    env: dict[str, str] = {}
    """Variables to set. `${VAR}` in a value is taken from the daemon's environment, empty if it is not set;
    `{directory}` is the attempt's own directory."""
    required_env: list[str] | None = None
    """Names of the daemon's variables that are passed on, beside those that every program needs; a name may
    end in `*`. Null: all."""
    start_new_session: bool = True
    """Accepted, without effect: every attempt has its own session."""
    private_tmp: bool = False
    """TMPDIR is a directory of the attempt, removed after it."""
    resume_args: list[str] = []
    """Arguments before the prompt where a session of the tool's own goes on; `{session}` in them is its id.
    Empty: it always begins anew."""
    files: dict[str, str] = {}
    """Files that are written into the attempt's directory first: name, text."""


class FailureRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign in the output that the attempt has failed, whatever its exit code.

    Of `exists`, `is`, `is_not` and `matches` one is given; none: the value has to be true.
    """

    path: str
    """Where to look, in the final event."""
    event: str | None = None
    """Look in the last event of this type instead; null: in the final one."""
    exists: bool = False
    """It failed if there is any value but null."""
    is_: Any = msgspec.field(default=True, name="is")
    """It failed if the value is this."""
    is_not: Any = msgspec.UNSET
    """It failed if there is a value, and another one than this."""
    matches: str | None = None
    """It failed if the value is a text in which this regular expression is found."""


class FinalEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last word of an agent (docs/reference/score-format.md §15.2), an event of its output."""

    event: str
    """Its `type`."""
    where: dict[str, Any] = {}
    """Values it has: path, value."""
    goes_on: list[str] = []
    """Types of events that come behind it and say that the work goes on."""
    idle: list[str] = []
    """Types of events that come behind it and are no output: the silence lasts."""


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people are shown of events, by `mzt logs`."""

    show: str
    """How it is shown: as what the agent says, `text`, or a `piece` of that (those that follow each other are
    one text); as a `tool` that it calls, a `result`, a `note` or an `error`."""
    path: str
    """Where that is, in the event or part; several paths, separated by blanks, are joined."""
    event: str | None = None
    """The `type` of the events it is for; null: all."""
    each: str | None = None
    """Path of the parts of such an event, each looked at by itself; null: the event is one."""
    where: dict[str, Any] = {}
    """Values that the event or part has: path, value."""
    name: str | None = None
    """Where a tool's name is; null: it has none."""


class TextAmounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts in an output of the format `text`.

    Each is a regular expression whose first group is the amount; `4.6k` is 4,600, `1.2M` 1,200,000. `^` and
    `$` are the ends of a line.
    """

    input_tokens: str | None = None
    """Input tokens: all that are found are added up. Null: none are told."""
    output_tokens: str | None = None
    """Output tokens: all that are found are added up. Null: none are told."""
    cost: str | None = None
    """Cost in USD, of all that went before: the last one counts. Null: none is told."""


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How its output is read (docs/reference/score-format.md §23.3, §23.4).

    A path is keys joined by dots: `key[0]` and `key[-1]` are items of a list, `*` is every value. Where a
    result or a number is, several paths may be, separated by blanks: the first that finds something counts.
    """

    format: str = "text"
    """`text`: all of stdout is the result; `json`: one document; `jsonl`: an event on each line."""
    result_path: str | None = None
    """Where the result text is; null: it is all of stdout."""
    error_path: str | None = None
    """Where the message of a failure is; several paths, separated by blanks, are joined. Null: nowhere."""
    failure_when: list[FailureRule] = []
    """Signs that the attempt failed, whatever its exit code."""
    require_result: bool | None = None
    """Without a final event or with an empty result, the attempt failed; null: so it is with `json` and
    `jsonl`."""
    completion_event_type: str | None = None
    """The `type` of the event with the result; the last one counts. Null: any event."""
    completion_event_filter: dict[str, Any] = {}
    """Values that this event has: path, value."""
    result_join: str = "last"
    """`last`: the result of the last such event; `concat`: of all, joined; `run`: of the last ones that
    follow each other, joined."""
    input_tokens_path: str | None = None
    """Where the number of input tokens is; null: nowhere."""
    output_tokens_path: str | None = None
    """Where the number of output tokens is; null: nowhere."""
    cached_tokens_path: str | None = None
    """Where the number of input tokens read from the service's cache is; null: nowhere."""
    written_tokens_path: str | None = None
    """Where the number of input tokens written to the service's cache is; null: nowhere."""
    total_tokens_path: str | None = None
    """Where the number of all tokens is; what it exceeds input and output by, as thoughts do, is output."""
    cached_in_input: bool = True
    """The number of input tokens includes those read from the cache, and those written to it."""
    tokens_of_session: bool = False
    """The numbers are those of the whole session so far, earlier attempts included."""
    aggregate_tokens: bool = False
    """All numbers found at a path are added up; false: the last one counts."""
    turns_path: str | None = None
    """Where the number of an agent's turns is: after more than one, what a tool calls a success is an answer,
    whatever its words; null: nowhere."""
    cost_path: str | None = None
    """Where the cost in USD is; null: the prices of the model give it."""
    text_amounts: TextAmounts | None = None
    """How tokens and cost stand in stdout of the format `text`; null: they do not."""
    session_path: str | None = None
    """Where the id of the tool's own session is; null: nowhere."""
    model_path: str | None = None
    """Where the name of the model that was used is; null: nowhere."""
    final_event: FinalEvent | None = None
    """The agent's last word, after which the tool may be ended; null: it is waited for."""
    final_grace: float = 30.0
    """Seconds without output after the last word, until the tool is ended; idle events are none."""
    live: list[Shown] = []
    """How events are shown to people. Empty: lines are shown as they are."""


class Errors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How its failures are told apart (docs/reference/score-format.md §23.5).

    Patterns are regular expressions, searched without regard to case in stderr and in the message of a
    failure; the first kind that is found counts, in this order.
    """

    success_exit_codes: list[int] = msgspec.field(default_factory=lambda: [0])
    """Exit codes of success."""
    auth_exit_codes: list[int] = []
    """Exit codes by which the tool says that it has no credentials, or wrong ones."""
    exit_codes: dict[int, str] = {}
    """What further exit codes of the tool mean, for people."""
    auth_error_patterns: list[str] = []
    """The credentials are refused."""
    rate_limit_patterns: list[str] = []
    """A rate limit was met."""
    capacity_patterns: list[str] = []
    """The service has no capacity just now."""
    timeout_patterns: list[str] = []
    """Something timed out; only the message says so."""
    crash_patterns: list[str] = []
    """The tool crashed; only the message says so."""
    stale_patterns: list[str] = []
    """The tool hung; only the message says so."""
    service_messages: bool = False
    """Recognise what services and tools say of credentials, rate limits and capacity, beside these
    patterns; an answer that is nothing but such a sentence is a failure."""
    failure_patterns: list[str] = []
    """The attempt failed, whatever its exit code; looked for in stdout of the format `text`."""
    rate_limit_event_type: str | None = None
    """The `type` of an event that tells of a rate limit; null: none does."""
    rate_limit_event_filter: dict[str, Any] = {}
    """Values that it has if a limit was met: path, value. A later one without them says that none is in
    force."""
    rate_limit_reset_path: str | None = None
    """Where in it the end of the limit is: seconds or milliseconds since 1970, or ISO 8601. Null: nowhere."""


class StopRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool is asked to stop before `--now` or a deadline ends it, so that it can put its work down.

    Of `signal` and `file` one is given, or both. A cancel and a time limit end it without asking.
    """

    signal: str | None = None
    """Name of a signal to the tool's process group, as `INT`; null: none."""
    file: str | None = None
    """Name of an empty file that is made in `{directory}/out` then; MARIANNE_STOP names it. Null: none."""
    wait: float = 30.0
    """Seconds that it has to go, before it is ended as every other: TERM, `kill_grace`, KILL."""

    @property
    def number(self) -> int | None:
        """The signal's number; None: none is given, or none that may be."""
        name = (self.signal or "").removeprefix("SIG")
        return signal.Signals[f"SIG{name}"].value if name in SIGNALS else None


class Cli(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that is run as a command."""

    command: Command
    """How it is called."""
    output: OutputFormat = OutputFormat()
    """How its output is read."""
    errors: Errors = Errors()
    """How its failures are told apart."""
    stop: StopRequest | None = None
    """How it is asked to stop; null: it is not asked."""
    interactive: Any = None
    """Accepted, without effect (S501)."""


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is asked over HTTP (docs/reference/score-format.md §23.6)."""

    base_url: str
    """Where the service is: `https://api.example.com/v1`."""
    endpoint: str = ""
    """The path of requests, behind `base_url`."""
    schema_family: str
    """The form of requests and replies: `openai` or `anthropic`; `gemini` is accepted and not supported."""
    auth_env_var: str | None = None
    """The variable with the key; null: the service wants none."""
    response_format: Any = None
    """Accepted, without effect (S501)."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument (docs/reference/score-format.md §23.1)."""

    name: str
    """What scores call it."""
    kind: str
    """`cli`: it is run as a command, and needs `cli`; `http`: it is asked over HTTP, and needs `http`."""
    display_name: str | None = None
    """What people call it; null: the name."""
    description: str | None = None
    """What it is, for people; null: nothing is said."""
    capabilities: list[str] = []
    """What it can do, for people; without effect."""
    models: list[Model] = []
    """Its models with their prices."""
    default_model: str | None = None
    """The model where a score names none; null: the tool chooses."""
    default_timeout_seconds: float = 1800.0
    """Time limit of an attempt where a score gives none, in seconds, or as a text like `30m`."""
    raw_prompt: bool = False
    """Send only the body of a prompt, without the parts that Marianne adds."""
    script: str | None = None
    """`shell`: the prompt is a script for a shell; null: it is a text."""
    cli: Cli | None = None
    """How it is run as a command; null: it is not."""
    http: Http | None = None
    """How it is asked over HTTP; null: it is not."""
    credentials: list[str] = []
    """Variables of which one may hold its key."""
    login: str | None = None
    """What a person types to log in without a key; null: nothing is known."""
    code_mode: Any = None
    """Accepted, without effect (S501)."""
    execution_status: str | None = None
    """`unsupported`: it cannot be used here; anything else says nothing."""
    execution_status_detail: str | None = None
    """Why it cannot be used, for people."""
    contain: str = "off"
    """`hide`: what its sheets run is behind a wall (docs/security.md), whatever the setting says; `off`:
    as the setting says."""

    @property
    def unusable(self) -> str | None:
        """Why it can't be used, whatever is installed; null: it can."""
        if self.execution_status != "unsupported":
            return None
        return self.execution_status_detail or f"'{self.name}' is not supported, its profile says"
