"""Where attempts run: the shim, whose two processes supervise each, and the executors that start it."""
