"""Which of two versions is older, and that doctor says so."""

import itertools

import pytest
from kit.tables import each

from marianned import self_check
from marianned.formatting import versions_apart

RISING = [
    "0.1.0",
    "0.2.0.dev1",
    "0.2.0rc1",
    "0.2.0rc2",
    "0.2.0",
    "0.2.0.post1",
    "0.10.0",
    "1.0",
    "1.0.1",
]


@each(("older", "newer"), list(itertools.pairwise(RISING)))
def test_the_older_one_is_named_on_both_sides(older: str, newer: str) -> None:
    assert versions_apart(older, newer) == (
        f"the daemon that runs is older than this program: {older}, not {newer}",
        ["mzt restart"],
    )
    assert versions_apart(newer, older) == (
        f"this program is older than the daemon that runs: {older}, not {newer}",
        ["type -a mzt"],
    )


def test_the_same_versions_are_not_apart() -> None:
    assert versions_apart("0.2.0", "0.2.0") is None


def test_doctor_names_a_daemon_that_is_older_and_what_to_type(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"pid": 7, "degraded_by": [], "version": "0.0.9"}
    monkeypatch.setattr(self_check.probe, "ask", lambda *_: told)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("MARIANNE_SOCKET", str(tmp_path / "s"))
    (found,) = [finding for finding in self_check.run_self_check().checks if finding.name == "version"]
    assert (found.passed, found.hints) == (False, ["mzt restart"])
    assert found.message.startswith("the daemon that runs is older than this program: 0.0.9")
    told["version"] = self_check.__version__
    assert not [finding for finding in self_check.run_self_check().checks if finding.name == "version"]
