"""Whether a command is to end, as a file in its attempt's directory says; loaded by a runner on a cluster.

Signals come by the cluster's controller, which may be away, or may have forgotten the job while it runs on.
The file comes by the shared file system. The command can write there, too, and ends only itself by it. Like
shim.py it imports nothing of ours, and runs with `-I -S`. Source: docs/design/executors.md.
"""

import os
import time

NAME = "end"
POLL_SECONDS = 3.0


class Order:
    """Looks when it is `due` (monotonic clock) whether the file is there."""

    def __init__(self) -> None:
        self.due = time.monotonic() + POLL_SECONDS

    def poll(self) -> bool:
        """Look when it is time for that; False: it is to end."""
        now = time.monotonic()
        if now < self.due:
            return True
        self.due = now + POLL_SECONDS
        return not os.path.lexists(NAME)
