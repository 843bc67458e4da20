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


class InstrumentModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of an instrument. Prices are data, not promises."""

    name: str
    """What the tool calls the model."""
    context_window: int | None = None
    """Tokens it takes at the most; for people, without effect."""
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
    """How many attempts may use it at once, over all jobs, if their sheets name this model."""


class ToolCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool is called; docs/reference/score-format.md §23.2 has the order of the words.

    A flag is followed by its value; a flag that ends in `=` is joined with it.
    """

    executable: str
    """The program: a path, or a name that is looked up on the PATH of the attempt's environment."""
    subcommand: str | None = None
    """The second word; null: none."""
    auto_approve_flag: str | None = None
    """Flag that stops the tool from asking for approval; `skip_permissions: false` in a score omits it."""
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
    """Flag for a file with that text, used if the text is over 100,000 bytes; null: none."""
    allowed_tools_flag: str | None = None
    """Flag for `allowed_tools`, joined by commas; null: none."""
    prompt_flag: str | None = None
    """Flag for the prompt; null: it is an argument without a flag."""
    prompt_via_stdin: bool = True
    """The prompt goes to standard input, at any length; false: it is an argument."""
    stdin_sentinel: str | None = None
    """The word in the prompt's place on the command line, behind `prompt_flag`, when the prompt goes to
    standard input; null: nothing."""
    prompt_file_flag: str | None = None
    """Flag for a file with the prompt, used if an argument would be over 100,000 bytes; null: the prompt goes
    to standard input then."""
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
    """Arguments after all of the above; `{directory}` in them is the attempt's own directory."""
    env: dict[str, str] = {}
    """Variables to set. `${VAR}` in a value is taken from the daemon's environment, empty if it is not set;
    `{directory}` is the attempt's own directory."""
    required_env: list[str] | None = None
    """Names of the daemon's variables that are passed on, in addition to those that every program needs; a
    name may end in `*`. Null: all."""
    start_new_session: bool = True
    """Accepted, without effect: every attempt has its own session."""
    private_tmp: bool = False
    """TMPDIR is a directory of the attempt that is removed when the attempt has ended."""
    resume_args: list[str] = []
    """Arguments before the prompt when the tool's own session is resumed; `{session}` in them is its id.
    Empty: the tool always begins anew."""
    files: dict[str, str] = {}
    """Files that are written into the attempt's directory before the tool starts: name, text."""


class FailureRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign in the output that the attempt has failed, whatever its exit code.

    Give one of `exists`, `is`, `is_not` and `matches`. With none, the attempt failed if the value is true.
    """

    path: str
    """Where to look, in the final event."""
    event: str | None = None
    """Look in the last event of this type instead; null: look in the final event."""
    exists: bool = False
    """The attempt failed if there is any value but null."""
    is_: Any = msgspec.field(default=True, name="is")
    """The attempt failed if the value is this."""
    is_not: Any = msgspec.UNSET
    """The attempt failed if there is a value and it is not this."""
    matches: str | None = None
    """The attempt failed if the value is a text in which this regular expression is found."""


class FinalEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event in the output by which an agent says it is done (docs/reference/score-format.md §15.2)."""

    event: str
    """The event's `type`."""
    where: dict[str, Any] = {}
    """Values that the event has: path, value."""
    goes_on: list[str] = []
    """Types of later events that say that the work goes on."""
    idle: list[str] = []
    """Types of later events that do not count as output: they do not end the silence."""


class DisplayRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `mzt logs` shows of an event."""

    show: str
    """How it is shown: `text` is what the agent says, `piece` a part of that (pieces that follow each other
    are one text); the others are `tool` (a tool that the agent calls), `result`, `note` and `error`."""
    path: str
    """Where the shown text is, in the event or part; several paths, separated by blanks, are joined."""
    event: str | None = None
    """The `type` of the events that this is for; null: all."""
    each: str | None = None
    """Path of the parts of such an event, each looked at by itself; null: the event is one part."""
    where: dict[str, Any] = {}
    """Values that the event or part has: path, value."""
    name: str | None = None
    """Where a tool's name is; null: there is no name."""


class TextAmounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts in an output of the format `text`.

    Each is a regular expression whose first group is the amount; `4.6k` is 4,600, `1.2M` is 1,200,000. `^`
    and `$` match at the ends of a line.
    """

    input_tokens: str | None = None
    """Input tokens: all amounts found are added up. Null: the output has none."""
    output_tokens: str | None = None
    """Output tokens: all amounts found are added up. Null: the output has none."""
    cost: str | None = None
    """Cost in USD of everything so far: the last amount found counts. Null: the output has none."""


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool's output is read (docs/reference/score-format.md §23.3, §23.4).

    A path is keys joined by dots: `key[0]` and `key[-1]` are items of a list, `*` is every value. For a
    result or a number, several paths may be given, separated by blanks: the first with a match counts.
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
    """An attempt without a final event or with an empty result has failed; null: only with `json` and
    `jsonl`."""
    completion_event_type: str | None = None
    """The `type` of the event with the result; the last one counts. Null: any event."""
    completion_event_filter: dict[str, Any] = {}
    """Values that the event with the result has: path, value."""
    result_join: str = "last"
    """`last`: the result of the last such event; `concat`: the results of all such events, joined; `run`:
    those of the last ones that follow each other, joined."""
    input_tokens_path: str | None = None
    """Where the number of input tokens is; null: nowhere."""
    output_tokens_path: str | None = None
    """Where the number of output tokens is; null: nowhere."""
    cached_tokens_path: str | None = None
    """Where the number of input tokens read from the service's cache is; null: nowhere."""
    written_tokens_path: str | None = None
    """Where the number of input tokens written to the service's cache is; null: nowhere."""
    total_tokens_path: str | None = None
    """Where the number of all tokens is; what exceeds input and output, as thoughts, counts as output."""
    cached_in_input: bool = True
    """The number of input tokens includes those read from the cache, and those written to it."""
    tokens_of_session: bool = False
    """The numbers are those of the whole session so far, earlier attempts included."""
    aggregate_tokens: bool = False
    """All numbers found at a path are added up; false: the last one counts."""
    turns_path: str | None = None
    """Where the number of an agent's turns is; null: nowhere. After more than one turn, a result that the
    tool calls a success is an answer, whatever its words (never a refusal)."""
    cost_path: str | None = None
    """Where the cost in USD is; null: the prices of the model give it."""
    text_amounts: TextAmounts | None = None
    """How tokens and cost are found in stdout of the format `text`; null: they are not there."""
    session_path: str | None = None
    """Where the id of the tool's own session is; null: nowhere."""
    model_path: str | None = None
    """Where the name of the model that was used is; null: nowhere."""
    final_event: FinalEvent | None = None
    """The event by which an agent says it is done, after which it may be ended; null: it ends by itself."""
    final_grace: float = 30.0
    """Seconds without output after the final event until the tool is ended; idle events are no output."""
    live: list[DisplayRule] = []
    """How events are shown to people. Empty: lines are shown as they are."""


class ErrorPatterns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the kinds of a tool's failures are recognised (docs/reference/score-format.md §23.5).

    Patterns are regular expressions, searched without regard to case in stderr and in the message of a
    failure. The kinds are tried in this order; the first that is found counts.
    """

    success_exit_codes: list[int] = msgspec.field(default_factory=lambda: [0])
    """Exit codes of success."""
    auth_exit_codes: list[int] = []
    """Exit codes by which the tool says that it has no credentials, or wrong ones."""
    exit_codes: dict[int, str] = {}
    """What other exit codes of the tool mean, for people."""
    auth_error_patterns: list[str] = []
    """The credentials are refused."""
    rate_limit_patterns: list[str] = []
    """A rate limit was met."""
    capacity_patterns: list[str] = []
    """The service has no capacity just now."""
    timeout_patterns: list[str] = []
    """Something timed out; this changes only the message."""
    crash_patterns: list[str] = []
    """The tool crashed; this changes only the message."""
    stale_patterns: list[str] = []
    """The tool hung; this changes only the message."""
    service_messages: bool = False
    """Besides these patterns, recognise the usual sentences of services and tools about credentials, rate
    limits and capacity; an answer that is nothing but such a sentence is a failure."""
    failure_patterns: list[str] = []
    """The attempt failed, whatever its exit code; searched in stdout of the format `text`."""
    rate_limit_event_type: str | None = None
    """The `type` of an event that reports a rate limit; null: there is none."""
    rate_limit_event_filter: dict[str, Any] = {}
    """Values that the event has if a limit was met: path, value. A later event without them says that no
    limit is in force."""
    rate_limit_reset_path: str | None = None
    """Where in the event the end of the limit is: seconds or milliseconds since 1970, or ISO 8601. Null:
    nowhere."""


class StopRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool is asked to stop before `--now` or a deadline ends it, so that it can save its work.

    Give `signal`, `file` or both. A cancel and a time limit end the tool without asking.
    """

    signal: str | None = None
    """Name of a signal to the tool's process group, as `INT`; null: none."""
    file: str | None = None
    """Name of an empty file that is made in `{directory}/out` as the request; MARIANNE_STOP names it. Null:
    none."""
    wait: float = 30.0
    """Seconds that the tool has to end by itself; then it is ended as any other: TERM, `kill_grace`, KILL."""

    @property
    def signal_number(self) -> int | None:
        """The number of the signal; None: no signal is given, or one that is not allowed."""
        name = (self.signal or "").removeprefix("SIG")
        return signal.Signals[f"SIG{name}"].value if name in SIGNALS else None


class CliInstrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that is run as a command."""

    command: ToolCommand
    """How the tool is called."""
    output: OutputFormat = OutputFormat()
    """How its output is read."""
    errors: ErrorPatterns = ErrorPatterns()
    """How the kinds of its failures are recognised."""
    stop: StopRequest | None = None
    """How the tool is asked to stop; null: it is not asked."""
    interactive: Any = None
    """Accepted, without effect (S501)."""


class HttpInstrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is asked over HTTP (docs/reference/score-format.md §23.6)."""

    base_url: str
    """Where the service is: `https://api.example.com/v1`."""
    endpoint: str = ""
    """The path of requests, appended to `base_url`."""
    schema_family: str
    """The form of requests and replies: `openai` or `anthropic`; `gemini` is accepted and not supported."""
    auth_env_var: str | None = None
    """The variable that holds the key; null: the service needs none."""
    response_format: Any = None
    """Accepted, without effect (S501)."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument (docs/reference/score-format.md §23.1)."""

    name: str
    """What scores call the instrument."""
    kind: str
    """`cli`: it is run as a command, and needs `cli`; `http`: it is asked over HTTP, and needs `http`."""
    display_name: str | None = None
    """What people call the instrument; null: the name."""
    description: str | None = None
    """What it is, for people; null: no description."""
    capabilities: list[str] = []
    """What it can do, for people; without effect."""
    models: list[InstrumentModel] = []
    """Its models with their prices."""
    default_model: str | None = None
    """The model if a score names none; null: the tool chooses."""
    default_timeout_seconds: float = 1800.0
    """Time limit of an attempt if a score gives none, in seconds, or as a text like `30m`."""
    raw_prompt: bool = False
    """Send only the body of a prompt, without the parts that Marianne adds."""
    script: str | None = None
    """`shell`: the prompt is a script for a shell; null: it is a text."""
    cli: CliInstrument | None = None
    """How it is run as a command; null: it is not run as one."""
    http: HttpInstrument | None = None
    """How it is asked over HTTP; null: it is not asked so."""
    credentials: list[str] = []
    """Variables, any of which may hold the instrument's key."""
    login: str | None = None
    """What a person types to log in without a key; null: not known."""
    code_mode: Any = None
    """Accepted, without effect (S501)."""
    execution_status: str | None = None
    """`unsupported`: the instrument cannot be used here; any other text has no effect."""
    execution_status_detail: str | None = None
    """Why the instrument cannot be used, for people."""
    contain: str = "off"
    """`hide`: the programs of its sheets run behind a wall (docs/security.md), whatever the setting says;
    `off`: as the setting says."""

    @property
    def unusable_reason(self) -> str | None:
        """Why it can't be used, whatever is installed; null: it can."""
        if self.execution_status != "unsupported":
            return None
        return self.execution_status_detail or f"'{self.name}' is not supported, its profile says"
