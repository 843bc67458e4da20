"""What a sheet, its checks and its hooks find in their environment is what `mzt help environment` says."""

import re

from kit.daemon import score

from marianne_cli.screens.topics import SHEET_VARIABLES

TOLD = {name for names, _ in SHEET_VARIABLES for name in names.split(", ")}
NOT_ALWAYS = {"MARIANNE_PREVIOUS", "MARIANNE_HANDOFF", "MARIANNE_STOP"}


def found(daemon, name):
    text = (daemon.home / "solo-work" / name).read_text()
    return set(re.findall(r"^(MARIANNE_\w+)=", text, re.MULTILINE))


def test_a_sheet_and_its_check_find_the_variables_that_the_help_tells(daemon):
    daemon.submit(
        score("solo", ["env > sheet"], validations=[{"type": "command_succeeds", "command": "env > check"}])
    )
    daemon.wait_for("solo", "completed")
    assert found(daemon, "sheet") == TOLD - NOT_ALWAYS
    assert found(daemon, "check") <= TOLD
