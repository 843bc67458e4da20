"""What `mzt help TOPIC` says: what is true of all commands. The pages and manuals show the same texts."""

from collections.abc import Mapping
from typing import NamedTuple


class Topic(NamedTuple):
    """One subject: a line of what it is about, and its text, plain."""

    about: str
    text: str


EXIT_CODES = (
    ("0", "done as asked"),
    ("1", "a finding (the job waited for failed, a score has errors), or the output can't be written"),
    ("2", "usage: an unknown option, a missing file"),
    ("3", "the daemon can't be reached, or speaks another protocol"),
    ("4", "refused; the code says why"),
    ("5", "what was waited for can no longer come"),
    ("124", "the timeout ran out; the request stays in force"),
    ("130", "interrupted (Ctrl-C); the request stays in force, the job goes on as it was"),
    ("141", "the reader of the output has gone (SIGPIPE)"),
)
VARIABLES = (
    ("MARIANNE_SOCKET", "where the daemon listens; no other place is tried then"),
    (
        "XDG_RUNTIME_DIR",
        "the socket is in marianne/ there, else in /run/user/UID/marianne or the state directory",
    ),
    (
        "XDG_STATE_HOME",
        "the database, logs and attempts are in marianne/ there, by default in ~/.local/state",
    ),
    ("XDG_CONFIG_HOME", "config.toml and instruments/ are in marianne/ there, by default in ~/.config"),
    ("VISUAL, EDITOR", "what mzt edit opens a score with, by default vi"),
    ("PAGER", "what shows a text that is longer than the terminal, by default less; empty: nothing"),
    ("NO_COLOR", "set: no colours and no live lines"),
    ("TZ", "the zone of the times that are shown"),
)
SHEET_VARIABLES = (
    ("MARIANNE_JOB, MARIANNE_RUN", "name of the job, and number of its run"),
    (
        "MARIANNE_SHEET, MARIANNE_STAGE, MARIANNE_INSTANCE",
        "numbers of the sheet, its stage, and its place in it",
    ),
    ("MARIANNE_ATTEMPT", "number of the attempt, from 1: what a flaky step can go by"),
    ("MARIANNE_ATTEMPT_ID", "a mark that no other attempt has"),
    ("MARIANNE_WORKSPACE", "the job's workspace"),
    ("MARIANNE_PREVIOUS", "a directory with outputs of earlier sheets, where the score captures them"),
    (
        "MARIANNE_HANDOFF",
        "a file: what an agent leaves there goes into its next prompt, if it was ended or failed",
    ),
    ("MARIANNE_STOP", "a file: once it is there the tool is to stop, where its profile says so"),
    ("MARIANNE_SOCKET", "where the daemon listens; unset behind a wall (contain: hide)"),
)


def _rows(rows: tuple[tuple[str, str], ...]) -> str:
    wide = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{wide}}  {said}" for name, said in rows)


TOPICS: Mapping[str, Topic] = {
    "exit-codes": Topic(
        "what the exit code of a command says",
        f"""\
{_rows(EXIT_CODES)}

With --json the object on stdout has the code, E501 to E516, in error_code, and in hints
what to type next. Usage errors, 130 and 141 print no object.""",
    ),
    "environment": Topic(
        "variables that mzt reads, and what a sheet finds in its environment",
        f"""\
mzt and the daemon read:

{_rows(VARIABLES)}

A sheet, its checks and its hooks find the environment of the daemon (that of the shell
that started it, or of the service), not that of the shell where mzt run was typed. What
it lacks is given to a run with --env NAME or --env-file FILE, or to all jobs by mzt
restart from a shell that has it. Besides, they find:

{_rows(SHEET_VARIABLES)}

A sheet starts in working_directory of its instrument's settings, else in the job's
worktree, else in its workspace; checks and hooks in the workspace, or where they say.
New files get the umask of the shell where mzt run was typed. Standard input is empty.""",
    ),
    "sheets": Topic(
        "how sheets are named: SHEETS",
        """\
A score is played as sheets. They are numbered 1, 2, 3, ... through all stages; a stage
with several sheets (fan_out) has instances. mzt status JOB shows each as

  8  pending  3.1 report

sheet 8 is instance 1 of stage 3, whose name is report (movements: {3: {name: report}}).

  8          sheet 8
  2-5        sheets 2 to 5
  3.1        instance 1 of stage 3
  3.all      all of stage 3
  report     all of the stage of that name; report.1 and report.all too
  2,5-7,3.1  any of these, with commas and without blanks

Names are those of the score in force; with -c FILE, those of FILE. A name with dots,
commas or blanks, one of digits, one that two stages have, and the words all, changed
and hooks can't be typed: write the stage's number.

  mzt status feature report             with its attempts
  mzt logs feature implement.2 -n 20
  mzt run feature.yaml --before review  pause when it comes there
  mzt resume feature --from report      run it and all that follows again
  mzt modify feature -c new.yaml --rerun changed -r""",
    ),
    "files": Topic(
        "where files lie",
        """\
  ~/.config/marianne/config.toml     settings; mzt config shows each, and where it is from
  ~/.config/marianne/environment     variables for the daemon's service, one NAME=VALUE a line; mode 0600
  ~/.config/marianne/instruments/    profiles of your own tools
  .marianne/instruments/             the same, beside a score; those in ~ are read for every score, too
  ~/.local/state/marianne/           the database, outputs of attempts, and marianned.log
  $XDG_RUNTIME_DIR/marianne/         the socket
  .marianne-pause-JOB                in a job's workspace: pauses it at the next boundary

mzt doctor shows the places in use. A FILE that is - is read from standard input; what is
relative in a score that comes so counts from the working directory.""",
    ),
}
