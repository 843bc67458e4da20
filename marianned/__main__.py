"""`python -m marianned`: the daemon."""

import sys

from marianned.service import main

if __name__ == "__main__":
    sys.exit(main())
