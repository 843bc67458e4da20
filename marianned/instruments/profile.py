"""A tool as data: what its command line is, and how its output is to be read.

Source: docs/reference/score-format.md §23.
"""

from typing import Any

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of an instrument; costs in USD per 1,000 tokens. Prices are data, not promises.

    What was read from the service's cache costs as much as other input where no price of its own is known.
    """

    name: str
    context_window: int | None = None
    cost_per_1k_input: float = 0.0
    cost_per_1k_output: float = 0.0
    cost_per_1k_cached_input: float | None = None
    max_output_tokens: int | None = None
    max_concurrent: int = 4


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tool is called (§23.2).

    A system prompt that is too long for an argument goes by `system_prompt_file_flag`, into a file.
    `resume_args` stand before the prompt where a session of the tool's own goes on: `{session}` in them is
    its id. `files` (name → text) are written into the attempt's directory, `{directory}` in `env` and in
    `extra_flags`.
    """

    executable: str
    subcommand: str | None = None
    auto_approve_flag: str | None = None
    output_format_flag: str | None = None
    output_format_value: str | None = None
    model_flag: str | None = None
    timeout_flag: str | None = None
    working_dir_flag: str | None = None
    system_prompt_flag: str | None = None
    system_prompt_file_flag: str | None = None
    allowed_tools_flag: str | None = None
    prompt_flag: str | None = None
    prompt_via_stdin: bool = True
    stdin_sentinel: str | None = None
    prompt_file_flag: str | None = None
    mcp_config_flag: str | None = None
    mcp_disable_args: list[str] = []
    extra_flags: list[str] = []
    env: dict[str, str] = {}
    required_env: list[str] | None = None
    start_new_session: bool = True
    private_tmp: bool = False
    resume_args: list[str] = []
    files: dict[str, str] = {}


class FailureRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign in the output that the attempt has failed, whatever its exit code (§23.3 `failure_when`).

    Looked for in the final record; with `event` in the last event of that type. `exists` asks for any
    value but null, `is_not` for another value than this, `matches` for a text in which this regular
    expression is found; else the value has to be `is`.
    """

    path: str
    event: str | None = None
    exists: bool = False
    is_: Any = msgspec.field(default=True, name="is")
    is_not: Any = msgspec.UNSET
    matches: str | None = None


class FinalEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last word of an agent (§15.2): an event of the type `event` that has these values in `where`.

    An event whose type is in `goes_on` and that comes behind it says that the work goes on.
    """

    event: str
    where: dict[str, Any] = {}
    goes_on: list[str] = []


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people are shown of an event, by `mzt logs`.

    It is for events of the type `event` (null: all); with `each` for each part of one that this path finds.
    In `where` are paths and the values they have there. `path` names what is shown, several separated by
    blanks: as the agent's `text`, the arguments of a `tool` whose name is at `name`, a tool's `result`, a
    `note` or an `error`.
    """

    show: str
    path: str
    event: str | None = None
    each: str | None = None
    where: dict[str, Any] = {}
    name: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How its output is read (§23.3, §23.4).

    `error_path` may name several paths, separated by blanks: what they find is joined. `live`: how the lines
    of a stream are shown to people; without it, as they are. After its `final_event` and `final_grace`
    seconds without output the tool is ended. `cached_in_input`: the number of input tokens has those at
    `cached_tokens_path` in it; `tokens_of_session`: the numbers are of the whole session so far.
    """

    format: str = "text"
    result_path: str | None = None
    error_path: str | None = None
    failure_when: list[FailureRule] = []
    require_result: bool | None = None
    completion_event_type: str | None = None
    completion_event_filter: dict[str, Any] = {}
    result_join: str = "last"
    input_tokens_path: str | None = None
    output_tokens_path: str | None = None
    cached_tokens_path: str | None = None
    cached_in_input: bool = True
    tokens_of_session: bool = False
    aggregate_tokens: bool = False
    cost_path: str | None = None
    session_path: str | None = None
    model_path: str | None = None
    final_event: FinalEvent | None = None
    final_grace: float = 30.0
    live: list[Shown] = []


class Errors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How its failures are told apart (§23.5).

    `service_messages`: beside its own patterns, what services and tools say is recognised (recognising.py).
    `failure_patterns` are looked for in outputs in text form, also when the exit code is 0. An event of the
    type `rate_limit_event_type` with the values of its filter is a limit, if no later event of that type is
    none; `rate_limit_reset_path` leads to when it is over: seconds or milliseconds since 1970, or ISO 8601.
    """

    success_exit_codes: list[int] = msgspec.field(default_factory=lambda: [0])
    auth_error_patterns: list[str] = []
    rate_limit_patterns: list[str] = []
    capacity_patterns: list[str] = []
    timeout_patterns: list[str] = []
    crash_patterns: list[str] = []
    stale_patterns: list[str] = []
    service_messages: bool = False
    failure_patterns: list[str] = []
    rate_limit_event_type: str | None = None
    rate_limit_event_filter: dict[str, Any] = {}
    rate_limit_reset_path: str | None = None


class Cli(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that is run as a command."""

    command: Command
    output: OutputFormat = OutputFormat()
    errors: Errors = Errors()


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is asked over HTTP (§23.6)."""

    base_url: str
    endpoint: str = ""
    schema_family: str
    auth_env_var: str | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument (§23.1); `kind` cli needs `cli`, http needs `http`.

    `contain`: `hide` puts what it runs behind a wall, whatever the setting says.
    `credentials` names the variables of which one holds its key, `login` is what logs in without one.
    """

    name: str
    kind: str
    display_name: str | None = None
    description: str | None = None
    capabilities: list[str] = []
    models: list[Model] = []
    default_model: str | None = None
    default_timeout_seconds: float = 1800.0
    raw_prompt: bool = False
    script: str | None = None
    cli: Cli | None = None
    http: Http | None = None
    credentials: list[str] = []
    login: str | None = None
    code_mode: Any = None
    contain: str = "off"
