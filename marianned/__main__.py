"""`python -m marianned`: the daemon."""

if __name__ == "__main__":  # each worker process runs this file too, and needs nothing of the daemon
    import sys

    from marianned.service import main

    sys.exit(main())
