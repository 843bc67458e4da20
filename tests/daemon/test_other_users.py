"""Another user's process is not served: the directory's mode keeps it out, and with that loosened its uid."""

import json
import os
import socket

import pytest

NOBODY = 65_534
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user for a moment")


def as_another_user(act):
    """Run a function in a process of another uid; return what it returns, as text."""
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        said = "it did not come so far"
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = act()
        except Exception as error:  # noqa: BLE001  told to the test
            said = type(error).__name__
        finally:
            os.write(its, said.encode())
            os._exit(0)
    os.close(its)
    with os.fdopen(ours) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


def test_another_user_is_kept_out_by_the_mode_and_then_by_the_uid(daemon):
    def ask():
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(20)
            line.connect(str(daemon.socket))
            line.sendall(b'{"jsonrpc":"2.0","id":1,"method":"job.list"}\n')
            return line.makefile().read()

    assert as_another_user(ask) == "PermissionError"
    daemon.socket.chmod(0o666)
    assert as_another_user(ask) == "PermissionError"
    for directory in (daemon.socket.parent, daemon.home):
        directory.chmod(0o755)
    told = as_another_user(ask)
    messages = [json.loads(line) for line in told.splitlines()]
    assert [(one["id"], one["error"]["data"]["error_code"]) for one in messages] == [(None, "E509")], told
    assert f"not {NOBODY}" in messages[0]["error"]["message"]
    assert daemon.rpc("daemon.hello")["ready"]
