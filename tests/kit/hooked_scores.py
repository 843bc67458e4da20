"""Scores with hooks, and what is seen of them in a daemon."""

from kit.daemon import plain, score

NO_COOLDOWN = {"cooldown_between_jobs_seconds": 0}


def hooked(name, hooks, *, bodies=None, concert=None, **top):
    """Return the text of a score of one sheet with these hooks."""
    given = {"concert": NO_COOLDOWN | (concert or {}), "on_success": hooks}
    return score(name, bodies or [plain(f"{name}-sheet")], **given | top)


def command(text, **fields):
    return {"type": "run_command", "command": text, **fields}


def chains(file, **fields):
    return {"type": "run_job", "job_path": file, **fields}


def write(daemon, name, text):
    (daemon.home / name).write_text(text)
    return name


def hooks(daemon, job):
    return daemon.status(job)["hooks"]
