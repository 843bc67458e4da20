"""Requests that change jobs: control, submission, chains, retention, reload and shutdown of the daemon."""
