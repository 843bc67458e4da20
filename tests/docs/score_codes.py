"""Every problem of a score: what it is, and what to do; how bad it is, the code knows."""

CODES = {
    "S001": ("a file is missing or can't be read", "name a file that exists and that you may read"),
    "S002": ("not YAML", "fix what the parser names; mostly tabs or open brackets"),
    "S003": ("a key is given twice", "keep one of them"),
    "S004": ("empty, several documents, not a mapping, or another kind of file", "a score is one mapping"),
    "S005": ("too large, too deep, too many aliases", "4 MiB, 64 levels and 100,000 values are the limits"),
    "S006": ("not UTF-8", "save it as UTF-8"),
    "S010": ("an unknown key", "use the key in the hint, or remove it"),
    "S011": ("a required key is missing", "add it"),
    "S012": ("a value of the wrong type", "write the type that the message names"),
    "S013": ("out of range, or not one of the possible values", "choose one of those the message names"),
    "S014": ("not a duration", "write `90`, `90s`, `15m`, `1h30m` or `1d`"),
    "S015": ("keys that contradict each other", "keep one of them"),
    "S016": ("not a job name", "letters, digits, `.`, `_`, `-`; the first a letter or digit; at most 100"),
    "S017": ("a bad regular expression", "fix it at the position named; `content_contains` takes plain text"),
    "S018": ("a computed key, ignored", "remove it"),
    "S019": ("an older spelling", "write the newer one"),
    "S020": ("empty where a value is needed", "give a value, or remove the key"),
    "S101": ("a dependency on a stage that does not exist", "`dependencies` names stages, not sheets"),
    "S102": ("stages depend on each other in a cycle", "remove one of the dependencies"),
    "S103": ("a stage depends on itself", "remove that dependency"),
    "S104": (
        "fan-out with a `size` or `start_item` other than 1",
        "set both to 1; `total_items` counts stages",
    ),
    "S105": ("no such stage", "number stages from 1 to `total_items`"),
    "S106": ("`fan_out` and `voices` differ", "keep one of them"),
    "S107": ("no such sheet", "sheets are numbered after fan-out: `mzt validate --explain` shows them"),
    "S108": ("a sheet is assigned to two instruments", "list it under one"),
    "S109": ("sheet numbers that look like stages", "check the numbers with `mzt validate --explain`"),
    "S110": (
        "fan-out without `parallel`, or `parallel` with nothing to run in parallel",
        "add `parallel: {enabled: true}`, or remove it",
    ),
    "S111": ("more than 10,000 sheets, or 1,000,000 dependencies", "split the score into several jobs"),
    "S112": (
        "only some sheets of a fan-out stage are given an instrument",
        "name all of them, or the stage: `movements.N.instrument`",
    ),
    "S113": (
        "a loop whose stages do not all lead to its last one, or that something outside stands between",
        "let the last stage need the others, and take what is between into the loop",
    ),
    "S201": ("a template's syntax is wrong", "fix the line named; literal braces: `{% raw %}`"),
    "S202": ("an undefined variable in a template", "add it to `prompt.variables`, or `| default(…)`"),
    "S203": ("a template fails in another way", "fix the line named; 10 s and 16 MiB are the limits"),
    "S204": ("an unknown placeholder in a path", "name a variable; `{workspace}` is one"),
    "S205": ("a bad condition", "write comparisons of names and values, joined by `and`, `or`, `not`"),
    "S206": (
        "a bad `skip_when` or `until`",
        "write an expression over `sheets`, `job`, variables and, in a loop, `loop`; in `until` `file(…)`, too",
    ),
    "S207": ("`{{ name }}` where `{name}` is meant", "write single braces in validations"),
    "S208": (
        "`{name}` where `{{ name }}` is probably meant, or `{{` in a prompt extension, `stakes` or `thinking_method`",
        "write double braces in templates; the others are not rendered",
    ),
    "S209": ("a variable has the name of a built-in, which wins", "give it another name"),
    "S210": ("an empty prompt", "check the conditions in the template"),
    "S212": ("a validation that applies to no sheet", "check its `condition`"),
    "S213": (
        "text around shell blocks is not run",
        "nothing, if it is commentary; otherwise `script: whole`",
    ),
    "S214": (
        "a variable that looks like a template and can't be rendered: its text is used",
        "fix it; literal braces: `{% raw %}`",
    ),
    "S215": ("variables that need each other", "let one of them not be a template"),
    "S216": (
        "a value for a name that the score does not know",
        "check its spelling: `mzt validate --explain` lists them",
    ),
    "S217": ("a required parameter without a value", "give one: `--var NAME=VALUE`, or `--vars-file FILE`"),
    "S218": ("a given value of the wrong kind, or none of the choices", "give one that the message names"),
    "S219": (
        "a value is kept whose name the score does not know any more",
        "nothing, or give the parameter its name back",
    ),
    "S220": (
        "a check has both `sheet` and `condition`; the condition alone counts",
        "say both in the condition, or leave one of them out",
    ),
    "S301": ("`template_file` is missing", "put it beside the score"),
    "S302": ("an injected file is missing", "it is looked for in the workspace, then beside the score"),
    "S303": (
        "the workspace can't be created or written",
        "choose another, fix its permissions, or move away what lies there",
    ),
    "S304": ("`system_prompt_file` is missing", "put it beside the score"),
    "S305": ("`working_directory` is missing", "create it; the path is relative to the score"),
    "S306": (
        "the score of a `run_job` is missing or invalid",
        "check `job_path`; it is relative to the score",
    ),
    "S307": (
        "directories below an injected one are left out",
        "name each as an item of its own, or put the files beside each other",
    ),
    "S308": (
        "a score of a pinned chain is missing or invalid",
        "check the `job_path` of each score in the chain, or remove `concert.pinned`",
    ),
    "S401": ("an unknown instrument", "`mzt instruments` lists those known here"),
    "S402": (
        "an unknown fallback, or an unknown profile of an alias that only chains use",
        "`mzt instruments` lists those known here",
    ),
    "S403": ("the tool is not installed here", "install it; `mzt instruments check` checks again"),
    "S404": ("a setting that this instrument has no use for", "remove it, or check its spelling"),
    "S405": ("a bad profile", "fix the file named"),
    "S406": ("a fallback to the same instrument, model and `env`", "remove it, or give it another model"),
    "S407": (
        "a fallback that is an agent, for a sheet that runs a program",
        "nothing: it is left out; `instrument_fallbacks: []` at the movement says so",
    ),
    "S408": (
        "a profile that may be somebody else's is not read",
        "make file and directories yours, and `chmod go-w` them",
    ),
    "S409": (
        "a profile of your own replaces a built-in one",
        "nothing, if it is intended; otherwise remove the file named",
    ),
    "S410": (
        "a tool is asked for text in place of its stream",
        "remove `output_format`, or take what is in the message into account",
    ),
    "S411": (
        "an instrument with `contain: hide` for a sheet on a cluster",
        "give its stage `executor: local`, or the instrument `contain: off`",
    ),
    "S412": (
        "an argument of sbatch that is Marianne's own, or makes something else of its jobs",
        "remove it; the message says why, and what there is in its place",
    ),
    "S501": ("accepted, without effect", "remove it, or leave it for other readers"),
    "S502": ("placeholder text was left in", "fill it in"),
    "S503": ("an unusually short or long timeout", "nothing, if it is intended"),
    "S504": ("no validations", "add one; without any, a successful exit is enough"),
    "S506": (
        "a silence limit that can never be reached before the timeout",
        "make it shorter than the timeout",
    ),
    "S507": ("a score that chains to itself without `fresh`", "add `fresh: true`"),
    "S509": ("parallel sheets in one worktree", "let them write different files"),
    "S510": (
        "a key that other readers of the format refuse",
        "reported only with `--portable`: remove it for them",
    ),
    "S511": (
        "control flow that is not supported: loops that share stages, an action of `triggers`",
        "put loops beside each other; `pause`, `escalate` and `continue` are the actions",
    ),
    "S512": (
        "a template comment over several lines in a shell body: those lines are not run",
        "comment with `#`",
    ),
    "S513": (
        "outputs of earlier sheets in a shell body, not quoted",
        "`| sh`, or the files in `$MARIANNE_PREVIOUS`",
    ),
    "S514": ("a `{placeholder}` in a command that is not known stays as it is", "correct the name"),
    "S515": (
        "a `{placeholder}` of a command where the shell would not see exactly its value",
        "set a shell variable to it first, and use that",
    ),
    "S516": (
        "a check reads what a sheet printed from `logs/sheet-…` in the workspace, where nothing is written",
        "let the sheet write a file; `mzt logs JOB SHEET` shows what it printed",
    ),
    "S517": (
        "`isolation` has no effect on sheets whose instrument has a `working_directory`: they work there, not in the worktree",
        "remove the `working_directory`: sheets then start at the top of the worktree",
    ),
    "S601": (
        "of a run: what an attempt had to do without, or what is odd about how it ended",
        "the message says what; `mzt history JOB` has it in its place",
    ),
    "S602": (
        "of a run: it has no worktree of its own, though one was asked for",
        "`mzt history JOB` says why; start it again once that is mended: `mzt run FILE --fresh`",
    ),
    "S603": (
        "of a modify: the new score names another job",
        "write the job's own name, or start it as another job: `mzt run FILE`",
    ),
    "S604": (
        "of a modify: what belongs to the run is not changed by a new score",
        "`mzt run FILE --fresh` starts a run with it",
    ),
}
"""What is wrong, and the cure."""
