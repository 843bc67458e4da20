"""What `ps` shows of `mzt`: no value that was typed behind --env, and all else as it was typed."""

import subprocess
import sys

from kit.tables import each

SHOW = (
    "import sys; from marianne_cli.process.arguments import hide_values; hide_values(sys.argv[1:]); "
    'print(open("/proc/self/cmdline").read())'
)


@each(
    ("typed", "shown"),
    [
        (["--env", "TOKEN=hunter2"], ["--env", "TOKEN=***"]),
        (["--env=TOKEN=hunter2"], ["--env=TOKEN=***"]),
        (["-e", "TOKEN=a=b c", "--wait"], ["-e", "TOKEN=***", "--wait"]),
        (["-eTOKEN=hunter2"], ["-eTOKEN=***"]),
        (["-qe", "TOKEN=hunter2"], ["-qe", "TOKEN=***"]),
        (["-qeTOKEN=hunter2"], ["-qeTOKEN=***"]),
        (["-e", "A=b", "-e", "C="], ["-e", "A=*", "-e", "C="]),
        (["-e", "Ü=größe", "-e", "NAME"], ["-e", "Ü=***", "-e", "NAME"]),
        (["--reason", "x=y", "a=b"], ["--reason", "x=y", "a=b"]),
    ],
)
def test_values_of_variables_are_written_over(typed, shown):
    done = subprocess.run(
        [sys.executable, "-c", SHOW, "run", *typed, "last"], capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip("\0\n").split("\0")[3:] == ["run", *shown, "last"]
