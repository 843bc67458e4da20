"""The program as a process: what `ps` shows of its arguments, what Ctrl-C does to it."""
