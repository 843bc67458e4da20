"""Who is who: callers by their login names."""

import functools
from collections.abc import Mapping
from typing import Any


@functools.cache
def login(uid: int) -> str:
    """Return the login name of a user; the number where there is none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def who(caller: Mapping[str, Any] | None) -> str:
    """Name a caller: by login, the pause file as `file`; empty for the daemon itself."""
    if caller is None:
        return ""
    if caller.get("inside"):
        return str(caller["inside"])
    return "file" if caller["name"] == "file" else login(caller["uid"])


def held_by(hold: Mapping[str, Any]) -> str:
    """Say who holds a job and why: ` by ann "deploy first"`; empty where nobody does."""
    name = who(hold["owner"])
    reason = f' "{hold["reason"]}"' if hold["reason"] else ""
    return f" by {name}{reason}" if name else ""
