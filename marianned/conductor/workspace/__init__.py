"""The workspace of a run: git worktrees and archives."""
