"""Where attempts run: the shim that supervises each of them, and the executors that start it."""
