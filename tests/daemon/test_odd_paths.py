"""Blanks, quotes, newlines and other alphabets in the paths of a score, its workspace and its checks."""

import pytest
from kit.daemon import score
from kit.repository import git, make_repository

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]

ODD = 'it\'s a "plan"\nür $HOME `x` {b}'


def test_odd_names_go_everywhere_as_they_are(daemon, ledger):
    repository = daemon.home / f"repository {ODD}"
    repository.mkdir()
    make_repository(repository)
    directory = repository / f"scores {ODD}"
    directory.mkdir()
    body = (
        'printf %s "$MARIANNE_WORKSPACE" > "$MARIANNE_WORKSPACE/$NAME"; '
        "cat > left <<EOF\nx\nEOF\nnote done; git add left; "
        "git -c user.name=A -c user.email=a@example.org commit -q -m done"
    )
    text = score(
        "odd-paths",
        [body],
        workspace=f"./work {ODD}",
        isolation={"enabled": True, "worktree_base": f"./trees {ODD}"},
        workspace_lifecycle={"archive_on_fresh": True, "archive_dir": f"old {ODD}"},
        validations=[
            {"type": "file_exists", "path": "{workspace}/{name}"},
            {"type": "content_contains", "path": "{workspace}/{name}", "pattern": ODD},
            {"type": "command_succeeds", "command": "test -s {name} && test -s {workspace}/{name}"},
            {"type": "command_succeeds", "command": 'test "$PWD" = "{workspace}"'},
        ],
        variables={"name": ODD},
        instrument_config={"env": {"NAME": ODD}},
    )
    asked = {"directory": str(directory), "file": str(directory / f"{ODD}.yaml")}
    work = directory / f"work {ODD}"
    for number in (1, 2):
        run = daemon.submit(text, fresh=number == 2, **asked)["run"]
        ended = daemon.wait_for("odd-paths", "ended")
        found = daemon.attempts("odd-paths", 1)[-1]["validations"]
        assert (run, ended["status"]) == (number, "completed"), found
        assert (work / ODD).read_text() == str(work)
        daemon.event("odd-paths", "worktree.removed")
        assert git(repository, "log", "-1", "--format=%s", f"marianne/odd-paths-{number}").strip() == "done"
    assert [path.name for path in (work / f"old {ODD}").glob("*/*")] == [ODD]
