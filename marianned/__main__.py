"""`python -m marianned`: the daemon."""

if __name__ == "__main__":  # each worker process runs this file too, and needs nothing of the daemon
    import gc
    import sys

    gc.disable()  # what is loaded stays; memory.spare_what_is_loaded lets it run again

    from marianned.service import main

    sys.exit(main())
