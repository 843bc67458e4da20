"""Scores whose runs work in a worktree of their own."""

from kit.daemon import score


def isolated(name, bodies, top=(), **isolation):
    return score(name, bodies, isolation={"enabled": True, **isolation}, **dict(top))


HERE = 'note "$(git rev-parse --show-prefix --abbrev-ref HEAD | tr -d "\\n") of $MARIANNE_SHEET"'


COMMIT = "git -c user.name=A -c user.email=a@example.org commit -q --allow-empty -m done"
