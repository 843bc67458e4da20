"""One job's state: rows, graph, readiness, the queue of hooks, and the triggers that can happen to it."""
