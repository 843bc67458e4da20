"""Callers by their login names."""

import functools
import os
import re
from collections.abc import Mapping
from typing import Any

_CALLER = re.compile(r"\bmzt \d\S* \(uid (\d+)\)")


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


def with_login_names(message: str) -> str:
    """Name people in a refusal by their login: `mzt 1.2.0 (uid 1000)`; other clients keep their names."""
    return _CALLER.sub(lambda found: login(int(found[1])), message)


def holder_text(hold: Mapping[str, Any]) -> str:
    """Return who holds a job and why: ` by ann "deploy first"`; empty: nobody does."""
    name = who(hold["owner"])
    reason = f' "{hold["reason"]}"' if hold["reason"] else ""
    return f" by {name}{reason}" if name else ""


def is_own(caller: Mapping[str, Any]) -> bool:
    """Tell whether a caller is this user at a terminal, not another client or a sheet."""
    return caller["uid"] == os.getuid() and not caller.get("inside") and not foreign_client(caller)


def foreign_client(caller: Mapping[str, Any]) -> str:
    """Name the client that a caller used, where it is none of `mzt`: ` (robot 9)`."""
    name = str(caller["name"])
    return "" if not name or name == "file" or name.startswith("mzt ") else f" ({name})"
