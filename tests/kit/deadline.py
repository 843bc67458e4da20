"""How long a test waits for anything that is to come, in seconds: `MARIANNE_DEADLINE`, beside other load."""

import os

DEADLINE = float(os.environ.get("MARIANNE_DEADLINE", "30"))
