"""A git repository for tests, and what is seen of its worktrees."""

import os
import subprocess

from kit.daemon import DEADLINE

IDENTITY = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org"} | {
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}


def git(place, *words):
    done = subprocess.run(
        ["git", "-C", str(place), *words],
        env={**os.environ, **IDENTITY, "HOME": str(place)},
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_repository(place):
    """Make this directory a repository with one commit; nothing else that lies there is in it."""
    git(place, "init", "-q", "-b", "main")
    (place / "README").write_text("first\n")
    git(place, "add", "README")
    git(place, "commit", "-q", "-m", "first")
    return place


def trees(repository):
    """The worktrees git knows, beside the main one: their paths below the repository, and their locks."""
    blocks = git(repository, "worktree", "list", "--porcelain").strip().split("\n\n")[1:]
    found = {}
    for block in blocks:
        fields = dict(line.partition(" ")[::2] for line in block.splitlines())
        found[os.path.relpath(fields["worktree"], repository)] = fields.get("locked")
    return found


def branches(repository):
    return git(repository, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/marianne").split()
