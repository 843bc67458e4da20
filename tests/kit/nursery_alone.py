"""A nursery of this test process, forked off what has loaded all of it; as a program it is that nursery.

To launch one from the files of the package takes 0.4 s of a processor, and each event loop of a test has its own.
"""

import json
import os
import socket
import subprocess
import sys

from kit.zygote import Popen
from marianned import nursery
from marianned.masks import without_secrets
from marianned.worker_pool import HANDED, StartedNursery


def fork():
    """Do what `worker_pool._launch_from_files` does."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        process = Popen(
            [sys.executable, "-m", "kit.nursery_alone", json.dumps(sys.path)],
            cwd="/",
            env=without_secrets(os.environ),
            stdin=far.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return StartedNursery(process, near)


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    nursery.main(HANDED, "marianned.workers")
